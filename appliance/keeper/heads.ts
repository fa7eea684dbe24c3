/** Every few seconds the keeper signs where each ledger stands, in its own ledger: what was acknowledged before cannot be taken back unseen. */
import { type KeyObject, sign } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { ledgerOf, openCheckpoint, signCheckpoint } from '../../proxies/ledger/checkpoint.ts';
import { type Head, lineHash } from '../../proxies/ledger/line.ts';

/** A last line and where it stands: from byte `from` to byte `bytes`, its newline included. */
type Seen = Head & { ledger: string; from: number; bytes: number };

const maxTailBytes = 512 * 1024; // a ledger line is at most 256 KiB

/** Where nothing moved, that is signed too: an unsigned stretch would be one in which lines can be cut away (CVE-2023-31438). */
const sealEveryMs = 60_000;

const own = 'keeper';

function readAt<T>(folder: string, ledger: string, read: (fd: number) => T): T | null {
  let fd: number;
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    fd = openSync(join(folder, `${ledger}.jsonl`), flags);
  } catch {
    return null;
  }
  try {
    return read(fd);
  } catch {
    return null; // a torn or foreign line has no head; verification names it
  } finally {
    closeSync(fd);
  }
}

/** The last whole line of a ledger: its sequence number and hash. null for an empty or unreadable one. */
const readHead = (folder: string, ledger: string): Seen | null =>
  readAt(folder, ledger, (fd) => {
    const { size } = fstatSync(fd);
    const tail = Buffer.alloc(Math.min(size, maxTailBytes));
    readSync(fd, tail, 0, tail.length, size - tail.length);
    const end = tail.lastIndexOf(10);
    if (end === -1) return null;
    const begin = end === 0 ? 0 : tail.lastIndexOf(10, end - 1) + 1;
    const line = tail.subarray(begin, end);
    const seq = /^\{"seq":(\d{1,15})[,}]/.exec(line.toString('latin1', 0, 32))?.[1];
    if (seq === undefined) return null;
    const offset = size - tail.length;
    const place = { from: offset + begin, bytes: offset + end + 1 };
    return { ledger, seq: Number(seq), hash: lineHash(line), ...place };
  });

/** Is this head's line still where it was? A batch that could not be made durable is taken back by its writer. */
const stillThere = (folder: string, head: Seen): boolean =>
  readAt(folder, head.ledger, (fd) => {
    const line = Buffer.alloc(head.bytes - head.from - 1);
    readSync(fd, line, 0, line.length, head.from);
    return lineHash(line) === head.hash;
  }) === true;

export type Heads = {
  /**
   * Signs where each ledger stood at the call before this one: by then the line is on the disk, or it has been taken back. The
   * record for the keeper's ledger, whose own head is `standing`; null when nothing moved and nothing is to be sealed.
   */
  moved(standing?: Head): Record<string, unknown> | null;
  /** A line of the keeper's ledger from before this start. */
  learn(line: Record<string, unknown>): void;
  /** What the next segment of the keeper's ledger begins with. */
  carry(): Record<string, unknown>;
};

/** `name` begins the origin of every checkpoint: holdfast/<instance>. */
export function createHeads(
  folder: string,
  key: KeyObject,
  name = 'holdfast',
  clock: { now(): number; monotonicMs(): number } = {
    now: () => Date.now(),
    monotonicMs: () => performance.now(),
  },
): Heads {
  const signed = new Map<string, { seq: number; hash: string; note: string }>();
  /** No checkpoint may contradict an earlier one: what was cut or begun anew is said once, and signed no more. */
  const refused = new Map<string, string>();
  let before: Seen[] = [];
  let beforeAt = '';
  let sealedMs = Number.NEGATIVE_INFINITY;

  const goesOn = (head: Seen): boolean => {
    const last = signed.get(head.ledger);
    return !last || head.seq > last.seq || (head.seq === last.seq && head.hash === last.hash);
  };
  const seal = (ledger: string, { seq, hash }: Head, at: string): string => {
    const note = signCheckpoint({ origin: `${name}/${ledger}`, size: seq, hash, at }, key);
    signed.set(ledger, { seq, hash, note });
    return note;
  };

  return {
    moved(standing) {
      const at = new Date(clock.now()).toISOString();
      const sealing = clock.monotonicMs() - sealedMs >= sealEveryMs;
      const found = before.filter((head) => !refused.has(head.ledger) && stillThere(folder, head));
      const broken = found.filter((head) => !goesOn(head));
      for (const head of broken)
        refused.set(
          head.ledger,
          `it was signed at line ${signed.get(head.ledger)?.seq}, and ends with another line ${head.seq}`,
        );
      const due = found.filter(
        (head) => goesOn(head) && (sealing || signed.get(head.ledger)?.hash !== head.hash),
      );
      const notes = due.map((head) => seal(head.ledger, head, beforeAt));
      before = readdirSync(folder)
        .filter((file) => file.endsWith('.jsonl'))
        .map((file) => file.slice(0, -'.jsonl'.length))
        .filter((ledger) => ledger !== own)
        .sort()
        .map((ledger) => readHead(folder, ledger))
        .filter((head) => head !== null);
      beforeAt = at;
      if (notes.length === 0 && broken.length === 0) return null;
      if (sealing) sealedMs = clock.monotonicMs();
      if (standing && standing.seq > 0) notes.push(seal(own, standing, at));
      const contradicted = broken.map(({ ledger }) => [ledger, refused.get(ledger)]);
      return {
        kind: 'checkpoints',
        notes,
        ...(broken.length > 0 ? { contradicted: Object.fromEntries(contradicted) } : {}),
      };
    },
    learn(line) {
      const { notes, contradicted } = (line.kind === 'segment' ? (line.carry ?? {}) : line) as {
        notes?: unknown;
        contradicted?: unknown;
      };
      for (const note of Array.isArray(notes) ? notes : []) {
        const point = openCheckpoint(String(note), key);
        if (point) signed.set(ledgerOf(point), { seq: point.size, hash: point.hash, note: String(note) });
      }
      for (const [ledger, why] of Object.entries(contradicted ?? {})) refused.set(ledger, String(why));
    },
    carry: () => ({
      notes: [...signed.values()].map(({ note }) => note),
      ...(refused.size > 0 ? { contradicted: Object.fromEntries(refused) } : {}),
    }),
  };
}

/** Domain-separated, so that a signed receipt can never be shown as a signed checkpoint. */
export const signText = (key: KeyObject, what: string, value: unknown): string =>
  sign(null, Buffer.from(`holdfast ${what} v1\n${JSON.stringify(value)}`), key).toString('base64');
