/** The last lines of a ledger, parsed, without reading the rest. The controller's pages and the CLI call it while the owner writes. */
import { open } from 'node:fs/promises';

export type LedgerLine = { seq: number; at: string; prev: string } & Record<string, unknown>;

const blockBytes = 64 * 1024;
/** Enough for a page of the largest lines; a caller who wants more verifies or indexes instead. */
const maxTailBytes = 16 * 1024 * 1024;

/** At most `count` whole lines, oldest first. A line that is not JSON is left out: `verifyLedger` is what names it. */
export async function tailLedger(path: string, count: number): Promise<LedgerLine[]> {
  const file = await open(path, 'r');
  try {
    let at = (await file.stat()).size;
    let seen = Buffer.alloc(0);
    // One newline more than lines wanted: the one before the first of them.
    while (at > 0 && newlines(seen) <= count && seen.length < maxTailBytes) {
      const size = Math.min(blockBytes, at);
      at -= size;
      const block = Buffer.alloc(size);
      const { bytesRead } = await file.read(block, 0, size, at);
      seen = Buffer.concat([block.subarray(0, bytesRead), seen]);
    }
    const lines = seen.toString('utf8').split('\n');
    lines.pop(); // empty, or the line that is being written
    if (at > 0) lines.shift(); // its beginning was not read
    return lines.slice(Math.max(0, lines.length - count)).flatMap((line) => parse(line));
  } finally {
    await file.close();
  }
}

function newlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

function parse(line: string): LedgerLine[] {
  try {
    return [JSON.parse(line) as LedgerLine];
  } catch {
    return [];
  }
}
