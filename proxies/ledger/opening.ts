/** Where a ledger stands when it is opened: the end of its chain, and whether a rotation was cut short. Called by ledger.ts, before it writes anything. */
import type { FileHandle } from 'node:fs/promises';
import { open, rm } from 'node:fs/promises';
import { beginsWith, clearParts, type Segment, segmentsIn, syncFolder } from './archive.ts';
import { type Walk, walk } from './chain.ts';
import { LedgerFault } from './fault.ts';
import { type Head, headOf, type Line, maxLineBytes } from './line.ts';

export type End = {
  head: Head;
  /** Number of the live segment. */
  number: number;
  /** The live file has no line yet, though a segment was put away: its first line is to be written. */
  fresh: boolean;
  /** Where the last whole line of the live file ends. */
  bytes: number;
  torn: Buffer;
  /** When the live segment began, ms of Unix time. */
  since: number | undefined;
};

/**
 * Reads the live file (and the last segment, where the live file has no line) and finishes or undoes what a crash left of a
 * rotation. Throws `broken-chain`; then nothing was repaired, because a ledger that does not chain is evidence.
 */
export async function findEnd(
  live: FileHandle,
  path: string,
  archive: string | undefined,
  visit?: (line: Line) => void,
): Promise<End> {
  const seen = sound(path, await walk(live, visit && ((_, line) => visit(line))));
  const last = (await segmentsIn(archive)).at(-1);
  if (!seen.first) {
    const before = last && (await walked(last, visit));
    if (archive !== undefined) await clearParts(archive);
    if (!before) return { ...at(seen), number: 1, fresh: false };
    return { ...at(seen), head: before, number: (last?.number ?? 0) + 1, fresh: true };
  }
  const number = seen.first.kind === 'segment' ? Number(seen.first.number) : 1;
  const broken = (why: string): LedgerFault => new LedgerFault('broken-chain', `${path} line 1: ${why}`);
  if (last && last.number > number) throw broken(`it begins segment ${number}, and ${last.file} is there`);
  if (last?.number === number) {
    // Put away and not yet emptied. The live file may have gone on since, where the copy could not be removed.
    if (!(await beginsWith(live, last.file)))
      throw broken(`${last.file} holds the same segment with other lines`);
    await rm(last.file);
    if (archive !== undefined) await syncFolder(archive);
  }
  // Where the segment before is gone, we go on and `verify` names it: it is not for a process that serves to judge.
  if (last?.number === number - 1) {
    const before = await lastHead(last);
    if (before?.seq !== seen.first.seq - 1 || before.hash !== seen.first.prev)
      throw broken(`it does not follow the last line of ${last.file}`);
  }
  if (archive !== undefined) await clearParts(archive);
  return { ...at(seen), number, fresh: false };
}

const at = (seen: Extract<Walk, { ok: true }>): Omit<End, 'number' | 'fresh'> => ({
  head: seen.head,
  bytes: seen.bytes,
  torn: seen.torn,
  since: seen.first && Date.parse(seen.first.at),
});

function sound(path: string, seen: Walk): Extract<Walk, { ok: true }> {
  if (!seen.ok) throw new LedgerFault('broken-chain', `${path} line ${seen.line}: ${seen.why}`);
  return seen;
}

async function walked({ file }: Segment, visit?: (line: Line) => void): Promise<Head> {
  const handle = await open(file, 'r');
  try {
    const seen = sound(file, await walk(handle, visit && ((_, line) => visit(line))));
    if (!seen.first || seen.torn.length > 0)
      throw new LedgerFault('broken-chain', `${file} line ${seen.count + 1}: it is cut off`);
    return seen.head;
  } finally {
    await handle.close();
  }
}

/** Of a segment that was put away; only its last line is read. null where it does not end with a line. */
async function lastHead({ file }: Segment): Promise<Head | null> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(size, 2 * maxLineBytes));
    await handle.read(tail, 0, tail.length, size - tail.length);
    const begin = tail.lastIndexOf(10, tail.length - 2) + 1;
    return tail.at(-1) === 10 ? headOf(tail.subarray(begin, tail.length - 1)) : null;
  } finally {
    await handle.close();
  }
}
