/** One line of a ledger: made from a record, and judged against the line before it. ledger.ts writes such lines, chain.ts reads them. */
import { hash } from 'node:crypto';

/** Where a chain stands: the number and hash of its last line. */
export type Head = { seq: number; hash: string };

export type Line = { seq: number; at: string; prev: string } & Record<string, unknown>;

export const noHead: Head = { seq: 0, hash: '0'.repeat(64) };

/** Larger than any record we make (a body is cut into parts); small enough that a reader can hold a line in memory. */
export const maxLineBytes = 256 * 1024;

/** A record's JSON text that is made when it is written: of a large body not all lines are in memory at once. */
export class LateRecord {
  /** In bytes. */
  readonly length: number;
  readonly make: () => Buffer;

  constructor(length: number, make: () => Buffer) {
    this.length = length;
    this.make = make;
  }
}

/** seq, at and prev with their punctuation, and the newline: 150 bytes. */
const maxRecordBytes = maxLineBytes - 150;

/** The fields that the chain itself writes; a record may not bring its own. */
const reserved = ['seq', 'at', 'prev'];

const lineStart = /^\{"seq":(\d{1,15}),"at":"([^"\\]{20,30})","prev":"([0-9a-f]{64})"[,}]/;
const segmentStart = /^\{"seq":\d{1,15},"at":"[^"\\]{20,30}","prev":"[0-9a-f]{64}","kind":"segment"[,}]/;

export const lineHash = (line: string | Uint8Array): string => hash('sha256', line);

/** A record as the tail of its line. Throws on what cannot be a line: that is the caller's mistake, not the disk's. */
export function recordText(record: Record<string, unknown>): string {
  for (const name of reserved) {
    if (Object.hasOwn(record, name))
      throw new TypeError(`a record cannot have a field ${name}: the chain writes it`);
  }
  const text = JSON.stringify(record);
  fits(Buffer.byteLength(text));
  return text;
}

/** A record that is JSON text already: `{...}` without a line break. What is between the braces is its maker's promise. */
export function recordBytes(bytes: Buffer): Buffer {
  fits(bytes.length);
  if (bytes[0] !== 0x7b || bytes.at(-1) !== 0x7d || bytes.includes(10))
    throw new TypeError('a record is one JSON object on one line');
  return bytes;
}

function fits(bytes: number): void {
  if (bytes > maxRecordBytes) throw new RangeError(`a record is at most ${maxRecordBytes} bytes`);
}

/** The line as it stands in the file, without its newline. Built as text, because JSON.stringify would put a key such as `1` before `seq`. */
export const lineBeginning = (prev: Head, at: string): string =>
  `{"seq":${prev.seq + 1},"at":"${at}","prev":"${prev.hash}"`;

type Followed = { head: Head; line: Line };

/** What a line says of itself: for the first one of a file, which may be the beginning of a later segment. null: not a line of a ledger. */
export function placeOf(bytes: Buffer): { before: Head; segment: boolean } | null {
  const beginning = bytes.toString('latin1', 0, 256);
  const start = lineStart.exec(beginning);
  if (!start) return null;
  const before = { seq: Number(start[1]) - 1, hash: start[3] ?? '' };
  return { before, segment: segmentStart.test(beginning) };
}

/** The head that a line makes, if it is one: for who reads the last line alone. */
export function headOf(bytes: Buffer): Head | null {
  const place = placeOf(bytes);
  return place && { seq: place.before.seq + 1, hash: lineHash(bytes) };
}

/** The head after this line with the line as a value, or what is wrong with it in a few words. */
export function follow(prev: Head, bytes: Buffer): Followed | string {
  const text = bytes.toString();
  const start = lineStart.exec(text);
  if (!start) return 'it does not begin with seq, at and prev';
  const seq = Number(start[1]);
  if (seq !== prev.seq + 1) return `its seq is ${start[1]}, not ${prev.seq + 1}`;
  if (start[3] !== prev.hash) return `its prev is not the hash of line ${prev.seq}`;
  let line: Line;
  try {
    line = JSON.parse(text) as Line;
  } catch {
    return 'it is not JSON';
  }
  // JSON.parse takes the last of two: a line that somebody made must not say another time or place to its readers.
  if (line.seq !== seq || line.at !== start[2] || line.prev !== start[3])
    return 'it says seq, at or prev twice';
  return { line, head: { seq, hash: lineHash(bytes) } };
}
