/** The five walls and two limits of a world, each proven from inside before a guest starts. The launcher and `holdfast doctor` ask. */
import { readFileSync, readlinkSync } from 'node:fs';
import { asProblemJson } from '../problem.ts';
import type { Process } from '../row.ts';
import { installProfile } from './apparmor.ts';
import type { Ground } from './launch.ts';
import { openNamespace } from './namespace.ts';
import { runOnce } from './once.ts';
import type { Seen } from './probe.ts';

export type Wall = {
  wall: 'network' | 'mounts' | 'processes' | 'privileges' | 'system calls' | 'own uid' | 'cgroup';
  /** A missing wall keeps the guest from starting; an absent limit is what ordinary-user mode cannot give. */
  state: 'stands' | 'missing' | 'absent';
  detail: string;
  fix?: string;
};

const walls = ['network', 'mounts', 'processes', 'privileges', 'system calls'] as const;
const none = '0000000000000000';
const probeWithinMs = 20_000; // a slow card starts node in five
const allowedRoot = [
  'bin',
  'dev',
  'etc',
  'home',
  'lib',
  'lib64',
  'opt',
  'proc',
  'sbin',
  'tmp',
  'usr',
  'workspace',
];

/** The five walls stand, and as root the two limits as well. */
export const sealed = (found: Wall[]): boolean =>
  walls.every((wall) => found.some((each) => each.wall === wall && each.state === 'stands')) &&
  !found.some((each) => each.state === 'missing');

/** Builds the guest's world once more around a probe. `namespacePid` is the world's own namespace; null makes a throwaway one. */
export async function checkWalls(
  ground: Ground,
  guest: Process,
  namespacePid: number | null,
): Promise<Wall[]> {
  try {
    if (namespacePid !== null) return judge(ground, guest, await look(ground, guest, namespacePid));
    const namespace = await openNamespace(ground.mode);
    try {
      return judge(ground, guest, await look(ground, guest, namespace.pid));
    } finally {
      namespace.close();
    }
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const { hint } = asProblemJson(error);
    return walls.map((wall) => ({ wall, state: 'missing', detail: said, fix: fixFor(said) ?? hint }));
  }
}

async function look(ground: Ground, guest: Process, namespacePid: number): Promise<Seen> {
  const probe: Process = {
    ...guest,
    name: `probe@${guest.guest}`,
    runs: ['appliance/world/probe.ts'],
    env: { PATH: '/usr/bin' },
  };
  const { stdout, stderr } = await runOnce(ground, probe, namespacePid, probeWithinMs);
  try {
    return JSON.parse(stdout) as Seen;
  } catch {
    throw new Error(`the world cannot be built: ${stderr.trim() || 'its probe said nothing'}`);
  }
}

function judge(ground: Ground, guest: Process, seen: Seen): Wall[] {
  const strange = seen.rootEntries.filter((entry) => !allowedRoot.includes(entry));
  const held = Object.entries(seen.capabilities).filter(([, set]) => set !== none);
  const wall = (name: Wall['wall'], stands: boolean, detail: string): Wall => ({
    wall: name,
    state: stands ? 'stands' : 'missing',
    detail,
    ...(stands
      ? {}
      : {
          fix: 'This is a fault of Holdfast or of this machine: no guest starts here. See `holdfast doctor`.',
        }),
  });
  return [
    wall('network', seen.interfaces.join() === 'lo', `interfaces: ${seen.interfaces.join(', ')}`),
    wall(
      'mounts',
      strange.length === 0 && !seen.rootWritable,
      strange.length > 0
        ? `unexpected: ${strange.join(', ')}`
        : 'an empty root, read-only, with listed paths',
    ),
    wall(
      'processes',
      seen.pidNamespace !== readlinkSync('/proc/self/ns/pid') && seen.pids <= 8,
      `own pid namespace, ${seen.pids} processes visible`,
    ),
    wall(
      'privileges',
      held.length === 0 && seen.noNewPrivs,
      held.length > 0
        ? `holds ${held.map(([set]) => set).join(', ')}`
        : 'no capabilities, empty bounding set, no_new_privs',
    ),
    wall(
      'system calls',
      seen.seccomp === 2 && !seen.userNamespaceAllowed && !seen.netlinkAllowed,
      `seccomp mode ${seen.seccomp}`,
    ),
    ground.mode === 'root'
      ? wall('own uid', seen.uid === guest.uid, `uid ${seen.uid}`)
      : {
          wall: 'own uid',
          state: 'absent',
          detail: 'ordinary-user mode has one host uid for everything',
          fix: 'Run as root for an own uid per process.',
        },
    limits(ground, guest),
  ];
}

function limits(ground: Ground, guest: Process): Wall {
  if (ground.cgroups) {
    return {
      wall: 'cgroup',
      state: 'stands',
      detail: `memory ${guest.memoryMb} MB, ${guest.pids} processes, freeze and kill`,
    };
  }
  if (ground.mode === 'root') {
    return {
      wall: 'cgroup',
      state: 'missing',
      detail: 'this machine has no cgroup v2 hierarchy that root may write to',
      fix: 'Mount cgroup2, or run Holdfast outside this container.',
    };
  }
  return {
    wall: 'cgroup',
    state: 'absent',
    detail: 'no cgroup: no memory or process limit',
    fix: 'Run as root for limits.',
  };
}

/** The messages of bubblewrap and unshare where a machine forbids namespaces, and what to do there. */
export function fixFor(
  said: string,
  at = { restricted: restrictedByAppArmor(), root: process.getuid?.() === 0 },
): string | undefined {
  if (/bwrap: (not found|No such file)/.test(said)) return 'Install bubblewrap: apt-get install bubblewrap';
  // ENOSPC: user.max_user_namespaces is used up, or was set to 0 (user_namespaces(7))
  const usedUp = /no space left on device|ENOSPC/i.test(said);
  if (!usedUp && !/permission denied|operation not permitted|uid map/i.test(said)) return undefined;
  if (at.root) {
    return 'This root may not make namespaces, as in a container: run Holdfast on the machine itself, or in a VM.';
  }
  if (at.restricted) return installProfile;
  return usedUp
    ? 'This machine allows no more namespaces: run Holdfast as root, or allow them: sudo sysctl -w user.max_user_namespaces=15000'
    : 'This machine forbids namespaces for this user: run Holdfast as root, or, where the kernel has the switch, sudo sysctl -w kernel.unprivileged_userns_clone=1';
}

function restrictedByAppArmor(): boolean {
  try {
    return readFileSync('/proc/sys/kernel/apparmor_restrict_unprivileged_userns', 'utf8').trim() === '1';
  } catch {
    return false;
  }
}
