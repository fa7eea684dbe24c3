/** The view of a process: an empty root on which only listed paths appear. Rendered to bubblewrap's arguments by the launcher. */
import type { Mode } from './namespace.ts';

export type Mount =
  | { kind: 'ro' | 'rw'; from: string; to: string; optional?: boolean }
  | { kind: 'tmp'; to: string; sizeMb: number }
  | { kind: 'folder'; to: string }
  | { kind: 'link'; to: string; target: string };

export type View = {
  mounts: Mount[];
  env: Record<string, string>;
  cwd: string;
  /** An own, empty network namespace; otherwise the one the process was started in. */
  unshareNetwork: boolean;
  uid: number;
  gid: number;
  groups: number[];
  /** Descriptor number of a compiled seccomp filter, or null. */
  seccompFd: number | null;
};

/** What every program needs to start at all; no /run, /var, /home, /root, /sys, and of /etc only what we wrote. */
export const base: Mount[] = [
  { kind: 'ro', from: '/usr', to: '/usr' },
  { kind: 'link', to: '/bin', target: 'usr/bin' },
  { kind: 'link', to: '/sbin', target: 'usr/sbin' },
  { kind: 'link', to: '/lib', target: 'usr/lib' },
  { kind: 'link', to: '/lib64', target: 'usr/lib64' },
];

// Entries of /proc that ask for uid 0 (core_pattern, sysrq-trigger) or for nobody at all (pressure) and for no capability: runc's
// read-only paths and what the battery found. bubblewrap covers none of them that looks unwritable to it.
const ofTheMachine = [
  ...['acpi', 'asound', 'bus', 'driver', 'fs', 'irq', 'mtrr', 'pressure', 'scsi', 'sys', 'sysrq-trigger'],
];

/** bubblewrap 0.8 or newer. The command goes after these arguments. */
export function bwrap(mode: Mode, view: View): string[] {
  return [
    'bwrap',
    ...(mode === 'user'
      ? ['--unshare-user', '--disable-userns', '--uid', String(view.uid), '--gid', String(view.gid)]
      : []),
    ...(view.unshareNetwork ? ['--unshare-net'] : []),
    ...['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', '--hostname', 'holdfast'],
    ...['--die-with-parent', '--new-session', '--clearenv'],
    ...Object.entries(view.env).flatMap(([name, value]) => ['--setenv', name, value]),
    ...['--proc', '/proc', '--dev', '/dev', ...tmp('/dev/shm', 64), ...tmp('/tmp', 64)],
    ...parents(view.mounts),
    ...view.mounts.flatMap(mount),
    ...ofTheMachine.flatMap((entry) => ['--ro-bind-try', `/proc/${entry}`, `/proc/${entry}`]),
    // /dev is a tmpfs without a size: whoever owns it could fill the memory.
    ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', view.cwd],
    ...(view.seccompFd === null ? [] : ['--seccomp', String(view.seccompFd)]),
    ...(mode === 'root' ? asUid(view) : ['--cap-drop', 'ALL', '--']),
  ];
}

// bwrap's own --cap-drop leaves root's bounding set full, so setpriv empties it and then becomes the uid.
const asUid = (view: View): string[] => [
  ...['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((cap) => ['--cap-add', cap]),
  ...['--', 'setpriv', '--reuid', String(view.uid), '--regid', String(view.gid)],
  ...(view.groups.length > 0 ? ['--groups', view.groups.join(',')] : ['--clear-groups']),
  ...['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--no-new-privs', '--'],
];

const tmp = (to: string, sizeMb: number): string[] => [
  '--size',
  String(sizeMb * 1024 * 1024),
  '--perms',
  '1777',
  '--tmpfs',
  to,
];

function mount(each: Mount): string[] {
  if (each.kind === 'tmp') return tmp(each.to, each.sizeMb);
  if (each.kind === 'folder') return [];
  if (each.kind === 'link') return ['--symlink', each.target, each.to];
  const verb = each.kind === 'ro' ? '--ro-bind' : '--bind';
  return [each.optional ? `${verb}-try` : verb, each.from, each.to];
}

/** bwrap makes missing parents 0700 and root's, which a dropped uid cannot pass: make each of them 0755 first. */
function parents(mounts: Mount[]): string[] {
  const all = new Set<string>();
  for (const each of mounts) {
    const parts = each.to.split('/').slice(1, each.kind === 'folder' ? undefined : -1);
    for (let depth = 1; depth <= parts.length; depth += 1) all.add(`/${parts.slice(0, depth).join('/')}`);
  }
  for (const given of ['/', '/tmp', '/dev', '/dev/shm', '/proc']) all.delete(given);
  return [...all].sort().flatMap((path) => ['--perms', '0755', '--dir', path]);
}
