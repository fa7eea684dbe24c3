/** The rung `appliance(t)`: the whole product in a temp folder, started by its own command line and ended with the test. */
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { homePaths, socketPath } from '../../appliance/paths.ts';
import { call } from '../../appliance/socket.ts';
import { asUser, type User } from './user.ts';

export const root = join(import.meta.dirname, '../..');

export type Appliance = {
  home: string;
  /** Its run folder. */
  run: string;
  controllerPort: number;
  chatPort: number;
  controllerUrl: string;
  chatUrl: string;
  setupCode: string;
  /** All that it printed so far. */
  output(): string;
  socket(name: string): string;
  /** `holdfast VERB ...` against this home. */
  cli(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  pid: number;
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

export type ApplianceOptions = {
  /** YAML after the two ports. */
  config?: string;
  /** Start as this uid (the test itself must be root), with what else user.ts knows. */
  uid?: number;
  groups?: number[];
  forbidden?: boolean;
  /** HOME, where an ordinary user's compile cache goes. */
  account?: string;
  path?: string;
  home?: string;
  controllerPort?: number;
  /** Before the start, with the home folder that exists already. */
  prepare?(home: string): void;
  args?: string[];
};

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const holdfast = join(root, 'appliance/cli/holdfast.ts');

export async function appliance(t: TestContext, options: ApplianceOptions = {}): Promise<Appliance> {
  const home = options.home ?? mkdtempSync(join(tmpdir(), 'holdfast-'));
  const [controllerPort, chatPort] = [options.controllerPort ?? (await freePort()), await freePort()];
  writeFileSync(
    join(home, 'holdfast.yaml'),
    `controller: { port: ${controllerPort} }\nchat: { port: ${chatPort} }\n${options.config ?? ''}`,
  );
  if (options.uid !== undefined) {
    chownSync(home, options.uid, options.uid);
    chownSync(join(home, 'holdfast.yaml'), options.uid, options.uid);
  }
  options.prepare?.(home);
  const user: User | null = options.uid === undefined ? null : { ...options, uid: options.uid };
  const as = (args: string[]): [string, string[]] => {
    const plain = [process.execPath, holdfast, ...args];
    const [program = '', ...rest] = user === null ? plain : asUser(user, plain);
    return [program, rest];
  };
  const env = { PATH: options.path ?? process.env.PATH ?? '', HOME: options.account ?? home };
  const child = spawn(...as(['up', '--home', home, '--no-install', ...(options.args ?? [])]), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  let output = '';
  child.stdout.on('data', (text: Buffer) => {
    output += text.toString();
  });
  child.stderr.on('data', (text: Buffer) => {
    output += text.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return ended;
  };
  t.after(async () => {
    await stop();
    await removed(home);
  });
  await until(
    () => /^chat: /m.test(output) || child.exitCode !== null,
    30_000,
    () => output,
  );
  if (child.exitCode !== null) throw new Error(`the appliance ended with ${child.exitCode}:\n${output}`);
  const { instance } = homePaths(home);
  const runFolder = options.uid ? `/tmp/holdfast-${options.uid}/${instance}` : homePaths(home).run;
  return {
    home,
    run: runFolder,
    controllerPort,
    chatPort,
    controllerUrl: `http://127.0.0.1:${controllerPort}`,
    chatUrl: `http://localhost:${chatPort}`,
    setupCode: /setup code:\s*(\S+)/.exec(output)?.[1] ?? '',
    output: () => output,
    socket: (name) => socketPath(runFolder, name),
    cli: (verb = '', ...args) =>
      // What comes after the command of `run` is the command's.
      run(
        ...as(verb === 'run' ? [verb, '--home', home, ...args] : [verb, ...args, '--home', home]),
        undefined,
        user === null ? process.env : env,
      ),
    pid: child.pid ?? 0,
    stop,
  };
}

export function run(
  program: string,
  args: string[],
  input?: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const child: ChildProcess = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (text: Buffer) => {
    stdout += text.toString();
  });
  child.stderr?.on('data', (text: Buffer) => {
    stderr += text.toString();
  });
  child.stdin?.end(input);
  return new Promise((resolve) =>
    child.once('close', (code) => resolve({ code: code ?? -1, stdout, stderr })),
  );
}

/** Polls with a bound; the message says what was there instead. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  withinMs: number,
  say: () => string = () => '',
): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms. ${say()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The reaper may still be sweeping. */
async function removed(home: string): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    try {
      rmSync(home, { recursive: true, force: true });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

export type Status = {
  state: string;
  processes: { name: string; state: string; pid: number; uid: number; restarts: number; why?: string }[];
  worlds: {
    agent: string;
    state: string;
    why?: string;
    walls: { wall: string; state: string; fix?: string }[];
  }[];
  tools: { state: string };
};

/** Docker answers and the tool image is there: until then a tool call is refused at once. */
export const toolsReady = async (a: Appliance): Promise<boolean> =>
  (await statusOf(a)).tools.state === 'ready';

export const statusOf = async (a: Appliance): Promise<Status> =>
  (await call(a.socket('launch'), 'GET /status')) as Status;

/** Every process and every world of the table. */
export const allRun = async (a: Appliance): Promise<boolean> => {
  const { processes, worlds } = await statusOf(a);
  return (
    processes.length > 8 &&
    processes.every((each) => each.state === 'running') &&
    worlds.every((each) => each.state === 'running')
  );
};

/** A program in the network namespace of an agent's world, outside its other walls (root only): what a guest's request meets at the doors. */
export async function inWorld(
  a: Appliance,
  agent: string,
  program: string,
  args: string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const guest = (await statusOf(a)).processes.find((each) => each.name === `agent@${agent}`);
  if (!guest?.pid) throw new Error(`agent@${agent} does not run`);
  const { pid } = guest;
  // Between spawn and exec it is still in our own namespace.
  await until(() => readlinkSync(`/proc/${pid}/ns/net`) !== readlinkSync('/proc/self/ns/net'), 5000);
  return run('nsenter', [`--net=/proc/${guest.pid}/ns/net`, '--', program, ...args]);
}
