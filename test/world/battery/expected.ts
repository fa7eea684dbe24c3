/** What the battery is to find: where each probe has its control, and by name what a machine or a launch mode cannot have. Read by test/invariants/01-only-loopback.test.ts. */
import { serviceSockets, type Where } from './stage.ts';

/** Every probe not named here has its control `outside`: as root in throwaway namespaces with a far end. */
export const elsewhere: Record<Exclude<Where, 'outside'> | 'second world', string[]> = {
  host: [
    'tcp service on host loopback',
    'udp service on host loopback',
    'abstract unix socket of the host',
    'unix socket in the host /tmp, mode 0777',
    'the launch socket',
    ...serviceSockets.map((path) => `unix socket ${path}`),
    'signal a process of the host',
    'read /proc of a process of the host',
    'descriptors beyond 0, 1 and 2',
    'environment beyond the manifest',
  ],
  person: [
    'setuid helper su',
    'setuid helper mount',
    'a setuid program planted in the workspace',
    'a program with file capabilities planted in the workspace',
  ],
  terminal: ['a controlling terminal'],
  'second world': ['a door of another agent', 'a datagram door of another agent'],
};

/** A control that cannot be open everywhere: the errno with which a machine without it answers. Any other answer fails the test. */
export const absent: Record<string, { errno: string[]; why: string }> = {
  'sctp out': { errno: ['EPROTONOSUPPORT', 'ESOCKTNOSUPPORT'], why: 'kernel without SCTP' },
  'tcp6 out': { errno: ['EAFNOSUPPORT', 'EADDRNOTAVAIL'], why: 'kernel without IPv6' },
  'udp6 out': { errno: ['EAFNOSUPPORT', 'EADDRNOTAVAIL'], why: 'kernel without IPv6' },
  'dns over udp6': { errno: ['EAFNOSUPPORT', 'EADDRNOTAVAIL'], why: 'kernel without IPv6' },
  'raw ipv6': { errno: ['EAFNOSUPPORT', 'EADDRNOTAVAIL'], why: 'kernel without IPv6' },
  vsock: { errno: ['EAFNOSUPPORT'], why: 'kernel without vsock' },
  'kernel crypto socket': { errno: ['EAFNOSUPPORT'], why: 'kernel without AF_ALG' },
  bluetooth: { errno: ['EAFNOSUPPORT', 'EPROTONOSUPPORT'], why: 'kernel without Bluetooth' },
  xdp: { errno: ['EAFNOSUPPORT'], why: 'kernel without AF_XDP' },
  'tun device': { errno: ['ENOENT', 'ENODEV'], why: 'kernel or container without tun' },
  'netlink: add a dummy': { errno: ['EOPNOTSUPP'], why: 'kernel without dummy interfaces' },
  'netlink: add an nftables table': {
    errno: ['EPROTONOSUPPORT', 'EOPNOTSUPP', 'EINVAL'],
    why: 'kernel without nftables',
  },
  'iptables by getsockopt': { errno: ['ENOPROTOOPT'], why: 'kernel without legacy iptables' },
  io_uring: { errno: ['ENOSYS', 'EPERM'], why: 'built without, or kernel.io_uring_disabled' },
  userfaultfd: { errno: ['ENOSYS'], why: 'kernel built without' },
  kcmp: { errno: ['ENOSYS'], why: 'kernel built without' },
  fanotify: { errno: ['ENOSYS'], why: 'kernel built without' },
  'load a kernel module': { errno: ['ENOSYS', 'EPERM'], why: 'kernel without modules, or locked' },
  'unload a kernel module': { errno: ['ENOSYS', 'EPERM'], why: 'kernel without modules, or locked' },
  'lower oom score': { errno: ['EACCES'], why: 'this root has no CAP_SYS_RESOURCE' },
  'type into a terminal (TIOCSTI)': { errno: ['EIO'], why: 'dev.tty.legacy_tiocsti is off' },
  'open /proc/sysrq-trigger for writing': { errno: ['ENOENT'], why: 'kernel without sysrq' },
  'open /proc/sys/kernel/modprobe for writing': { errno: ['ENOENT'], why: 'kernel without modules' },
  'open /proc/irq/default_smp_affinity for writing': { errno: ['ENOENT'], why: 'one CPU' },
  'read /dev/mem': { errno: ['ENOENT', 'EPERM'], why: 'kernel without, or locked' },
  'read /dev/kmsg': { errno: ['ENOENT'], why: 'container without' },
  'read /proc/kcore': { errno: ['ENOENT', 'EPERM'], why: 'kernel without, or locked' },
  'read the disk': { errno: ['ENOENT', 'EPERM'], why: 'container or virtual machine that hides it' },
  'open by file handle': { errno: ['EOPNOTSUPP'], why: 'a file system without handles' },
};

/** Limits that need a cgroup, which an ordinary user cannot make: they are run there, and are open. */
export const notInUserMode = ['more processes than the limit', 'more memory than the limit'];

/** A test run that is not root can show these open, and no others: it names the rest. */
export const shownByAnybody = [
  ...elsewhere.host.filter((name) => !serviceSockets.some((path) => name.endsWith(path))),
  ...elsewhere.terminal,
  ...elsewhere['second world'],
];

/** Exact: a probe that stops printing is as bad as one that is open. */
export const counts = { root: 150, user: 148 };
