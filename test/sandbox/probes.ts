/** System calls tried from inside, by number, in Perl, which every Debian has: the same list under bubblewrap and in a container. */
import { machineArch } from '../../sandbox/seccomp.ts';
import { groups } from '../../sandbox/syscalls.ts';

export const EPERM = 1;
export const ENOSYS = 38;

/** `privileged`: without the wall it needs root, so an ordinary user's control cannot succeed. */
export type Probe = {
  name: string;
  call: string;
  args: (number | bigint)[];
  errno: number;
  privileged?: true;
};

const at = machineArch() === 'x86_64' ? 0 : 1;

export function numberOf(call: string): number | null {
  for (const { calls } of groups) {
    const numbers = calls[call];
    if (numbers) return numbers[at] ?? null;
  }
  throw new Error(`${call} is in no group`);
}

const bad = -1;

/** Each with arguments that change nothing where it is allowed. */
export const refusals: Probe[] = [
  { name: 'unshare', call: 'unshare', args: [0], errno: EPERM },
  { name: 'setns', call: 'setns', args: [bad, 0], errno: EPERM },
  { name: 'mount', call: 'mount', args: [1, 1, 1, 0, 0], errno: EPERM, privileged: true },
  { name: 'umount2', call: 'umount2', args: [1, 0], errno: EPERM, privileged: true },
  { name: 'pivot_root', call: 'pivot_root', args: [1, 1], errno: EPERM, privileged: true },
  { name: 'chroot', call: 'chroot', args: [1], errno: EPERM },
  { name: 'fsopen', call: 'fsopen', args: [1, 0], errno: EPERM, privileged: true },
  { name: 'open_tree', call: 'open_tree', args: [bad, 1, 0], errno: EPERM },
  { name: 'keyctl', call: 'keyctl', args: [0xffff], errno: EPERM },
  { name: 'add_key', call: 'add_key', args: [1, 1, 1, 0, 0], errno: EPERM },
  { name: 'ptrace', call: 'ptrace', args: [0xffff, bad, 0, 0], errno: EPERM },
  { name: 'process_vm_readv', call: 'process_vm_readv', args: [bad, 0, 0, 0, 0, 0], errno: EPERM },
  { name: 'pidfd_getfd', call: 'pidfd_getfd', args: [bad, 0, 0], errno: EPERM },
  { name: 'userfaultfd', call: 'userfaultfd', args: [bad], errno: EPERM, privileged: true },
  { name: 'bpf', call: 'bpf', args: [0xffff, 1, 0], errno: EPERM, privileged: true },
  { name: 'perf_event_open', call: 'perf_event_open', args: [1, 0, bad, bad, 0], errno: EPERM },
  { name: 'io_uring_setup', call: 'io_uring_setup', args: [0, 1], errno: EPERM, privileged: true },
  { name: 'name_to_handle_at', call: 'name_to_handle_at', args: [bad, 1, 1, 1, 0], errno: EPERM },
  { name: 'open_by_handle_at', call: 'open_by_handle_at', args: [bad, 1, 0], errno: EPERM, privileged: true },
  { name: 'clock_settime', call: 'clock_settime', args: [0, 1], errno: EPERM },
  { name: 'settimeofday', call: 'settimeofday', args: [1, 0], errno: EPERM },
  { name: 'reboot', call: 'reboot', args: [0, 0, 0, 0], errno: EPERM, privileged: true },
  { name: 'swapon', call: 'swapon', args: [1, 0], errno: EPERM, privileged: true },
  { name: 'init_module', call: 'init_module', args: [1, 0, 1], errno: EPERM, privileged: true },
  { name: 'kexec_load', call: 'kexec_load', args: [0, 0xffff, 1, bad], errno: EPERM, privileged: true },
  { name: 'quotactl', call: 'quotactl', args: [bad, 1, 0, 0], errno: EPERM },
  { name: 'personality beyond the usual', call: 'personality', args: [0x0200000], errno: EPERM },
  { name: 'AF_NETLINK', call: 'socket', args: [16, 3, 0], errno: EPERM },
  { name: 'AF_PACKET', call: 'socket', args: [17, 3, 0], errno: EPERM, privileged: true },
  { name: 'AF_VSOCK', call: 'socket', args: [40, 1, 0], errno: EPERM },
  { name: 'AF_ALG', call: 'socket', args: [38, 5, 0], errno: EPERM },
  { name: 'AF_NETLINK behind a high bit', call: 'socket', args: [(1n << 32n) | 16n, 3, 0], errno: EPERM },
  { name: 'socketpair of AF_INET', call: 'socketpair', args: [2, 1, 0, 1], errno: EPERM },
  { name: 'TIOCSTI', call: 'ioctl', args: [bad, 0x5412, 0], errno: EPERM },
  { name: 'TIOCSTI behind a high bit', call: 'ioctl', args: [bad, (1n << 32n) | 0x5412n, 0], errno: EPERM },
  { name: 'TIOCLINUX', call: 'ioctl', args: [bad, 0x541c, 0], errno: EPERM },
];

/** Calls that must not be refused: EBADF, EFAULT or success. */
export const allowances: Omit<Probe, 'errno'>[] = [
  { name: 'another ioctl', call: 'ioctl', args: [bad, 0x5413, 0] },
  { name: 'AF_UNIX', call: 'socket', args: [1, 1, 0] },
  { name: 'AF_INET', call: 'socket', args: [2, 1, 0] },
  { name: 'AF_INET6', call: 'socket', args: [10, 1, 0] },
  { name: 'personality, asked', call: 'personality', args: [0xffffffff] },
  { name: 'getpid', call: 'getpid', args: [] },
  { name: 'seccomp', call: 'seccomp', args: [0xffff, 0, 0] },
  { name: 'setresuid to nothing', call: 'setresuid', args: [bad, bad, bad] },
];

/** A Perl program that prints `name<TAB>errno` for each, 0 for success. Calls that this machine does not have are left out. */
export function perlFor(probes: Omit<Probe, 'errno'>[]): string {
  const rows = probes.flatMap(({ name, call, args }) => {
    const number = numberOf(call);
    return number === null ? [] : [`["${name}", ${[number, ...args].join(', ')}]`];
  });
  return `$| = 1; for my $p (${rows.join(', ')}) { my ($name, $nr, @a) = @$p; $! = 0; my $r = syscall($nr, @a); print "$name\\t", ($r == -1 ? $! + 0 : 0), "\\n"; }`;
}

export const parseProbes = (stdout: string): Map<string, number> =>
  new Map(
    stdout
      .trim()
      .split('\n')
      .map((line): [string, number] => {
        const [name = '', errno = ''] = line.split('\t');
        return [name, Number(errno)];
      }),
  );
