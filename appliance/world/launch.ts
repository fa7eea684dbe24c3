/** Starts one row of the manifest: its folders, its view, its descriptors, its uid, its cgroup. The launcher (up.ts) calls it; nothing else starts a process of ours. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { socketPath, view } from '../paths.ts';
import type { Process } from '../row.ts';
import type { Cgroups } from './cgroup.ts';
import type { OpenDoor } from './door.ts';
import { enter, type Mode } from './namespace.ts';
import { below, lives, type Member } from './tree.ts';
import { base, bwrap, type Mount } from './view.ts';

/** What all launches of one appliance share. */
export type Ground = {
  mode: Mode;
  home: string;
  run: string;
  /** The checkout. */
  code: string;
  cgroups: Cgroups | null;
  /** File with the compiled seccomp filter. */
  filter: string;
  /** Folder of the compile cache, read-only in every view; null runs without. */
  cache: string | null;
  /** Only for the job that makes it. */
  cacheWritable?: boolean;
};

export type Launched = {
  child: ChildProcess;
  /** Kills the whole process tree: by cgroup where there is one, else by process id. */
  kill(): void;
  /** After a kill: something of the tree is still there. */
  living(): boolean;
};

const codeParts = [
  'appliance',
  'proxies',
  'sandbox',
  'images',
  'provisioning',
  'node_modules',
  'package.json',
];

/** `namespacePid` is the holder for a row whose network is a world. The caller closes its copies of `doors` afterwards. */
export function launch(
  ground: Ground,
  row: Process,
  doors: OpenDoor[],
  namespacePid: number | null,
): Launched {
  const filterFd = openSync(ground.filter, 'r');
  const seccompFd = 3 + doors.length;
  const command = [
    ...enterStage(ground, row, seccompFd),
    ...(namespacePid === null ? [] : enter(ground.mode, namespacePid)),
    ...bwrap(ground.mode, {
      mounts: [
        ...base,
        ...codeMounts(ground),
        ...etc(ground),
        ...cacheMount(ground),
        ...(row.guest === null ? ours(ground, row) : guests(ground, row.guest)),
      ],
      env: {
        ...(row.guest === null ? ourEnv(row, doors) : {}),
        ...row.env,
      },
      cwd: row.guest === null ? '/' : '/workspace',
      unshareNetwork: row.network === 'none',
      uid: ground.mode === 'root' ? row.uid : 1000,
      gid: ground.mode === 'root' ? row.uid : 1000,
      groups: row.groups,
      seccompFd,
    }),
    ...program(row),
  ];
  try {
    const child = spawn(command[0] ?? '', command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe', ...doors.map((door) => door.fd), filterFd],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      cwd: '/',
      detached: true, // Ctrl-C goes to the launcher, which ends things in order
    });
    if (ground.cgroups) return inCgroup(ground.cgroups, row.name, child);
    return byProcessId(child);
  } finally {
    closeSync(filterFd);
  }
}

const inCgroup = (cgroups: Cgroups, name: string, child: ChildProcess): Launched => ({
  child,
  kill() {
    cgroups.kill(name);
    child.kill('SIGKILL');
  },
  living: () => cgroups.populated(name),
});

/** The first process in its pid namespace dies with bubblewrap, and all others with that; killed by name as well, since early in its start it does not yet. */
function byProcessId(child: ChildProcess): Launched {
  const killed: Member[] = [];
  return {
    child,
    kill() {
      const runs = child.pid !== undefined && child.exitCode === null && child.signalCode === null;
      if (runs) killed.push(...below(child.pid ?? 0));
      child.kill('SIGKILL');
      for (const each of killed.filter(lives)) {
        try {
          process.kill(each.pid, 'SIGKILL');
        } catch {
          // it has just ended
        }
      }
    },
    living: () => killed.some(lives),
  };
}

/** Small heaps: these are proxies and pages, and a Raspberry Pi holds eleven of them. */
const smallYoung = '--max-semi-space-size=2';
/** Of a process of ours; llm.bench.ts starts what it measures with them too. */
export const heapFlags = (memoryMb: number): string[] => [
  smallYoung,
  `--max-old-space-size=${Math.floor(memoryMb * 0.6)}`,
];

const program = (row: Process): string[] => [
  `${view.code}/node_modules/.bin/node`,
  ...(row.guest === null ? heapFlags(row.memoryMb) : [smallYoung]),
  ...row.runs.map((part, at) => (at === 0 ? join(view.code, part) : part)),
];

// One stage, replaced by exec: the process is in its cgroup before any of our code runs, and nothing above `highestFd` goes in.
function enterStage(ground: Ground, row: Process, highestFd: number): string[] {
  const files = ground.cgroups?.make(row.name, row) ?? [];
  const script = join(import.meta.dirname, 'enter.pl');
  return ['perl', script, String(highestFd), String(files.length), ...files];
}

const codeMounts = (ground: Ground): Mount[] =>
  codeParts.map((part) => ({ kind: 'ro', from: join(ground.code, part), to: `${view.code}/${part}` }));

/** Names for our numbers and a resolver that is the names door; written once by the launcher. */
const etc = (ground: Ground): Mount[] =>
  ['passwd', 'group', 'hosts', 'resolv.conf', 'nsswitch.conf'].map((file) => ({
    kind: 'ro',
    from: join(ground.run, 'etc', file),
    to: `/etc/${file}`,
  }));

const cacheMount = (ground: Ground): Mount[] =>
  ground.cache === null
    ? []
    : [{ kind: ground.cacheWritable ? 'rw' : 'ro', from: ground.cache, to: view.cache }];

function ours(ground: Ground, row: Process): Mount[] {
  const inHome = (path: string): string => `${view.home}/${path}`;
  return [
    { kind: 'ro', from: join(ground.run, 'part', row.name), to: `${view.run}/part`, optional: true },
    ...row.controls.map(
      (name): Mount => ({
        kind: 'ro',
        from: join(socketPath(ground.run, name), '..'),
        to: `${view.run}/${name}`,
      }),
    ),
    ...row.reads.map(
      (entry): Mount => ({ kind: 'ro', from: join(ground.home, entry.path), to: inHome(entry.path) }),
    ),
    ...row.writes.map(
      (entry): Mount => ({ kind: 'rw', from: join(ground.home, entry.path), to: inHome(entry.path) }),
    ),
    ...(row.secrets === null
      ? []
      : [{ kind: 'ro', from: join(ground.run, 'credentials', row.name), to: view.credentials } as const]),
    ...row.machine.flatMap((path): Mount[] => {
      if (path !== 'cgroup') return [{ kind: 'ro', from: path, to: path, optional: true }];
      return ground.cgroups ? [{ kind: 'rw', from: ground.cgroups.folder, to: view.cgroup }] : [];
    }),
  ];
}

const guests = (ground: Ground, agent: string): Mount[] => [
  { kind: 'rw', from: join(ground.home, 'agents', agent, 'workspace'), to: '/workspace' },
  { kind: 'rw', from: join(ground.home, 'agents', agent, 'state'), to: '/home/agent' },
];

const ourEnv = (row: Process, doors: OpenDoor[]): Record<string, string> => ({
  PATH: `${view.code}/node_modules/.bin:/usr/bin`,
  LANG: 'C.UTF-8',
  NODE_COMPILE_CACHE: view.cache,
  HOLDFAST_PROCESS: row.name,
  HOLDFAST_HOME: view.home,
  HOLDFAST_RUN: view.run,
  HOLDFAST_PART: `${view.run}/part/part.json`,
  LISTEN_FDS: String(doors.length),
  LISTEN_FDNAMES: doors.map((door) => door.name).join(':'),
  ...(row.secrets === null ? {} : { CREDENTIALS_DIRECTORY: view.credentials }),
});

/** Where namespaces are forbidden: the pages alone, without a view, so that the owner can read which wall is missing. Never a guest, a proxy or a key. */
export function launchPage(ground: Ground, row: Process, doors: OpenDoor[]): Launched {
  const child = spawn(
    process.execPath,
    row.runs.map((part, at) => (at === 0 ? join(ground.code, part) : part)),
    {
      stdio: ['pipe', 'pipe', 'pipe', ...doors.map((door) => door.fd)],
      env: {
        ...ourEnv({ ...row, secrets: null }, doors),
        HOLDFAST_HOME: ground.home,
        HOLDFAST_RUN: ground.run,
        HOLDFAST_PART: join(ground.run, 'part', row.name, 'part.json'),
        HOLDFAST_ENDS_WITH_STDIN: '1',
      },
      cwd: '/',
      detached: true,
    },
  );
  return byProcessId(child);
}
