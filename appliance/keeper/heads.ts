/** Every few seconds the keeper signs where each ledger stands, in its own ledger: what was acknowledged before cannot be taken back unseen. */
import { createHash, type KeyObject, sign } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** The last line runs from byte `from` to byte `bytes`, its newline included. */
type Head = { ledger: string; from: number; bytes: number; seq: number; hash: string };

const maxTailBytes = 512 * 1024; // a ledger line is at most 256 KiB

/** The last whole line of a ledger: its sequence number and hash. null for an empty or unreadable one. */
function readHead(folder: string, ledger: string): Head | null {
  let fd: number;
  try {
    fd = openSync(join(folder, ledger), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(size, maxTailBytes));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    const end = tail.lastIndexOf(10);
    if (end === -1) return null;
    const begin = end === 0 ? 0 : tail.lastIndexOf(10, end - 1) + 1;
    const line = tail.subarray(begin, end);
    const seq = Number((JSON.parse(line.toString('utf8')) as { seq?: unknown }).seq);
    const hash = createHash('sha256').update(line).digest('hex');
    const offset = size - tail.length;
    return { ledger, from: offset + begin, bytes: offset + end + 1, seq, hash };
  } catch {
    return null; // a torn or foreign line has no head; verification names it
  } finally {
    closeSync(fd);
  }
}

/** Is this head's line still where it was? A batch that could not be made durable is taken back by its writer. */
function stillThere(folder: string, head: Head): boolean {
  const line = Buffer.alloc(head.bytes - head.from - 1);
  try {
    const fd = openSync(
      join(folder, head.ledger),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    try {
      readSync(fd, line, 0, line.length, head.from);
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
  return createHash('sha256').update(line).digest('hex') === head.hash;
}

/**
 * Signs where each ledger stood at the call before this one: by then the line is on the disk, or it has been taken back.
 * null when nothing moved.
 */
export function createHeads(folder: string, key: KeyObject): { moved(): Record<string, unknown> | null } {
  const signed = new Map<string, string>();
  let before: Head[] = [];
  return {
    moved() {
      const heads = before.filter(
        (head) => signed.get(head.ledger) !== head.hash && stillThere(folder, head),
      );
      before = readdirSync(folder)
        .filter((file) => file.endsWith('.jsonl') && file !== 'keeper.jsonl')
        .sort()
        .map((file) => readHead(folder, file))
        .filter((head) => head !== null);
      if (heads.length === 0) return null;
      for (const head of heads) signed.set(head.ledger, head.hash);
      return { kind: 'heads', heads, signature: signText(key, 'heads', heads) };
    },
  };
}

/** Domain-separated, so that a signed receipt can never be shown as signed heads. */
export const signText = (key: KeyObject, what: string, value: unknown): string =>
  sign(null, Buffer.from(`holdfast ${what} v1\n${JSON.stringify(value)}`), key).toString('base64');
