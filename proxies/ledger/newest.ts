/** The lines of a ledger from the last to the first, over the live file and its archive, in constant memory. exchange.ts reads through here while the owner writes and rotates. */
import { type FileHandle, open } from 'node:fs/promises';
import { archiveOf, segmentsIn } from './archive.ts';

export type NewestLine = {
  seq: number;
  kind: string;
  /** The file it stands in: a segment holds everything that its lines refer to. */
  file: string;
  /** Without its newline. Good until the next line is asked for. */
  bytes: Buffer;
};

const blockBytes = 1024 * 1024;

const beginning =
  /^\{"seq":(\d{1,15}),"at":"[^"\\]{20,30}","prev":"[0-9a-f]{64}"(?:,"kind":"([a-z-]{1,30})")?/;

/**
 * Stops at what does not follow, instead of guessing: `verifyLedger` is what names a broken line. A rotation in between is
 * seen by its numbers: the rest of the live file is then in the archive, whose names are read after it. Of a file whose lines are
 * all after line `from`, nothing is read.
 */
export async function* newestFirst(
  path: string,
  from = Number.POSITIVE_INFINITY,
): AsyncGenerator<NewestLine> {
  let lowest = Number.POSITIVE_INFINITY;
  async function* of(file: string): AsyncGenerator<NewestLine> {
    const handle = await open(file, 'r');
    try {
      const first = Number.isFinite(from) ? await firstSeq(handle) : undefined;
      if (first !== undefined && first > from) {
        lowest = Math.min(lowest, first);
        return;
      }
      for await (const bytes of backwards(handle)) {
        const found = beginning.exec(bytes.toString('latin1', 0, 200));
        if (!found) return;
        const seq = Number(found[1]);
        // A segment that was put away and not yet cut from the live file stands in both.
        if (seq >= lowest) continue;
        if (Number.isFinite(lowest) && seq !== lowest - 1) return;
        lowest = seq;
        yield { seq, kind: found[2] ?? '', file, bytes };
      }
    } finally {
      await handle.close();
    }
  }
  yield* of(path);
  const segments = await segmentsIn(archiveOf(path));
  for (const { file } of segments.toReversed()) yield* of(file);
}

async function firstSeq(file: FileHandle): Promise<number | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(200), 0, 200, 0);
  const found = beginning.exec(buffer.toString('latin1', 0, bytesRead));
  return found ? Number(found[1]) : undefined;
}

/** What stands after the last newline is being written, and left out. */
export async function* backwards(file: FileHandle): AsyncGenerator<Buffer> {
  let at = (await file.stat()).size;
  let rest: Buffer | undefined;
  while (at > 0) {
    const size = Math.min(blockBytes, at);
    const block = Buffer.allocUnsafe(size);
    const { bytesRead } = await file.read(block, 0, size, at - size);
    if (bytesRead < size) return; // it was cut while we read
    at -= size;
    let end = block.length;
    if (rest === undefined) {
      end = block.lastIndexOf(10);
      if (end === -1) continue;
      rest = Buffer.alloc(0);
    }
    for (let newline = before(block, end); newline !== -1; newline = before(block, end)) {
      yield rest.length === 0
        ? block.subarray(newline + 1, end)
        : Buffer.concat([block.subarray(newline + 1, end), rest]);
      rest = Buffer.alloc(0);
      end = newline;
    }
    rest = Buffer.concat([block.subarray(0, end), rest]);
  }
  if (rest !== undefined && rest.length > 0) yield rest;
}

const before = (block: Buffer, end: number): number => (end === 0 ? -1 : block.lastIndexOf(10, end - 1));
