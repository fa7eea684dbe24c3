/** Server-sent events as they stream (WHATWG HTML, 9.2.6): of bytes, not of text, so that a cut UTF-8 sequence stays whole. Used by reader.ts and first.ts. */
import { createLines } from './lines.ts';

export type Sse = {
  push(chunk: Buffer): void;
  /**
   * The stream is over. The specification drops an event that has no blank line behind it; a server that ends with
   * `data: [DONE]` and nothing more is common enough, so that such an event is given too. Half an event of JSON does not parse.
   */
  end(): void;
};

type SseParts = {
  /** `type` is '' where the event names none. `id` and `retry` are of no use to anybody here. */
  event(type: string, data: string): void;
  /** An event over the bound was skipped. */
  tooLong(): void;
  maxBytes: number;
};

const bom = [0xef, 0xbb, 0xbf];
const [colon, space] = [0x3a, 0x20];

export function createSse({ event, tooLong, maxBytes }: SseParts): Sse {
  let type = '';
  let data: string | undefined;
  let dataBytes = 0;
  let spoiled = false;
  let first = true;

  const dispatch = (): void => {
    const [whole, named, bad] = [data, type, spoiled];
    data = undefined;
    type = '';
    dataBytes = 0;
    spoiled = false;
    if (bad) tooLong();
    else if (whole !== undefined) event(named, whole);
  };

  const lines = createLines({
    maxBytes,
    line(bytes, start, to) {
      let from = start;
      if (first) {
        first = false;
        if (to - from >= 3 && bom.every((byte, at) => bytes[from + at] === byte)) from += 3;
      }
      if (from === to) return dispatch();
      const field = fieldOf(bytes, from, to);
      if (field === undefined) return;
      from += field.length;
      if (from < to && bytes[from] === colon) from++;
      if (from < to && bytes[from] === space) from++;
      if (field === 'event') {
        type = bytes.toString('utf8', from, to);
      } else {
        dataBytes += to - from;
        if (dataBytes > maxBytes) {
          spoiled = true;
          data = undefined;
        } else {
          const value = bytes.toString('utf8', from, to);
          data = data === undefined ? value : `${data}\n${value}`;
        }
      }
    },
    tooLong() {
      first = false;
      spoiled = true;
    },
  });
  return {
    push: lines.push,
    end() {
      lines.end();
      dispatch();
    },
  };
}

/** Field names are compared byte by byte, without folding of case. */
function fieldOf(bytes: Buffer, from: number, to: number): 'data' | 'event' | undefined {
  if (bytes[from] === 0x64) {
    const is = bytes[from + 1] === 0x61 && bytes[from + 2] === 0x74 && bytes[from + 3] === 0x61;
    return is && ends(bytes, from + 4, to) ? 'data' : undefined;
  }
  if (bytes[from] !== 0x65) return undefined;
  return bytes.toString('latin1', from, Math.min(to, from + 5)) === 'event' && ends(bytes, from + 5, to)
    ? 'event'
    : undefined;
}

const ends = (bytes: Buffer, at: number, to: number): boolean =>
  at === to || (at < to && bytes[at] === colon);
