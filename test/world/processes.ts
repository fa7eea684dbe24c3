/** Processes as root sees them from outside: what a view's process has around it and in it (root only). */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';

/** A process and everything below it. The first is bubblewrap, the last is the program. */
export function tree(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
    const stat = read(`/proc/${name}/stat`).toString('latin1');
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const found = [pid];
  for (const each of found) for (const [child, parent] of parents) if (parent === each) found.push(child);
  return found;
}

export function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0); // it ended meanwhile
  }
}

/** Every process whose environment or command line holds the text. */
export const told = (text: string): string[] =>
  readdirSync('/proc')
    .filter((each) => /^\d+$/.test(each))
    .flatMap((pid) => ['environ', 'cmdline'].map((file) => `/proc/${pid}/${file}`))
    .filter((file) => read(file).includes(text));

/** Does its writable memory hold the text? */
export function remembers(pid: number, text: string): boolean {
  const wanted = Buffer.from(text);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const piece = Buffer.alloc(4 * 1024 * 1024);
  try {
    for (const line of read(`/proc/${pid}/maps`).toString('latin1').split('\n')) {
      const [, from = '0', to = '0'] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      const end = Number.parseInt(to, 16);
      // Pieces overlap, so that a text across the seam is seen.
      for (let at = Number.parseInt(from, 16); at < end; at += piece.length - wanted.length) {
        const got = readPiece(memory, piece.subarray(0, Math.min(piece.length, end - at)), at);
        if (piece.subarray(0, got).includes(wanted)) return true;
      }
    }
    return false;
  } finally {
    closeSync(memory);
  }
}

function readPiece(memory: number, into: Buffer, at: number): number {
  try {
    return readSync(memory, into, 0, into.length, at);
  } catch {
    return 0; // unmapped meanwhile, or a page that is not there to read
  }
}
