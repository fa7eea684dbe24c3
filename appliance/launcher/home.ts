/** The home folder: made once, with a latch that says armed; and before each start, every entry of the manifest with its owner and mode. Called by up.ts and the house. */
import {
  chownSync,
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { encodeLatch } from '../keeper/latch.ts';
import { Problem } from '../problem.ts';
import type { Manifest } from '../row.ts';
import { makeFolders, openFile, ownFolder, prepareEntry } from '../world/entry.ts';
import type { Mode } from '../world/namespace.ts';

/** Written last: a home with this file has been armed once, so a latch that is missing beside it was lost. */
const marker = 'home.json';

/** Idempotent. Returns whether this was the first run. */
export function createHome(home: string): boolean {
  if (existsSync(join(home, marker))) return false;
  if (existsSync(home) && readdirSync(home).some((name) => !known.includes(name.replace(/\.new$/, '')))) {
    throw new Problem(
      'not-a-home',
      409,
      `${home} holds files that are not Holdfast's`,
      'Choose an empty or new folder: --home DIR.',
    );
  }
  makeOwn(home);
  // One that is there already stays as it is: losing home.json must not re-arm a killed box.
  if (!lstatSync(join(home, 'latch'), { throwIfNoEntry: false })) {
    const armed = encodeLatch({ state: 'armed', epoch: 1, at: new Date().toISOString() });
    replaceFile(join(home, 'latch'), armed.toString('latin1'), 0o600);
  }
  replaceFile(
    join(home, marker),
    `${JSON.stringify({ format: 1, createdAt: new Date().toISOString() })}\n`,
    0o644,
  );
  return true;
}

/** Ours in the home; what others own inside them is in the manifest. */
const folders = [
  'audit',
  'secrets',
  'secrets/llm',
  'agents',
  'shared',
  'shared/logs',
  'shared/logs/docker-changes',
  'shared/logs/errors',
  'shared/reports',
];

function makeOwn(home: string): void {
  mkdirSync(home, { recursive: true, mode: 0o711 });
  ownFolder(home);
  for (const folder of folders) {
    makeFolders(home, folder, folder.startsWith('secrets') ? 0o700 : 0o711);
    ownFolder(join(home, folder));
  }
}

/** What a first run may find: the owner's preparations, or what a cut-short one left. */
const known = [marker, 'holdfast.yaml', 'secrets', 'audit', 'agents', 'keys', 'shared', 'latch'];

/** Temp, fsync, rename, fsync of the folder. */
export function replaceFile(path: string, text: string, mode: number, owner?: number): void {
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true }); // of a start that was cut short
  const fd = openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode);
  if (owner !== undefined) fchownSync(fd, owner, owner);
  writeFileSync(fd, text); // to the last byte: a single write(2) on a full disk may be short
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
  makeOwn(home);
  for (const row of manifest.processes) {
    for (const entry of row.writes)
      prepareEntry(home, mode, entry, row.uid, entry.path.startsWith('audit/') ? auditGroup : row.uid);
  }
  for (const { agent, uid } of manifest.worlds) {
    prepareEntry(home, mode, { path: `agents/${agent}`, kind: 'folder', mode: 0o711 }, 0, 0);
    for (const own of ['workspace', 'state'])
      prepareEntry(home, mode, { path: `agents/${agent}/${own}`, kind: 'folder', mode: 0o700 }, uid, uid);
  }
}

/** Names of the keys that the owner has put down, one file each. */
export const keyFiles = (home: string): string[] =>
  existsSync(join(home, 'secrets', 'llm'))
    ? readdirSync(join(home, 'secrets', 'llm')).filter((name) => /^[a-z0-9][a-z0-9._-]*$/i.test(name))
    : [];

/** The secrets of one process, copied to where only it can read them; the way systemd's LoadCredential= does it. Returns whether they are others than before. */
export function giveCredentials(
  ground: { home: string; run: string; mode: Mode },
  process: string,
  secrets: string,
  uid: number,
): boolean {
  const to = join(ground.run, 'credentials', process);
  mkdirSync(to, { recursive: true, mode: 0o700 });
  const given = readdirSync(join(ground.home, 'secrets', secrets));
  let changed = false;
  for (const old of readdirSync(to)) {
    if (given.includes(old)) continue;
    rmSync(join(to, old));
    changed = true;
  }
  for (const name of given) {
    const from = join(ground.home, 'secrets', secrets, name);
    if (!lstatSync(from).isFile()) continue;
    const fd = openFile(from, constants.O_RDONLY);
    try {
      const value = readFileSync(fd, 'utf8');
      const at = join(to, name);
      changed ||= !holds(at, value);
      replaceFile(at, value, 0o400, ground.mode === 'root' ? uid : undefined);
    } finally {
      closeSync(fd);
    }
  }
  if (ground.mode === 'root') chownSync(to, uid, uid);
  return changed;
}

/** What cannot be read as a plain file is not it, and is replaced. */
function holds(file: string, value: string): boolean {
  try {
    const fd = openFile(file, constants.O_RDONLY);
    try {
      return readFileSync(fd, 'utf8') === value;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
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
