/** Makes the tools ready: Docker's engine, and the tool image of this checkout. A program of its own, run by the launcher in the background; twice or at once does no harm. `node:` only. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildImage } from '../images/tool/build.ts';
import { imageTag } from '../images/tool/recipe.ts';
import { needed } from './packages.ts';

// Each line of stdout is one JSON value {phase, state, detail, fix?}. Exit 0: ready; 69 (EX_UNAVAILABLE): a line says why not.
type Phase = 'packages' | 'engine' | 'image';
const say = (phase: Phase, state: 'doing' | 'done' | 'failed', detail: string, fix?: string): void => {
  process.stdout.write(
    `${JSON.stringify({ phase, state, detail, ...(fix === undefined ? {} : { fix }) })}\n`,
  );
};

class Unavailable extends Error {
  readonly fix: string;
  constructor(message: string, fix: string) {
    super(message);
    this.fix = fix;
  }
}

const unavailable = 69; // sysexits(3)
const lockWaitSeconds = 1800; // another start may be downloading packages over a slow line

const { values } = parseArgs({
  options: {
    run: { type: 'string', default: '/run/holdfast' },
    'docker-socket': { type: 'string', default: '/run/docker.sock' },
    'no-install': { type: 'boolean', default: false },
    locked: { type: 'boolean', default: false },
  },
});
// An ordinary user's PATH leaves out sbin, where Debian keeps dockerd.
process.env.PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
const socketPath = values['docker-socket'];
const uid = process.getuid?.() ?? 0;

/** Packages, engine and image belong to the machine, so the lock does too. */
const lockFile = uid === 0 ? '/run/holdfast-tools.lock' : `/tmp/holdfast-tools-${uid}.lock`;

const phases: { phase: Phase; do: () => Promise<string> }[] = [
  { phase: 'packages', do: installPackages },
  { phase: 'engine', do: startEngine },
  { phase: 'image', do: makeImage },
];

/** flock(1) holds the lock and closes it for us (`--close`): a dockerd that we start must not inherit it. */
async function takeLock(): Promise<void> {
  const self = fileURLToPath(import.meta.url);
  const args = ['--close', '-w', String(lockWaitSeconds), lockFile];
  const child = spawn('flock', [...args, process.execPath, self, '--locked', ...process.argv.slice(2)], {
    stdio: 'inherit',
    detached: true,
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => child.pid && process.kill(-child.pid, signal));
  }
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? unavailable));
  });
}

let ending = false;

async function work(): Promise<void> {
  // The signal goes to the whole group: apt or mmdebstrap ends, its phase fails, and what it left is cleaned up.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      ending = true;
    });
  }
  // Whoever reads us is gone: that is our end too.
  process.stdout.on('error', () => ending || process.kill(0, 'SIGTERM'));
  for (const { phase, do: run } of phases) {
    try {
      if (ending) throw new Unavailable('ended by a signal', 'Start again.');
      say(phase, 'done', await run());
    } catch (error) {
      const fix = error instanceof Unavailable ? error.fix : 'Look at the lines above, then start again.';
      say(phase, 'failed', error instanceof Error ? error.message : String(error), fix);
      process.exitCode = unavailable;
      return;
    }
  }
}

async function installPackages(): Promise<string> {
  const wanted = needed([
    // An engine that answers is enough, wherever it came from; and an image that is there needs no builder.
    ...((await ping()) === 'answers' ? [] : ['docker.io']),
    ...((await hasImage()) ? [] : ['mmdebstrap']),
  ]);
  if (wanted.missing.length === 0) return 'nothing is missing';
  const names = wanted.missing.map((each) => each.package).join(' and ');
  if (values['no-install']) throw new Unavailable(`${names} missing`, wanted.byHand);
  const installed = await wanted.install((sentence) => say('packages', 'doing', sentence));
  if (!installed.ok) throw new Unavailable(installed.detail, installed.fix);
  return `installed ${names}`;
}

async function startEngine(): Promise<string> {
  const state = await ping();
  if (state === 'answers') return `the engine answers on ${socketPath}`;
  if (state === 'forbidden') {
    throw new Unavailable(
      `this user may not use ${socketPath}`,
      'sudo usermod -aG docker $USER, then log in again (whoever may use it is root in effect)',
    );
  }
  const root = asRoot('the engine is not running, and no right to start it', 'sudo systemctl start docker');
  if (existsSync('/run/systemd/system')) {
    say('engine', 'doing', 'systemctl start docker');
    const started = run([...root, 'systemctl', 'start', 'docker']);
    if (!started.ok)
      throw new Unavailable(`docker.service does not start: ${started.tail}`, 'journalctl -u docker');
  } else {
    say('engine', 'doing', 'starting dockerd, as no service manager runs here');
    forgetDeadContainerd(root);
    startDaemon(root);
  }
  const log = join(values.run, 'dockerd.log');
  for (let waited = 0; waited < 60_000; waited += 200) {
    const now = await ping();
    if (now === 'answers') return `the engine answers on ${socketPath}`;
    if (now === 'forbidden' || ending) break;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Unavailable(`the engine does not answer on ${socketPath}: ${lastLines(log)}`, `Read ${log}`);
}

/** An engine that was ended by force leaves the pid of its containerd behind, and the next one waits in vain for whoever has that pid now. */
function forgetDeadContainerd(root: string[]): void {
  const file = '/run/docker/containerd/containerd.pid';
  try {
    const stat = readFileSync(`/proc/${Number(readFileSync(file, 'utf8'))}/stat`, 'latin1');
    if (/\(containerd\) [^ZX] /.test(stat)) return;
  } catch {
    // no such file, or no such process
  }
  run([...root, 'rm', '-f', file]);
}

/** No bridge and no firewall rules: tool containers have no network, so the engine needs to be able to offer none. */
function startDaemon(root: string[]): void {
  const log = openSync(join(values.run, 'dockerd.log'), 'a', 0o640);
  const [program = '', ...rest] = [
    ...root,
    'dockerd',
    `--host=unix://${socketPath}`,
    `--pidfile=${join(values.run, 'dockerd.pid')}`,
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
  ];
  const child = spawn(program, rest, { stdio: ['ignore', log, log], detached: true });
  child.once('error', () => {}); // the wait for an answer tells it, with the log
  child.unref();
}

async function makeImage(): Promise<string> {
  const tag = imageTag();
  if (await hasImage()) return tag;
  say('image', 'doing', `building ${tag}`);
  await buildImage({
    tag,
    engineSocket: socketPath,
    asRoot: asRoot('building the image needs root', 'sudo npm start, once'),
    progress: (detail) => say('image', 'doing', detail),
  });
  return tag;
}

/** What to put before a command that needs root; refuses where nothing helps. */
function asRoot(why: string, fix: string): string[] {
  if (uid === 0) return [];
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) return ['sudo', '-n'];
  throw new Unavailable(why, fix);
}

function run([program = '', ...args]: string[]): { ok: boolean; tail: string } {
  try {
    execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' });
    return { ok: true, tail: '' };
  } catch (error) {
    const stderr = (error as { stderr?: string }).stderr || String(error);
    return { ok: false, tail: stderr.trim().split('\n').slice(-4).join(' | ') };
  }
}

function lastLines(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim().split('\n').slice(-3).join(' | ');
  } catch {
    return 'it wrote no log';
  }
}

async function ping(): Promise<'answers' | 'forbidden' | 'absent'> {
  const status = await ask('/_ping');
  if (status === 'EACCES' || status === 'EPERM') return 'forbidden';
  return status === 200 ? 'answers' : 'absent';
}

const hasImage = async (): Promise<boolean> => (await ask(`/images/${imageTag()}/json`)) === 200;

/** The status of one GET on the engine's socket, or the code of the error. */
function ask(path: string): Promise<number | string> {
  return new Promise((resolve) => {
    const req = request({ socketPath, path, timeout: 5000, agent: false }, (res) => {
      res.resume();
      resolve(res.statusCode ?? 0);
    });
    req.on('timeout', () => req.destroy());
    req.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    req.end();
  });
}

if (values.locked) await work();
else await takeLock();
