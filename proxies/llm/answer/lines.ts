/** Lines of a stream, ended by LF, CRLF or CR, wherever the chunks are cut. Used by sse.ts and, for NDJSON, by reader.ts. */
import { createPile } from './pile.ts';

export type Lines = {
  push(chunk: Buffer): void;
  /** The last line, where the stream ended without ending it. */
  end(): void;
};

type LinesParts = {
  /** The line is `bytes` from `from` to `to`, without its end; true only during the call. */
  line(bytes: Buffer, from: number, to: number): void;
  /** A line over the bound was skipped. */
  tooLong(): void;
  maxBytes: number;
};

const lf = 0x0a;
const cr = 0x0d;

export function createLines({ line, tooLong, maxBytes }: LinesParts): Lines {
  const begun = createPile(maxBytes);
  let skipping = false;
  /** The last chunk ended in CR: a LF at the next one's beginning belongs to it. */
  let afterCr = false;

  const finish = (chunk: Buffer, from: number, to: number): void => {
    if (skipping || (begun.size() === 0 && to - from > maxBytes) || !continued(chunk, from, to)) {
      skipping = false;
      begun.clear();
      tooLong();
    } else if (begun.size() === 0) {
      line(chunk, from, to);
    } else {
      line(begun.bytes(), 0, begun.size());
      begun.clear();
    }
  };
  const continued = (chunk: Buffer, from: number, to: number): boolean =>
    begun.size() === 0 || begun.add(chunk, from, to);

  return {
    push(chunk) {
      let at = 0;
      if (afterCr && chunk.length > 0) {
        afterCr = false;
        if (chunk[0] === lf) at = 1;
      }
      let nextCr = chunk.indexOf(cr, at);
      let nextLf = chunk.indexOf(lf, at);
      for (;;) {
        const end = nextCr === -1 || (nextLf !== -1 && nextLf < nextCr) ? nextLf : nextCr;
        if (end === -1) break;
        finish(chunk, at, end);
        at = end + 1;
        if (end === nextCr) {
          if (at === chunk.length) afterCr = true;
          else if (chunk[at] === lf) at++;
          nextCr = chunk.indexOf(cr, at);
        }
        if (nextLf !== -1 && nextLf < at) nextLf = chunk.indexOf(lf, at);
      }
      if (at < chunk.length && !skipping && !begun.add(chunk, at, chunk.length)) {
        skipping = true;
        begun.clear();
      }
    },
    end() {
      if (skipping || begun.size() > 0) finish(begun.bytes(), 0, 0);
    },
  };
}
