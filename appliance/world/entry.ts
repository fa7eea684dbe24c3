/** An entry of the home or run folder, made and opened so that nothing planted in its place is followed: no link, no second name, no pipe. The launcher's home, trail, logs and run folder and the places of sockets open through it. */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
} from 'node:fs';
import { join } from 'node:path';
import { Problem } from '../problem.ts';
import type { Entry } from '../row.ts';
import type { Mode } from './namespace.ts';

export const planted = (path: string, what: string): Problem =>
  new Problem(
    'planted',
    409,
    `${path} ${what}`,
    'Somebody put something else in its place. Look at it, then remove it.',
  );

/** The descriptor of a plain file with one name. O_NONBLOCK: a pipe would wait for its other end before it could be refused. */
export function openFile(path: string, flags: number, mode = 0o600): number {
  let fd: number;
  try {
    fd = openSync(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode);
  } catch (error) {
    // ELOOP: a link; EISDIR: a folder; ENXIO: a socket, or a pipe without a reader
    if (['ELOOP', 'EISDIR', 'ENXIO'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw planted(path, 'is not a plain file');
    throw error;
  }
  const found = fstatSync(fd);
  if (found.isFile() && found.nlink === 1) return fd;
  closeSync(fd);
  throw planted(path, found.isFile() ? 'has a second name' : 'is not a plain file');
}

/** The descriptor of a folder that is one itself. */
function openFolder(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (['ELOOP', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw planted(path, 'is not a plain folder');
    throw error;
  }
}

/** Makes what is missing of `path` below `top`, and refuses every part that is not a folder itself. */
export function makeFolders(top: string, path: string, mode: number): void {
  let at = top;
  for (const part of path.split('/').filter((each) => each !== '')) {
    at = join(at, part);
    if (!lstatSync(at, { throwIfNoEntry: false })) mkdirSync(at, { mode });
    closeSync(openFolder(at));
  }
}

/** The entry with the owner and mode that its process has. Its parents are ours alone, so nobody can change it in between. */
export function prepareEntry(home: string, mode: Mode, entry: Entry, uid: number, gid: number): void {
  const path = join(home, entry.path);
  makeFolders(home, entry.path.split('/').slice(0, -1).join('/'), 0o711);
  if (entry.kind === 'folder') makeFolders(home, entry.path, entry.mode);
  const fd =
    entry.kind === 'folder'
      ? openFolder(path)
      : openFile(path, constants.O_RDWR | constants.O_CREAT, entry.mode);
  try {
    if (mode === 'root') fchownSync(fd, uid, gid);
    fchmodSync(fd, entry.mode);
  } finally {
    closeSync(fd);
  }
}

/** A folder that we write in by name: a plain one, ours, and nobody else's to change. Throws when another user owns it. */
export function ownFolder(path: string): void {
  const fd = openFolder(path);
  try {
    const { uid, mode } = fstatSync(fd);
    const us = process.getuid?.() ?? 0;
    if (us === 0) fchownSync(fd, 0, 0);
    else if (uid !== us) throw planted(path, `belongs to uid ${uid}`);
    fchmodSync(fd, mode & 0o7755);
  } finally {
    closeSync(fd);
  }
}
