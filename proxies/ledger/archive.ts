/** The segments that a ledger has put away: NAME/000001.jsonl, NAME/000002.jsonl ... beside NAME.jsonl. ledger.ts fills the folder; chain.ts, tail.ts and blobs.ts read it. */
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

// A segment is put away whole and never written again. Its steps, each of which a crash may be the last of:
//   copy the live file to N.jsonl.part, fsync, rename to N.jsonl, fsync of the folder, truncate the live file.
// Until the truncation the live file is the truth, and a copy of it (whole or not) may be thrown away.

export type Segment = { number: number; file: string };

const copyBytes = 1024 * 1024;

/** audit/traffic.jsonl -> audit/traffic. undefined for a file that is not called so. */
export const archiveOf = (path: string): string | undefined =>
  path.endsWith('.jsonl') ? path.slice(0, -'.jsonl'.length) : undefined;

export const segmentFile = (folder: string, number: number): string =>
  join(folder, `${String(number).padStart(6, '0')}.jsonl`);

/** What is in the archive, oldest first. A folder that is not there holds nothing. */
export async function segmentsIn(folder: string | undefined): Promise<Segment[]> {
  return (await namesIn(folder))
    .map((name) => /^(\d{6})\.jsonl$/.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map((digits) => ({ number: Number(digits), file: join(folder ?? '', `${digits}.jsonl`) }))
    .sort((a, b) => a.number - b.number);
}

/** Copies that a crash cut short. */
export async function clearParts(folder: string): Promise<void> {
  for (const name of await namesIn(folder)) {
    if (/^\d{6}\.jsonl\.part$/.test(name)) await rm(join(folder, name));
  }
}

/** The live file as a segment of its own, durably. Whatever it throws, the archive is as it was before, or `Halfway` says that it may not be. */
export async function putAway(live: FileHandle, bytes: number, to: string, folder: string): Promise<void> {
  const part = `${to}.part`;
  let named = false;
  try {
    // Readable by all, in a folder that only its owner and the readers of ledgers pass.
    const copy = await open(part, 'wx', 0o444);
    try {
      await copy.chmod(0o444); // whatever the umask is
      await copyAll(live, bytes, copy);
      await copy.sync();
    } finally {
      await copy.close();
    }
    await rename(part, to);
    named = true;
    await syncFolder(folder);
  } catch (error) {
    try {
      await rm(named ? to : part, { force: true });
    } catch (again) {
      if (named) throw new Halfway(`${to} could not be made durable and not be removed`, { cause: again });
    }
    throw error;
  }
}

/** The copy stands under its name, and neither is it durable nor could it be removed: the live file must not grow beyond it. */
export class Halfway extends Error {}

async function copyAll(from: FileHandle, bytes: number, to: FileHandle): Promise<void> {
  const chunk = Buffer.allocUnsafe(Math.min(copyBytes, bytes));
  for (let at = 0; at < bytes; ) {
    const { bytesRead } = await from.read(chunk, 0, Math.min(chunk.length, bytes - at), at);
    if (bytesRead === 0) throw new Error('the live file is shorter than what we wrote');
    for (let done = 0; done < bytesRead; ) {
      done += (await to.write(chunk, done, bytesRead - done, at + done)).bytesWritten;
    }
    at += bytesRead;
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const entry = await open(folder, 'r');
  try {
    await entry.sync();
  } finally {
    await entry.close();
  }
}

/** Is this segment a copy of how the live file begins? Then the crash came before the truncation. */
export async function beginsWith(live: FileHandle, segment: string): Promise<boolean> {
  const copy = await open(segment, 'r');
  try {
    const [mine, theirs] = [Buffer.allocUnsafe(copyBytes), Buffer.allocUnsafe(copyBytes)];
    for (let at = 0; ; ) {
      const { bytesRead } = await copy.read(theirs, 0, copyBytes, at);
      if (bytesRead === 0) return true;
      const seen = await live.read(mine, 0, bytesRead, at);
      if (seen.bytesRead !== bytesRead) return false;
      if (!mine.subarray(0, bytesRead).equals(theirs.subarray(0, bytesRead))) return false;
      at += bytesRead;
    }
  } finally {
    await copy.close();
  }
}

async function namesIn(folder: string | undefined): Promise<string[]> {
  if (folder === undefined) return [];
  try {
    return await readdir(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}
