/** The job that makes tools ready: says each phase, may run twice at once, starts an engine where none runs, and ends when it is told to. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { imageTag } from '../../images/tool/recipe.ts';

const program = join(import.meta.dirname, '../../provisioning/tools.ts');
type Line = { phase: string; state: string; detail: string; fix?: string };

function runJob(args: string[], before: string[] = []) {
  const [command = '', ...rest] = [...before, process.execPath, program, ...args];
  const job = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: Line[] = [];
  createInterface({ input: job.stdout }).on('line', (text) => lines.push(JSON.parse(text) as Line));
  const ended = new Promise<number | null>((resolve) => job.once('close', resolve));
  return { job, lines, ended };
}

test('twice at once on a machine that has all of it: both say so, phase by phase', async () => {
  const run = mkdtempSync(join(tmpdir(), 'hf-tools-'));
  const jobs = [runJob(['--run', run, '--no-install']), runJob(['--run', run, '--no-install'])];
  for (const { ended, lines } of jobs) {
    assert.equal(await ended, 0);
    assert.deepEqual(
      lines.map(({ phase, state }) => `${phase} ${state}`),
      ['packages done', 'engine done', 'image done'],
    );
    assert.equal(lines.at(-1)?.detail, imageTag());
  }
  rmSync(run, { recursive: true });
});

test('what it may not do ends in one line with the fix, exit 69', async (t) => {
  if (process.getuid?.() !== 0) return t.diagnostic('only root can hide what is installed');
  const run = mkdtempSync(join(tmpdir(), 'hf-tools-'));
  const hide = 'mount -t tmpfs t /usr/sbin; PATH=/usr/bin exec "$@"'; // Debian keeps dockerd in sbin
  const { ended, lines } = runJob(
    ['--run', run, '--no-install', '--docker-socket', join(run, 'none.sock')],
    ['unshare', '-m', 'sh', '-c', hide, 'sh'],
  );
  assert.equal(await ended, 69);
  assert.deepEqual(
    lines.map(({ phase, state }) => `${phase} ${state}`),
    ['packages failed'],
  );
  assert.equal(lines[0]?.fix, 'sudo apt-get install -y docker.io');
  rmSync(run, { recursive: true });
});

test('starts an engine that can offer no network, and a TERM ends the job but not the engine', async (t) => {
  if (process.getuid?.() !== 0) return t.diagnostic('only root can start an engine');
  const run = mkdtempSync(join(tmpdir(), 'hf-tools-'));
  const socketPath = join(run, 'docker.sock');
  // An engine of its own, in folders of its own: the one of this machine is in use. All of it ends with the namespace.
  const folders = [
    '/var/lib/docker',
    '/run/docker',
    '/run/containerd',
    '/run/systemd',
    '/run/lock',
    '/var/tmp',
  ];
  const hide = folders.map((folder) => `mkdir -p ${folder}; mount -t tmpfs t ${folder};`).join(' ');
  const own = ['unshare', '-m', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const holder = [...own, 'sh', '-c', `${hide} "$@" & wait; sleep 60`, 'sh'];
  const { job, lines, ended } = runJob(['--run', run, '--docker-socket', socketPath, '--no-install'], holder);
  t.after(() => {
    job.kill('SIGKILL');
    rmSync(run, { recursive: true, force: true });
  });
  await until('the build', () => lines.some(({ phase, state }) => phase === 'image' && state === 'doing'));
  assert.deepEqual(
    lines.slice(0, 4).map(({ phase, state }) => `${phase} ${state}`),
    ['packages done', 'engine doing', 'engine done', 'image doing'],
  );
  assert.match(String(lines[1]?.detail), /dockerd/);
  assert.ok(Number(readFileSync(join(run, 'dockerd.pid'), 'utf8')) > 1);
  const networks = JSON.parse(await get(socketPath, '/networks')) as { Name: string }[];
  assert.deepEqual(networks.map(({ Name }) => Name).sort(), ['host', 'none']);

  const pids = (pattern: string): number[] =>
    spawnSync('pgrep', ['-f', '--', pattern], { encoding: 'utf8' })
      .stdout.trim()
      .split('\n')
      .filter(Boolean)
      .map(Number);
  const outer = pids(`^${process.execPath} ${program} --run ${run} `);
  assert.equal(outer.length, 1);
  const builds = (): string[] => readdirSync(`/proc/${job.pid}/root/var/tmp`);
  await until('a builder at work', () => builds().length > 0);
  process.kill(Number(outer[0]), 'SIGTERM');
  await until(
    'its end',
    () => pids(`^(${process.execPath}|flock|[^ ]*mmdebstrap) .*(${run}|holdfast-image-)`).length === 0,
  );
  assert.deepEqual(builds(), [], 'nothing is left of the build');
  assert.match(await get(socketPath, '/_ping'), /OK/, 'the engine lives');
  job.kill('SIGKILL');
  await ended;
});

const get = (socketPath: string, path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    request({ socketPath, path, agent: false }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      res.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });

/** Looks every 50 ms, at most a minute: an engine starts in seconds. */
async function until(what: string, look: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!look()) {
    if (Date.now() > end) throw new Error(`waited a minute for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
