/** The latch: one preallocated file, overwritten in place, that says armed or killed across any restart. The keeper writes it; whatever cannot be read is killed. */
import { createHash } from 'node:crypto';
import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

/*
 * FORMAT: exactly 512 bytes, one sector, ASCII:
 *   "holdfast-latch-v1 <armed|killed> <epoch> <ISO time> <first 32 hex of sha256 over all before>\n", padded with spaces and a last "\n".
 */
export const latchBytes = 512;

export type Latch = { state: 'armed' | 'killed'; epoch: number; at: string; why?: string };

export function encodeLatch(latch: { state: 'armed' | 'killed'; epoch: number; at: string }): Buffer {
  const text = `holdfast-latch-v1 ${latch.state} ${latch.epoch} ${latch.at}`;
  return Buffer.from(`${`${text} ${sum(text)}\n`.padEnd(latchBytes - 1)}\n`, 'ascii');
}

const sum = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);

/** Never throws: missing, short, altered or unreadable is killed, with the reason. */
export function readLatch(path: string): Latch {
  const killed = (why: string): Latch => ({ state: 'killed', epoch: 0, at: '', why });
  const bytes = Buffer.alloc(latchBytes + 1);
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const read = readSync(fd, bytes, 0, latchBytes + 1, 0);
      if (read !== latchBytes) return killed(`the latch has ${read} bytes, not ${latchBytes}`);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    return killed(`the latch cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  const found = /^(holdfast-latch-v1 (armed|killed) (\d{1,15}) (\S+)) ([0-9a-f]{32})\n *\n$/.exec(
    bytes.toString('latin1', 0, latchBytes),
  );
  if (!found?.[1] || sum(found[1]) !== found[5]) return killed('the latch is damaged');
  return { state: found[2] === 'armed' ? 'armed' : 'killed', epoch: Number(found[3]), at: found[4] ?? '' };
}

/** In place, one write, fsync. Throws when the disk refuses; the caller then stays killed. */
export function writeLatch(
  path: string,
  latch: { state: 'armed' | 'killed'; epoch: number; at: string },
): void {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    const wrote = writeSync(fd, encodeLatch(latch), 0, latchBytes, 0);
    if (wrote !== latchBytes) throw new Error(`only ${wrote} bytes of the latch were written`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
