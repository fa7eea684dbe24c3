/** The file that a ledger writes: whole lines, made durable, and taken back where they cannot be. Called by ledger.ts. */
import { fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { type LedgerFault, reason, shut } from './fault.ts';

/** Throws when it is not as long as we made it. */
export function isOurs(file: FileHandle, bytes: number): void {
  const { size } = fstatSync(file.fd);
  if (size !== bytes) throw new ForeignWrite(`it has ${size} bytes, and we wrote ${bytes}`);
}

export async function write(file: FileHandle, bytes: Buffer, at: number): Promise<number> {
  // write(2) may take less than it was given, a nearly full disk for one.
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
  return bytes.length;
}

export async function sync(file: FileHandle): Promise<void> {
  try {
    await file.datasync();
  } catch (error) {
    throw new SyncFault(`fdatasync failed (${reason(error)})`, { cause: error });
  }
}

/** The file is not as long as we made it: there is a second writer, or it was cut. Nothing of it is ours to repair. */
export class ForeignWrite extends Error {}

/** After a failed fsync the kernel may forget the dirty pages and report success the next time (LWN 752063). */
class SyncFault extends Error {}

/** Back to the last durable line. Returns why the ledger stays shut until a restart, if it does. */
export async function takeBack(
  file: FileHandle,
  path: string,
  durableBytes: number,
  why: unknown,
): Promise<LedgerFault | undefined> {
  if (why instanceof ForeignWrite) return shut(path, why.message, why);
  try {
    await file.truncate(durableBytes);
    await file.datasync();
  } catch (error) {
    return shut(path, `a failed write could not be taken back (${reason(error)})`, error);
  }
  // Where space is reserved late, fdatasync is what finds the disk full; freeing some heals it.
  return why instanceof SyncFault && !['ENOSPC', 'EDQUOT'].includes(reason(why.cause))
    ? shut(path, why.message, why)
    : undefined;
}
