/** Holds one world for test/world/world.ts: the product's own manifest, home, namespace, doors and launch, in a process of its own because the ordinary-user rung runs as another uid. Speaks IPC. */
import childProcess, { type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, join } from 'node:path';
import { prepareEntries, writeEtc } from '../../appliance/launcher/home.ts';
import { manifest } from '../../appliance/manifest.ts';
import { auditGroup } from '../../appliance/numbers.ts';
import { homePaths } from '../../appliance/paths.ts';
import type { Manifest, Process } from '../../appliance/row.ts';
import type { Config } from '../../appliance/settings.ts';
import { findTrees, openCgroups } from '../../appliance/world/cgroup.ts';
import { type OpenDoor, openDoors } from '../../appliance/world/door.ts';
import { type Ground, launch } from '../../appliance/world/launch.ts';
import { type Mode, openNamespace } from '../../appliance/world/namespace.ts';
import { checkWalls, type Wall } from '../../appliance/world/walls.ts';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';
import { compileFilter, machineArch } from '../../sandbox/seccomp.ts';

export type Setup = {
  mode: Mode;
  /** `root`: uid 0 inside, with the same empty capability sets. */
  inside: 'agent' | 'root';
  home: string;
  run: string;
  code: string;
  memoryMb: number;
  pids: number;
  /** Copied into the agent's workspace. */
  files: string[];
};

export type Asked =
  | { id: number; do: 'start'; program: string; args: string[] }
  | { id: number; do: 'serve'; doors: string[]; program: string; args: string[]; careless: boolean }
  | { id: number; do: 'walls' | 'namespace' | 'guest' | 'close' };

export type Said =
  | { ready: true }
  | { id: number; answer: unknown }
  | { id: number; fault: string }
  | { of: number; out?: string; err?: string }
  | { of: number; exit: number | null; signal: NodeJS.Signals | null };

const setup = JSON.parse(process.argv[2] ?? '{}') as Setup;
const say = (said: Said): void => {
  if (process.connected) process.send?.(said);
};

const { spawn } = childProcess;
/** As root a row with uid 0; as an ordinary user the product's own bubblewrap arguments with one number changed. */
if (setup.mode === 'user' && setup.inside === 'root') {
  childProcess.spawn = ((program: string, args: string[], options: object) => {
    const flags = args.includes('bwrap') || program === 'bwrap' ? ['--uid', '--gid'] : [];
    return spawn(
      program,
      args.map((value, at) => (flags.includes(args[at - 1] ?? '') ? '0' : value)),
      options,
    );
  }) as typeof spawn;
  syncBuiltinESMExports();
}

const config: Config = {
  controller: { port: 8080 },
  chat: { port: 18789 },
  uids: {},
  ordinaryUser: { holdKeys: false },
  providers: {},
  models: {},
  agents: {
    main: { aliases: {}, limits: defaultLimits, egress: [], memoryMb: setup.memoryMb, pids: setup.pids },
  },
  approvals: { waitSeconds: 900 },
  tools: { memoryMb: 512, pids: 128, timeoutSeconds: 120, outputKb: 256 },
  metrics: {},
};
const { instance } = homePaths(setup.home);
const table = withUid(
  manifest(config, {
    instance,
    mode: setup.mode,
    owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    agentNumbers: { main: 0 },
    keys: [],
    killed: false,
    docker: null,
    home: setup.home,
  }),
);
const guest = table.processes.find((row) => row.guest === 'main') as Process;

function withUid(made: Manifest): Manifest {
  if (setup.mode === 'user' || setup.inside === 'agent') return made;
  return {
    ...made,
    worlds: made.worlds.map((each) => ({ ...each, uid: 0 })),
    processes: made.processes.map((row) => (row.guest === null ? row : { ...row, uid: 0 })),
  };
}

mkdirSync(join(setup.run, 'cache'), { recursive: true, mode: 0o755 });
prepareEntries(setup.home, setup.mode, table, auditGroup(config, instance));
writeEtc(setup.run);
const filter = join(setup.run, 'filter.bpf');
writeFileSync(filter, compileFilter(machineArch()));
for (const file of setup.files) {
  const copy = join(setup.home, 'agents/main/workspace', basename(file));
  copyFileSync(file, copy);
  chmodSync(copy, 0o644);
}
const trees = setup.mode === 'root' ? findTrees() : null;
const ground: Ground = {
  mode: setup.mode,
  home: setup.home,
  run: setup.run,
  code: setup.code,
  cgroups: trees ? openCgroups(trees, instance) : null,
  filter,
  cache: join(setup.run, 'cache'),
};
const namespace = await openNamespace(setup.mode);
const running = new Set<() => void>();

function watch(id: number, child: ChildProcess, kill: () => void): number {
  running.add(kill);
  child.stdout?.on('data', (text: Buffer) => say({ of: id, out: text.toString() }));
  child.stderr?.on('data', (text: Buffer) => say({ of: id, err: text.toString() }));
  child.once('error', (error) => say({ of: id, err: error.message }));
  child.once('close', (exit, signal) => {
    running.delete(kill);
    say({ of: id, exit, signal });
  });
  return child.pid ?? 0;
}

/** The row's program is the test's own, from the workspace; all else is the product's. */
function start(id: number, program: string, args: string[]): number {
  const runs = [`../../workspace/${program}`, ...args];
  const { child, kill } = launch(ground, { ...guest, runs }, [], namespace.pid);
  return watch(id, child, kill);
}

/** What a careless launcher holds on to: the control of test/world/door.test.ts. */
const held: OpenDoor[] = [];

/** As the launcher does it: new doors, a server that inherits them, and no copy kept. */
async function serve(asked: Asked & { do: 'serve' }): Promise<number> {
  const wanted = asked.doors.map((name) => {
    const row = table.doors.find((door) => door.name === name);
    return { name, listen: row?.listen ?? name };
  });
  const doors = held.length > 0 ? held : await openDoors(setup.mode, namespace.pid, wanted);
  const child = spawn(process.execPath, [join(setup.code, asked.program), ...asked.args], {
    stdio: ['ignore', 'pipe', 'pipe', ...doors.map((door) => door.fd)],
    env: {
      LISTEN_FDS: String(doors.length),
      LISTEN_FDNAMES: doors.map((door) => door.name).join('+'),
    },
    cwd: '/',
  });
  if (asked.careless) held.push(...doors.slice(held.length));
  else for (const door of doors) door.close();
  return watch(asked.id, child, () => child.kill('SIGKILL'));
}

function close(): void {
  for (const kill of running) kill();
  namespace.close();
  const names = [guest.name, 'probe@main'];
  for (const name of names) ground.cgroups?.kill(name);
  const until = Date.now() + 2000;
  const sweep = (): void => {
    if (names.some((name) => ground.cgroups?.populated(name)) && Date.now() < until) {
      setTimeout(sweep, 10);
      return;
    }
    ground.cgroups?.close();
    process.exit(0);
  };
  sweep();
}

function answer(asked: Asked): unknown {
  if (asked.do === 'start') return start(asked.id, asked.program, asked.args);
  if (asked.do === 'serve') return serve(asked);
  if (asked.do === 'walls') return checkWalls(ground, guest, namespace.pid) satisfies Promise<Wall[]>;
  if (asked.do === 'namespace') return namespace.pid;
  if (asked.do === 'guest') return { env: guest.env, uid: guest.uid, instance };
  return close();
}

process.on('message', (asked: Asked) => {
  void (async () => {
    try {
      say({ id: asked.id, answer: (await answer(asked)) ?? null });
    } catch (error) {
      say({ id: asked.id, fault: error instanceof Error ? error.message : String(error) });
    }
  })();
});
process.on('disconnect', close);
say({ ready: true });
