/** A network namespace with loopback and nothing else, held by one tiny process. The launcher makes one per world; the doors are opened inside it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { Problem } from '../problem.ts';

export type Mode = 'root' | 'user';

export type Namespace = {
  /** The holder: `/proc/<pid>/ns/net` is the namespace. */
  pid: number;
  close(): void;
};

// The route makes every TCP client work unmodified: a name resolves to an address in here, and the address leads to a door.
// `cat` waits on our pipe: when the launcher ends, however it ends, so does the holder, and the namespace with its last process.
const hold =
  'ip link set lo up && ip route add local 198.18.0.0/15 dev lo && echo held && exec cat >/dev/null';

/** As an ordinary user the holder owns an outer user namespace; the guest gets a second one below it, without capabilities in the first. */
export function openNamespace(mode: Mode): Promise<Namespace> {
  const flags = mode === 'root' ? ['--net'] : ['--user', '--map-root-user', '--net'];
  const holder = spawn('unshare', [...flags, 'sh', '-c', hold], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    detached: true, // Ctrl-C goes to the launcher, which ends things in order
  });
  return new Promise((resolve, reject) => {
    let said = '';
    holder.stderr.on('data', (text: Buffer) => {
      said += text.toString();
    });
    holder.once('error', (error) => reject(forbidden(error.message)));
    holder.once('exit', () => reject(forbidden(said.trim())));
    holder.stdout.once('data', () => {
      holder.removeAllListeners('exit');
      resolve({ pid: holder.pid ?? 0, close: () => end(holder) });
    });
  });
}

function end(holder: ChildProcess): void {
  holder.stdin?.destroy();
  holder.kill('SIGKILL');
}

const forbidden = (said: string): Problem =>
  new Problem(
    'no-namespace',
    503,
    `a network namespace cannot be made: ${said}`,
    'Run as root, or allow unprivileged user namespaces: `holdfast doctor` shows how on this machine.',
  );

/** The command prefix that enters the namespace and keeps who we are. */
export function enter(mode: Mode, pid: number): string[] {
  return mode === 'root'
    ? ['nsenter', `--net=/proc/${pid}/ns/net`, '--']
    : // Without the flag: "setgroups not permitted".
      ['nsenter', '--target', String(pid), '--user', '--net', '--preserve-credentials', '--'];
}
