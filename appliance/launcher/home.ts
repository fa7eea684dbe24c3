/** The home folder: made once, with a latch that says armed; and before each start, every entry of the manifest with its owner and mode. Called by up.ts and the house. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { encodeLatch } from '../keeper/latch.ts';
import type { Entry, Manifest } from '../manifest.ts';
import { Problem } from '../problem.ts';
import type { Mode } from '../world/namespace.ts';

/** Written last: a home with this file has been armed once, so a latch that is missing beside it was lost. */
const marker = 'home.json';

/** Idempotent. Returns whether this was the first run. */
export function createHome(home: string): boolean {
  if (existsSync(join(home, marker))) return false;
  if (existsSync(home) && readdirSync(home).some((name) => !known.includes(name))) {
    throw new Problem(
      'not-a-home',
      409,
      `${home} holds files that are not Holdfast's`,
      'Choose an empty or new folder: --home DIR.',
    );
  }
  for (const folder of [
    '',
    'audit',
    'secrets',
    'secrets/llm',
    'agents',
    'keys',
    'shared',
    'shared/logs',
    'shared/logs/docker-changes',
    'shared/logs/errors',
    'shared/reports',
  ]) {
    mkdirSync(join(home, folder), { recursive: true, mode: folder.startsWith('secrets') ? 0o700 : 0o711 });
  }
  const latch = openSync(join(home, 'latch'), 'w', 0o600);
  writeSync(latch, encodeLatch({ state: 'armed', epoch: 1, at: new Date().toISOString() }));
  fsyncSync(latch);
  closeSync(latch);
  replaceFile(
    join(home, marker),
    `${JSON.stringify({ format: 1, createdAt: new Date().toISOString() })}\n`,
    0o644,
  );
  return true;
}

const known = ['holdfast.yaml', 'secrets', 'audit', 'agents', 'keys', 'shared', 'latch'];

/** Temp, fsync, rename, fsync of the folder. */
export function replaceFile(path: string, text: string, mode: number): void {
  const temporary = `${path}.new`;
  const fd = openSync(
    temporary,
    constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW,
    mode,
  );
  writeSync(fd, text);
  fsyncSync(fd);
  closeSync(fd);
  renameSync(temporary, path);
  const folder = openSync(dirname(path), 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/** A number for each agent, never given twice: the files of a removed agent keep their owner. */
export function agentNumbers(home: string, agents: string[]): Record<string, number> {
  const file = join(home, 'agents', 'numbers.json');
  const numbers: Record<string, number> = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>)
    : {};
  let highest = Math.max(-1, ...Object.values(numbers));
  const fresh = agents.filter((agent) => numbers[agent] === undefined);
  for (const agent of fresh) {
    highest += 1;
    numbers[agent] = highest;
  }
  if (fresh.length > 0) replaceFile(file, `${JSON.stringify(numbers)}\n`, 0o644);
  return numbers;
}

/** Every entry that a view shows, with the owner that its process has. A planted link in its place is refused, never followed. */
export function prepareEntries(home: string, mode: Mode, manifest: Manifest, auditGroup: number): void {
  for (const row of manifest.processes) {
    for (const entry of row.writes)
      prepare(home, mode, entry, row.uid, entry.path.startsWith('audit/') ? auditGroup : row.uid);
  }
  for (const { agent, uid } of manifest.worlds) {
    prepare(home, mode, { path: `agents/${agent}`, kind: 'folder', mode: 0o711 }, 0, 0);
    for (const own of ['workspace', 'state'])
      prepare(home, mode, { path: `agents/${agent}/${own}`, kind: 'folder', mode: 0o700 }, uid, uid);
  }
}

function prepare(home: string, mode: Mode, entry: Entry, uid: number, gid: number): void {
  const path = join(home, entry.path);
  mkdirSync(dirname(path), { recursive: true, mode: 0o711 });
  if (entry.kind === 'folder' && !existsSync(path)) mkdirSync(path, { mode: entry.mode });
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found && (entry.kind === 'folder' ? !found.isDirectory() : !found.isFile())) {
    throw new Problem(
      'planted',
      409,
      `${path} is not a plain ${entry.kind}`,
      'Somebody put something else in its place. Look at it, then remove it.',
    );
  }
  if (entry.kind === 'folder') {
    if (mode === 'root') chownSync(path, uid, gid);
    chmodSync(path, entry.mode);
    return;
  }
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, entry.mode);
  try {
    if (fstatSync(fd).nlink !== 1) {
      throw new Problem(
        'planted',
        409,
        `${path} has a second name`,
        'Somebody linked it. Look at it, then remove it.',
      );
    }
    if (mode === 'root') fchownSync(fd, uid, gid);
    fchmodSync(fd, entry.mode);
  } finally {
    closeSync(fd);
  }
}

/** Names of the keys that the owner has put down, one file each. */
export const keyFiles = (home: string): string[] =>
  existsSync(join(home, 'secrets', 'llm'))
    ? readdirSync(join(home, 'secrets', 'llm')).filter((name) => /^[a-z0-9][a-z0-9._-]*$/i.test(name))
    : [];

/** The secrets of one process, copied to where only it can read them; the way systemd's LoadCredential= does it. */
export function giveCredentials(
  ground: { home: string; run: string; mode: Mode },
  process: string,
  secrets: string,
  uid: number,
): void {
  const to = join(ground.run, 'credentials', process);
  mkdirSync(to, { recursive: true, mode: 0o700 });
  const given = readdirSync(join(ground.home, 'secrets', secrets));
  for (const old of readdirSync(to)) if (!given.includes(old)) rmSync(join(to, old));
  for (const name of given) {
    const from = join(ground.home, 'secrets', secrets, name);
    if (!lstatSync(from).isFile()) continue;
    replaceFile(join(to, name), readFileSync(from, 'utf8'), 0o400);
    if (ground.mode === 'root') chownSync(join(to, name), uid, uid);
  }
  if (ground.mode === 'root') chownSync(to, uid, uid);
}

/** /etc of every view: names for numbers, and a resolver that is the names door. */
export function writeEtc(run: string): void {
  const files: Record<string, string> = {
    passwd: 'root:x:0:0:root:/:/usr/sbin/nologin\nagent:x:1000:1000:agent:/home/agent:/bin/sh\n',
    group: 'root:x:0:\nagent:x:1000:\n',
    hosts: '127.0.0.1 localhost\n',
    'resolv.conf': 'nameserver 127.0.0.53\noptions timeout:2 attempts:1\n',
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
  };
  mkdirSync(join(run, 'etc'), { recursive: true, mode: 0o755 });
  for (const [name, text] of Object.entries(files))
    writeFileSync(join(run, 'etc', name), text, { mode: 0o644 });
}
