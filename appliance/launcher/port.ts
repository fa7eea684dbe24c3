/** Who holds a port that we want: from /proc, so that the message can name it. Called by up.ts when a door is taken. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

export type Holder = { pid: number; command: string };

/** null when nobody listens there, or when it is another user's and /proc does not say. */
export function holderOf(port: number): Holder | null {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => listening(file, port)));
  if (inodes.size === 0) return null;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      if (inode && inodes.has(inode)) return { pid: Number(pid), command: commandOf(pid) };
    }
  }
  return null;
}

/** proc(5), net/tcp: local address in hex, state 0A is LISTEN, the tenth column is the inode. */
function listening(file: string, port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return read(file)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((row) => row[1]?.endsWith(`:${hex}`) && row[3] === '0A')
    .map((row) => row[9] ?? '');
}

/** Programs that people know by another name than their command line. */
const names: [RegExp, string][] = [
  [/openclaw/i, 'an OpenClaw gateway'],
  [/\/appliance\/processes\/\w+\.ts/, 'another Holdfast'],
];

export function sayHolder(port: number, holder: Holder | null): string {
  if (!holder) return `port ${port} is taken, by a process that this user cannot see`;
  const who = names.find(([pattern]) => pattern.test(holder.command))?.[1] ?? holder.command;
  return `port ${port} is held by ${who} (pid ${holder.pid})`;
}

const commandOf = (pid: string): string =>
  read(`/proc/${pid}/cmdline`).split('\0').join(' ').trim().slice(0, 240);

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
