/** The rung `world(t)`: namespace and walls of one guest, built by the product's own code in a temp folder, with test programs inside and servers of its doors outside. Everything ends with the test. */
import { type ChildProcess, fork } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Mode } from '../../appliance/world/namespace.ts';
import type { Wall } from '../../appliance/world/walls.ts';
import type { Asked, Said, Setup } from './driver.ts';

export type { Mode };

export const checkout = join(import.meta.dirname, '../..');
const isRoot = process.getuid?.() === 0;
/** Any uid without an account; the ordinary user of a test run that is root. */
export const ordinaryUid = isRoot ? 61_234 : (process.getuid?.() ?? 0);

/** The launch modes that this test run can have. An ordinary user's run has no root rows: `impossible` names them. */
export const modes: Mode[] = isRoot ? ['root', 'user'] : ['user'];
export const impossible: Mode[] = isRoot ? [] : ['root'];

export type WorldOptions = {
  mode: Mode;
  /** `root`: uid 0 inside, with the same empty capability sets. Default: the agent's own uid. */
  inside?: Setup['inside'];
  memoryMb?: number;
  pids?: number;
  /** Copied into the workspace, to be run there. */
  files?: string[];
  /** Command prefix that the whole world starts behind, e.g. to enter a mount namespace. */
  behind?: string[];
};

export type Running = {
  pid: number;
  output(): string;
  /** Resolves with the match in what it printed so far. */
  until(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
  ended: Promise<{ exit: number | null; signal: NodeJS.Signals | null; stdout: string; stderr: string }>;
};

export type World = {
  mode: Mode;
  home: string;
  run: string;
  /** Pid of the network namespace's holder. */
  namespace: number;
  /** The guest's row: what it is to find in its environment, its uid, the instance. */
  guest: { env: Record<string, string>; uid: number; instance: string };
  /** Runs one of `files` as the guest. */
  start(program: string, ...args: string[]): Promise<Running>;
  /** Makes these doors of the manifest (or `127.0.0.1:PORT`), gives them to a program of this checkout, and keeps no copy. */
  serve(doors: string[], program: string, ...args: string[]): Promise<Running>;
  /** The same by a launcher that keeps its copies and gives them to the next one: a control. */
  serveCarelessly(doors: string[], program: string, ...args: string[]): Promise<Running>;
  walls(): Promise<Wall[]>;
};

export async function world(t: TestContext, options: WorldOptions): Promise<World> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-world-')));
  const home = join(folder, 'home');
  const code = join(folder, 'code');
  chmodSync(folder, 0o711);
  for (const made of [home, code]) mkdirSync(made, { mode: 0o711 });
  const dropped = isRoot && options.mode === 'user';
  if (dropped) for (const owned of [folder, home]) chownSync(owned, ordinaryUid, ordinaryUid);
  const setup: Setup = {
    mode: options.mode,
    inside: options.inside ?? 'agent',
    home,
    run: join(folder, 'run'),
    code: dropped ? code : checkout,
    memoryMb: options.memoryMb ?? 1024,
    pids: options.pids ?? 256,
    files: options.files ?? [],
  };
  const driver = drive(setup, options.behind ?? [], dropped);
  t.after(async () => {
    await driver.end();
    rmSync(folder, { recursive: true, force: true });
  });
  await driver.ready;
  return {
    mode: options.mode,
    home,
    run: setup.run,
    namespace: (await driver.ask({ do: 'namespace' })) as number,
    guest: (await driver.ask({ do: 'guest' })) as World['guest'],
    start: (program, ...args) => driver.run({ do: 'start', program, args }),
    serve: (doors, program, ...args) => driver.run({ do: 'serve', doors, program, args, careless: false }),
    serveCarelessly: (doors, program, ...args) =>
      driver.run({ do: 'serve', doors, program, args, careless: true }),
    walls: async () => (await driver.ask({ do: 'walls' })) as Wall[],
  };
}

/** A checkout may lie where another uid cannot read (/root is 0700): the ordinary user sees it through a bind of its own. */
const asOrdinary = (bind: string): string[] => [
  ...['/usr/bin/unshare', '--mount', 'sh', '-c'],
  'mount --bind "$1" "$2" && shift 2 && exec "$@"',
  ...['sh', checkout, bind, 'setpriv', '--reuid', String(ordinaryUid), '--regid', String(ordinaryUid)],
  ...['--clear-groups', '--'],
];

type Unnumbered<T> = T extends { id: number } ? Omit<T, 'id'> : never;
type Driver = {
  ready: Promise<void>;
  ask(what: Unnumbered<Asked>, id?: number): Promise<unknown>;
  run(what: Unnumbered<Asked>): Promise<Running>;
  end(): Promise<void>;
};

function drive(setup: Setup, behind: string[], dropped: boolean): Driver {
  const node = join(setup.code, 'node_modules/.bin/node');
  const [program = node, ...prefix] = [...behind, ...(dropped ? asOrdinary(setup.code) : []), node];
  const child = fork(join(setup.code, 'test/world/driver.ts'), [JSON.stringify(setup)], {
    execPath: program,
    execArgv: prefix,
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const over = (): Error => new Error(`the world's driver ended: ${said.trim()}`);
  let count = 0;
  const ask: Driver['ask'] = (what, id = ++count) =>
    new Promise((resolve, reject) => {
      const heard = (message: Said): void => {
        if (!('id' in message) || message.id !== id) return;
        child.off('message', heard);
        if ('fault' in message) reject(new Error(message.fault));
        else resolve(message.answer);
      };
      child.on('message', heard);
      void gone.then(() => reject(over()));
      child.send({ ...what, id }, (error) => error && reject(over()));
    });
  return {
    ask,
    ready: new Promise((resolve, reject) => {
      child.once('message', () => resolve());
      void gone.then(() => reject(over()));
    }),
    async run(what) {
      const id = ++count;
      const listen = listenTo(child, id);
      return { ...listen, pid: (await ask(what, id)) as number };
    },
    async end() {
      if (child.connected) await Promise.race([ask({ do: 'close' }).catch(() => {}), gone, after(5000)]);
      await Promise.race([gone, after(5000)]);
      child.kill('SIGKILL');
    },
  };
}

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref());

function listenTo(child: ChildProcess, id: number): Omit<Running, 'pid'> {
  let stdout = '';
  let stderr = '';
  const wakes = new Set<() => void>();
  const ended: Running['ended'] = new Promise((resolve) => {
    const heard = (message: Said): void => {
      if (!('of' in message) || message.of !== id) return;
      if ('exit' in message) {
        child.off('message', heard);
        resolve({ exit: message.exit, signal: message.signal, stdout, stderr });
      } else {
        stdout += message.out ?? '';
        stderr += message.err ?? '';
      }
      for (const wake of wakes) wake();
    };
    child.on('message', heard);
    child.once('close', () => resolve({ exit: null, signal: null, stdout, stderr }));
  });
  return {
    ended,
    output: () => stdout + stderr,
    until: (pattern, withinMs = 10_000) =>
      new Promise((resolve, reject) => {
        const give = (): void => {
          const found = pattern.exec(stdout + stderr);
          if (!found) return;
          wakes.delete(give);
          clearTimeout(timer);
          resolve(found);
        };
        const timer = setTimeout(() => {
          wakes.delete(give);
          reject(new Error(`no ${pattern} within ${withinMs} ms; it said: ${stdout}${stderr}`));
        }, withinMs);
        wakes.add(give);
        give();
      }),
  };
}
