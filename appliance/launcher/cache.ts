/** Node's compile cache of our own code, made once per version by a job and read-only ever after. Without it each process holds 14 MB of type stripper. up.ts asks before the first start. */
import { createHash } from 'node:crypto';
import {
  chownSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { view } from '../paths.ts';
import { processRow } from '../row.ts';
import type { Ground } from '../world/launch.ts';
import { runOnce } from '../world/once.ts';

const insideUser = 1000; // the uid that every process has in its own user namespace
const withinMs = 60_000;

/** Returns the cache folder, or null when it could not be made: everything runs without, only larger. */
export async function prepareCache(
  ground: Ground,
  uid: number,
  say: (text: string) => void,
): Promise<string | null> {
  try {
    const root =
      ground.mode === 'root'
        ? '/var/cache/holdfast'
        : join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'holdfast');
    const folder = join(root, keyOf(ground.code));
    if (!existsSync(folder)) {
      say('compiling Holdfast once for this version');
      mkdirSync(root, { recursive: true, mode: 0o755 });
      await make(ground, uid, root, folder);
    }
    return folder;
  } catch (error) {
    say(`no compile cache: ${error instanceof Error ? error.message : error}`);
    return null;
  }
}

/** Changes with any file of ours and with the lockfile. Node checks each entry against its source anyway; this only says when to make it anew. */
function keyOf(code: string): string {
  const hash = createHash('sha256').update(process.version);
  for (const file of [
    'package-lock.json',
    ...globSync('{appliance,proxies,sandbox}/**/*.ts', { cwd: code }).sort(),
  ]) {
    const { size, mtimeMs } = statSync(join(code, file));
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 16);
}

async function make(ground: Ground, uid: number, root: string, folder: string): Promise<void> {
  const temporary = mkdtempSync(join(root, 'new-'));
  try {
    if (ground.mode === 'root') chownSync(temporary, uid, uid);
    await run(ground, uid, temporary);
    if (readdirSync(temporary).length !== 1) throw new Error('the warming job left nothing');
    own(temporary, ground.mode === 'root');
    renameSync(temporary, folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(folder)) throw error; // else another start made it meanwhile
  }
}

async function run(ground: Ground, uid: number, into: string): Promise<void> {
  const roots = globSync('appliance/processes/*.ts', { cwd: ground.code })
    .filter((file) => !file.endsWith('/launcher.ts')) // that is us, and it does begin without doors
    .map((file) => `${view.code}/${file}`);
  const row = processRow('warm', {
    uid,
    memoryMb: 1024,
    runs: ['appliance/launcher/warm.ts', ...roots],
    env: { NODE_COMPILE_CACHE: view.cache, PATH: '/usr/bin' },
  });
  await runOnce({ ...ground, cache: into, cacheWritable: true }, row, null, withinMs);
}

/** Ours and read-only: an entry is code, so nobody who runs from it may write it. From the top down, and by descriptor: what was made as another uid can hold links. */
export function own(path: string, root: boolean): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  const found = fstatSync(fd);
  const folder = found.isDirectory();
  try {
    if (!folder && (!found.isFile() || found.nlink !== 1)) throw new Error(`${path} is not a plain file`);
    if (root) fchownSync(fd, 0, 0);
    fchmodSync(fd, folder ? 0o755 : 0o444);
  } finally {
    closeSync(fd);
  }
  if (folder) for (const name of readdirSync(path)) own(join(path, name), root);
}

/** Node names the inner folder `<version>-<arch>-<hash>-<uid>`: each uid of ours finds the one cache under its own name. */
export function nameCache(ground: Ground, uids: number[]): void {
  const folder = ground.cache;
  if (folder === null) return;
  const made = readdirSync(folder, { withFileTypes: true }).find((entry) => entry.isDirectory())?.name;
  if (!made) throw new Error(`${folder} is empty`);
  for (const uid of ground.mode === 'root' ? uids : [insideUser]) {
    const name = join(folder, made.replace(/-\d+$/, `-${uid}`));
    if (!existsSync(name)) {
      try {
        symlinkSync(made, name);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another appliance did it just now
      }
    }
  }
}
