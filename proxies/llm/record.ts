/** The lines of one exchange as they go into the ledger: what was asked with its pieces by content address, and what came of it. Called by proxy.ts. */
import { isUtf8 } from 'node:buffer';
import type { Blobs } from '../ledger/blobs.ts';
import type { LateRecord } from '../ledger/line.ts';
import { redactHeaders, redactText } from '../ledger/redact.ts';
import type { Exchange } from './exchange.ts';
import type { BodyRecord } from './frame.ts';
import { createHistory, mostListed } from './history.ts';

// FORMAT. "body" of a request is its parts and its frame. The parts are values of it, each a `blob` line of the same segment; the
// frame is the text around them (frame.ts). Together they give the body back byte by byte, but for what was redacted, and for line
// breaks between the tokens of a part (ledger/blobs.ts). A turn resends the whole history: each message is stored once for each
// segment, and named where it is new:
//   "after":"<id>"     the request, earlier in the same segment, that ranges are of; where there are none, it is not there
//   "parts":[ ... ]    in order, each "<sha256>", or [from,to]: the parts number from..to-1, from 0, of that request
//   "partsBlob":"<sha256>"  instead of both, where they are many: the blob is the list of all their sha256, as JSON
//   "frame":"..."      or, where it is long or no UTF-8, "frameBlob":"<sha256>"
// Read backwards, the blob of a part stands before each line that names it, and before the list that does.
// "answer" of an outcome is the sha256 of a blob: the whole answer as JSON, also where it came as a stream.

export type Line = Record<string, unknown>;

/** Where lines go. They stand together in one segment, in order, and are durable when it resolves; when it rejects none is. */
export type Ledger = {
  group(make: (segment: object) => (Line | Buffer | LateRecord)[], withinMs?: number): Promise<unknown>;
};

/** To be made while the ledger writes them, once. */
export type Recorder = {
  /** The lines of a request, blobs first. The parts of the body are let go. */
  request(
    segment: object,
    line: Line & { id: string },
    body: BodyRecord | undefined,
  ): (Buffer | LateRecord)[];
  /** The line of an outcome, the answer before it. */
  outcome(segment: object, line: Line, answer: string | undefined): (Buffer | LateRecord)[];
  refusal(line: Line): (Buffer | LateRecord)[];
};

/** A longer frame is a blob too: a line must stay a line, of 256 KiB at most. */
const maxFrameBytes = 64 * 1024;
/** As JSON, where a byte may be six. */
const maxFrameText = 2 * maxFrameBytes;

/** Of one agent. `count` hears what each exchange takes on disk, in bytes. */
export function createRecorder(blobs: Blobs, count: (bytes: number) => void): Recorder {
  const history = createHistory();

  /** `stored` is on the line itself, so that the quota is the same after a restart. */
  const counted = (records: (Buffer | LateRecord)[], line: Line): (Buffer | LateRecord)[] => {
    const text = JSON.stringify(line);
    const stored = records.reduce((sum, each) => sum + each.length, text.length);
    count(stored);
    return [...records, Buffer.from(`${text.slice(0, -1)},"stored":${stored}}`)];
  };

  return {
    request(segment, line, body) {
      if (!body) return counted([], line);
      const { records } = blobs.lines(segment, body.parts, body.refs);
      body.parts = []; // a stream may take an hour, and hold what it was asked for as long
      const store = (piece: Buffer): string | undefined => {
        const made = blobs.lines(segment, [piece]);
        records.push(...made.records);
        return made.refs[0];
      };
      const list = history.list(segment, line.id, body.refs);
      const parts =
        list.parts.length > mostListed ? { partsBlob: store(Buffer.from(JSON.stringify(body.refs))) } : list;
      const text = frameText(body.frame);
      const frame =
        text === undefined ? { frameBlob: store(Buffer.from(body.frame, 'latin1')) } : { frame: text };
      return counted(records, { ...line, body: { ...parts, ...frame } });
    },
    outcome(segment, line, answer) {
      if (answer === undefined) return counted([], line);
      const { refs, records } = blobs.lines(segment, [Buffer.from(answer)]);
      return counted(records, { ...line, answer: refs[0] });
    },
    refusal: (line) => counted([], line),
  };
}

/** As it may stand in a line, or undefined. */
function frameText(frame: string): string | undefined {
  if (frame.length > maxFrameBytes) return undefined;
  const masked = redactText(frame).text;
  const bytes = ascii.test(masked) ? undefined : Buffer.from(masked, 'latin1');
  if (bytes && !isUtf8(bytes)) return undefined;
  const text = bytes?.toString('utf8') ?? masked;
  const fits = 6 * frame.length <= maxFrameText || JSON.stringify(text).length <= maxFrameText;
  return fits ? text : undefined;
}

const ascii = /^[\0-\x7f]*$/;

/** What the agent's program said of itself and of its request; never a credential. */
export const headersOf = (own: Exchange): Record<string, string> => redactHeaders(own.headers);
