/** The lines of one exchange as they go into the ledger: what was asked with its pieces by content address, and what came of it. Called by proxy.ts. */
import { hash } from 'node:crypto';
import type { Blobs } from '../ledger/blobs.ts';
import { redactBytes, redactHeaders } from '../ledger/redact.ts';
import type { Scanned } from './asked/scan.ts';
import type { Exchange } from './exchange.ts';
import type { Spool } from './spool.ts';

// FORMAT. A body is its parts by sha256 (each a `blob` line of the same segment) and its frame: the rest of its text, in which
// part N stands as \u0001N\u0001, a character that JSON never holds unescaped. Frame and parts give the body back byte by byte,
// but for what was redacted. A turn resends the whole history: each message is stored once for each segment, not once for each turn.

export type Line = Record<string, unknown>;

/** Where lines go. They stand together in one segment, in order, and are durable when it resolves; when it rejects none is. */
export type Ledger = {
  group(make: (segment: object) => (Line | Buffer)[], withinMs?: number): Promise<unknown>;
};

/** A frame longer than this is stored as a blob too: a line must stay a line. */
const maxFrameBytes = 64 * 1024;

export type BodyRecord = {
  parts: Buffer[];
  refs: string[];
  frame: Buffer;
  /** Says whether two requests are the same. */
  digest: string;
};

const mark = (at: number): Buffer => Buffer.from(`\u0001${at}\u0001`);

/** Reads the pieces of a body from where it was put aside. A part is held once, and only until it is recorded. */
export function cutBody(spool: Spool, scanned: Scanned | null, path: string): BodyRecord {
  const parts: Buffer[] = [];
  const frame: Buffer[] = [];
  let at = 0;
  for (const span of scanned?.parts ?? []) {
    frame.push(spool.slice(at, span.from), mark(parts.length));
    parts.push(spool.slice(span.from, span.to));
    at = span.to;
  }
  frame.push(spool.slice(at, spool.bytes));
  const refs = parts.map((part) => hash('sha256', part));
  const whole = Buffer.concat(frame);
  return {
    parts,
    refs,
    frame: whole,
    digest: hash('sha256', `${path}\n${refs.join()}\n${whole.toString('latin1')}`),
  };
}

/** The lines of a request, blobs first. `bytes` is what they take on disk. */
export function requestLines(
  blobs: Blobs,
  segment: object,
  line: Line,
  body: BodyRecord | undefined,
  count: (bytes: number) => void,
): Buffer[] {
  if (!body) return counted([], line, count);
  const long = body.frame.length > maxFrameBytes;
  const pieces = long ? [...body.parts, body.frame] : body.parts;
  const { refs, records } = blobs.lines(segment, pieces, long ? undefined : body.refs);
  const frame = long ? { frameBlob: refs.at(-1) } : { frame: redactBytes(body.frame).bytes.toString('utf8') };
  return counted(records, { ...line, body: { parts: long ? refs.slice(0, -1) : refs, ...frame } }, count);
}

/** The line of an outcome, the answer before it. */
export function outcomeLines(
  blobs: Blobs,
  segment: object,
  line: Line,
  answer: string | undefined,
  count: (bytes: number) => void,
): Buffer[] {
  if (answer === undefined) return counted([], line, count);
  const { refs, records } = blobs.lines(segment, [Buffer.from(answer)]);
  return counted(records, { ...line, answer: refs[0] }, count);
}

/** `stored` is on the line itself, so that the quota is the same after a restart. */
function counted(records: Buffer[], line: Line, count: (bytes: number) => void): Buffer[] {
  const text = JSON.stringify(line);
  const stored = records.reduce((sum, each) => sum + each.length, text.length);
  count(stored);
  return [...records, Buffer.from(`${text.slice(0, -1)},"stored":${stored}}`)];
}

/** What the agent's program said of itself and of its request; never a credential. */
export const headersOf = (own: Exchange): Record<string, string> => redactHeaders(own.headers);
