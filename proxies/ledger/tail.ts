/** The last lines of a ledger, parsed, without reading the rest. The controller's pages and the CLI call it while the owner writes and rotates. */
import { open } from 'node:fs/promises';
import { archiveOf, segmentsIn } from './archive.ts';
import type { Line } from './line.ts';
import { backwards } from './newest.ts';

export type LedgerLine = Line;

/** Enough for a page of the largest lines, and for what stands between the lines that are wanted; who needs more verifies or indexes instead. */
const maxTailBytes = 64 * 1024 * 1024;

export type TailOptions = {
  /** Only lines of these kinds: pieces of bodies and the ledger's own bookkeeping are not for a page. All, when not given. */
  kinds?: readonly string[];
  archive?: string | undefined;
};

/** At most `count` whole lines, oldest first, over segments where the live file has too few. A line that is not JSON is left out: `verifyLedger` is what names it. */
export async function tailLedger(
  path: string,
  count: number,
  { kinds, archive = archiveOf(path) }: TailOptions = {},
): Promise<LedgerLine[]> {
  const lines: LedgerLine[] = [];
  let left = maxTailBytes;
  let lowest = Number.POSITIVE_INFINITY;
  const readFrom = async (file: string): Promise<void> => {
    const handle = await open(file, 'r');
    try {
      if (lines.length >= count) return;
      for await (const bytes of backwards(handle)) {
        left -= bytes.length;
        if (left < 0) return;
        if (kinds && !mayBe(kinds, bytes)) continue;
        const line = parse(bytes);
        // A segment that was put away while we read the live file stands in both.
        if (!line || (typeof line.seq === 'number' && line.seq >= lowest)) continue;
        if (kinds && !kinds.includes(String(line.kind))) continue;
        lines.push(line);
        lowest = line.seq;
        if (lines.length >= count) return;
      }
    } finally {
      await handle.close();
    }
  };
  await readFrom(path);
  if (lines.length < count) {
    for (const { file } of (await segmentsIn(archive)).toReversed()) {
      if (lines.length >= count || left < 0) break;
      await readFrom(file);
    }
  }
  return lines.reverse();
}

const kindOf = /^\{"seq":\d{1,15},"at":"[^"\\]{20,30}","prev":"[0-9a-f]{64}","kind":"([^"\\]{1,30})"/;

/** Spares the parsing of large lines that say at once what they are. */
function mayBe(kinds: readonly string[], bytes: Buffer): boolean {
  const kind = kindOf.exec(bytes.toString('latin1', 0, 200))?.[1];
  return kind === undefined || kinds.includes(kind);
}

function parse(bytes: Buffer): LedgerLine | undefined {
  try {
    return JSON.parse(bytes.toString()) as LedgerLine;
  } catch {
    return undefined;
  }
}
