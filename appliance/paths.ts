/** Where things are: the home folder, the run folder with one folder per socket, and the same two as a process sees them in its view. */
import { createHash } from 'node:crypto';
import { lstatSync, realpathSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { Problem } from './problem.ts';

/** Inside every view; on the appliance these are also the true paths. */
export const view = {
  code: '/opt/holdfast',
  home: '/var/lib/holdfast',
  run: '/run/holdfast',
  credentials: '/run/credentials',
  cgroup: '/run/cgroup',
  cache: '/opt/cache',
} as const;

export type Home = {
  /** 8 hex of the home's real path: in every cgroup and container label, so that cleaners touch their own only. */
  instance: string;
  home: string;
  run: string;
  socket(name: string): string;
};

/** By the account and not by HOME, which a `sudo` may leave as it was. A uid without an account has nothing else. */
export function defaultHome(): string {
  try {
    return join(userInfo().homedir, '.holdfast');
  } catch {
    return join(process.env.HOME ?? '/', '.holdfast');
  }
}

/** The home must exist. The run folder's path is short, because a socket's path has 108 bytes (unix(7)). */
export function homePaths(home: string): Home {
  const real = realpathSync(resolve(home));
  const instance = createHash('sha256').update(real).digest('hex').slice(0, 8);
  const run = join(runRoot(), instance);
  return { instance, home: real, run, socket: (name) => socketPath(run, name) };
}

export const socketPath = (run: string, name: string): string => join(run, name, 'sock');

function runRoot(): string {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return '/run/holdfast';
  const given = process.env.XDG_RUNTIME_DIR;
  const root = given ? join(given, 'holdfast') : `/tmp/holdfast-${uid}`;
  refusePlanted(root, uid);
  return root;
}

/** Below /tmp anybody could have made it first, with sockets in it that answer in our name. One that is not there yet is made 0700. */
function refusePlanted(root: string, uid: number): void {
  const found = lstatSync(root, { throwIfNoEntry: false });
  if (!found || (found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0)) return;
  let what = 'is not a plain folder';
  if (found.isDirectory())
    what = found.uid === uid ? 'may be written by others' : `belongs to uid ${found.uid}`;
  throw new Problem(
    'planted',
    409,
    `${root} ${what}`,
    'Look at it, then remove it; or set XDG_RUNTIME_DIR to a folder of your own.',
  );
}
