/** Doors: listening sockets created inside a world's namespace and handed, as raw descriptors, to the process that serves them. The launcher keeps none. */
import { fork } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Problem } from '../problem.ts';
import { makeFolders, planted } from './entry.ts';
import { enter, type Mode } from './namespace.ts';

export type Wanted = { name: string; listen: string };

export type OpenDoor = {
  name: string;
  fd: number;
  /** Close the launcher's copy, right after the server was spawned: the backlog lives as long as any holder. */
  close(): void;
};

type RawHandle = { fd: number; close(): void };
type Said = { opened?: string; failed?: string; listen?: string; code?: string; message?: string };

/** Opens all of them or none. `pid` is the namespace's holder, null for the host. */
export async function openDoors(mode: Mode, pid: number | null, wanted: Wanted[]): Promise<OpenDoor[]> {
  if (wanted.length === 0) return [];
  const [program = process.execPath, ...prefix] = pid === null ? [process.execPath] : enter(mode, pid);
  const opener = fork(join(import.meta.dirname, 'opener.ts'), [JSON.stringify(wanted)], {
    execPath: pid === null ? process.execPath : findOnPath(program),
    execArgv: pid === null ? [] : [...prefix, process.execPath],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const open = new Map<string, RawHandle>();
  let failed: Said | undefined;
  let said = '';
  opener.stderr?.on('data', (text: Buffer) => {
    said += text.toString();
  });
  opener.on('message', (message: Said, handle: unknown) => {
    if (message.opened !== undefined && handle) open.set(message.opened, handle as RawHandle);
    if (message.failed !== undefined) failed = message;
  });
  const timer = setTimeout(() => opener.kill('SIGKILL'), 10_000);
  await new Promise<void>((resolve) => {
    opener.once('error', (error) => {
      said += error.message;
      resolve();
    });
    opener.once('close', () => resolve());
  });
  clearTimeout(timer);
  const doors = wanted.map(({ name }): OpenDoor | undefined => {
    const handle = open.get(name);
    return handle && { name, fd: handle.fd, close: () => handle.close() };
  });
  if (doors.every((door) => door !== undefined)) return doors;
  for (const door of doors) door?.close();
  throw new Problem(
    failed?.code === 'EADDRINUSE' ? 'door-taken' : 'no-door',
    503,
    `door ${failed?.failed ?? '?'} cannot be opened at ${failed?.listen ?? '?'}: ${failed?.code ?? said.trim()}`,
    failed?.code === 'EADDRINUSE' ? 'Something already listens there.' : 'See `holdfast doctor`.',
  );
}

// fork() does not search PATH.
const findOnPath = (program: string): string => (program.startsWith('/') ? program : `/usr/bin/${program}`);

/** A unix socket's place: a folder of its own, so that a remade socket is seen through a mount of the folder. */
export function clearSocketPlace(path: string): void {
  makeFolders(dirname(dirname(path)), basename(dirname(path)), 0o755);
  rmSync(path, { force: true });
}

/** The file mode is the permission: owner serves, group may connect. */
export function permitSocket(path: string, mode: Mode, uid: number, gid: number): void {
  if (!lstatSync(path).isSocket()) throw planted(path, 'is not a socket');
  if (mode === 'root') chownSync(path, uid, gid);
  chmodSync(path, mode === 'root' ? 0o660 : 0o600);
}
