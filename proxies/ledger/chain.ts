/** The hash chain of a ledger, line by line. ledger.ts writes and opens with it; the CLI, the controller and tests verify with it. */
import { hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';

/** Where a chain stands: the number and hash of its last line. */
export type Head = { seq: number; hash: string };

const noHead: Head = { seq: 0, hash: '0'.repeat(64) };

/** Larger than any record we make (a body is never in one); small enough that a reader can hold a line in memory. */
const maxLineBytes = 256 * 1024;

/** The fields that the chain itself writes; a record may not bring its own. */
const reserved = ['seq', 'at', 'prev'];

const lineStart = /^\{"seq":(\d{1,15}),"at":"([^"\\]{20,30})","prev":"([0-9a-f]{64})"[,}]/;

export const lineHash = (line: string | Uint8Array): string => hash('sha256', line);

/** A record as the tail of its line. Throws on what cannot be a line: that is the caller's mistake, not the disk's. */
export function recordText(record: Record<string, unknown>): string {
  for (const name of reserved) {
    if (Object.hasOwn(record, name))
      throw new TypeError(`a record cannot have a field ${name}: the chain writes it`);
  }
  const text = JSON.stringify(record);
  // 150 bytes: seq, at and prev with their punctuation, and the newline.
  if (Buffer.byteLength(text) + 150 > maxLineBytes)
    throw new RangeError(`a record is at most ${maxLineBytes} bytes`);
  return text;
}

/** The line after `prev`, without its newline. Built as text, because JSON.stringify would put a key such as `1` before `seq`. */
export function lineAfter(prev: Head, at: string, text: string): string {
  return `{"seq":${prev.seq + 1},"at":"${at}","prev":"${prev.hash}"${text === '{}' ? '}' : `,${text.slice(1)}`}`;
}

/** The head after this line, or what is wrong with the line in a few words. */
function follow(prev: Head, line: Buffer): Head | string {
  const start = lineStart.exec(line.toString('latin1', 0, 256));
  if (!start) return 'it does not begin with seq, at and prev';
  if (Number(start[1]) !== prev.seq + 1) return `its seq is ${start[1]}, not ${prev.seq + 1}`;
  if (start[3] !== prev.hash) return `its prev is not the hash of line ${prev.seq}`;
  try {
    JSON.parse(line.toString('utf8'));
  } catch {
    return 'it is not JSON';
  }
  return { seq: prev.seq + 1, hash: lineHash(line) };
}

export type Walk =
  | { ok: true; head: Head /** Where the last whole line ends. */; bytes: number; torn: Buffer }
  | { ok: false; line: number; why: string };

/** Reads a chain from its first byte and stops at the first line that does not follow. `visit` sees each head. */
export async function walk(file: FileHandle, visit?: (head: Head) => void): Promise<Walk> {
  const chunk = Buffer.allocUnsafe(1024 * 1024);
  let head = noHead;
  let bytes = 0;
  let rest = Buffer.alloc(0);
  // As long as it is now: its writer may be at work.
  const { size } = await file.stat();
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, size - at), at);
    if (bytesRead === 0) return { ok: true, head, bytes, torn: rest };
    at += bytesRead;
    const seen = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    let from = 0;
    for (let end = seen.indexOf(10); end !== -1; end = seen.indexOf(10, from)) {
      const next = follow(head, seen.subarray(from, end));
      if (typeof next === 'string') return { ok: false, line: head.seq + 1, why: next };
      head = next;
      visit?.(head);
      bytes += end - from + 1;
      from = end + 1;
    }
    rest = Buffer.from(seen.subarray(from));
    if (rest.length > maxLineBytes)
      return { ok: false, line: head.seq + 1, why: `it is longer than ${maxLineBytes} bytes` };
  }
}

export type Verified =
  | {
      ok: true;
      count: number;
      head: Head /** Bytes of a line that is not whole (yet): a writer may be at work. */;
      tornBytes: number;
    }
  | { ok: false; line: number; why: string };

/**
 * Is every line where it was written? A changed, dropped or moved line is found by the chain alone. A cut tail is not:
 * give an `anchor`, a head that was seen (and signed) before, and its absence is found too.
 */
export async function verifyLedger(path: string, anchor?: Head): Promise<Verified> {
  const file = await open(path, 'r');
  try {
    let anchored: boolean | undefined = anchor === undefined || anchor.seq === 0 ? true : undefined;
    const seen = await walk(file, (head) => {
      if (anchor && head.seq === anchor.seq) anchored = head.hash === anchor.hash;
    });
    if (!seen.ok) return seen;
    if (anchor && anchored !== true) {
      const why =
        anchored === false ? 'it is not the line that was signed' : 'it is missing, though it was signed';
      return { ok: false, line: anchor.seq, why };
    }
    return { ok: true, count: seen.head.seq, head: seen.head, tornBytes: seen.torn.length };
  } finally {
    await file.close();
  }
}
