/** setup.sh on machines made of stubs: what it installs, when it refuses, and that it is silent when all is there. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const root = join(import.meta.dirname, '../..');
const made: string[] = [];
after(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

type Stub = Record<string, string>;
type Ran = { code: number | null; out: string; err: string; did: string };

const wanted = 'v26.10.0';
const all: Stub = {
  bwrap: '',
  nsenter: '',
  dockerd: '',
  mmdebstrap: '',
  chromium: '',
  curl: '',
  jq: '',
  ps: '',
  ip: '',
  'systemd-analyze': '',
};

/** A checkout with an installed Node of one line, on a machine that has these commands and no others. */
function setup(
  args: string[],
  stubs: Stub,
  rest: { stale?: boolean; node?: string; env?: NodeJS.ProcessEnv } = {},
): Ran {
  const home = mkdtempSync(join(tmpdir(), 'holdfast-setup-'));
  made.push(home);
  const bin = join(home, 'bin');
  const checkout = join(home, 'checkout with space');
  mkdirSync(bin);
  mkdirSync(join(checkout, 'node_modules/.bin'), { recursive: true });
  cpSync(join(root, 'provisioning'), join(checkout, 'provisioning'), { recursive: true });
  cpSync(join(root, 'package.json'), join(checkout, 'package.json'));
  writeFileSync(join(checkout, 'package-lock.json'), '{}');
  const sum = `${createHash('sha256').update('{}').digest('hex')}  -`;
  if (!rest.stale) writeFileSync(join(checkout, 'node_modules/.holdfast-lock'), sum);
  const script = (path: string, body: string): void => {
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
  };
  script(join(checkout, 'node_modules/.bin/node'), rest.node ?? `echo ${wanted}`);
  for (const tool of [
    'sh',
    'sed',
    'cat',
    'sha256sum',
    'uname',
    'grep',
    'dirname',
    'rm',
    'ln',
    'env',
    'id',
    'mkdir',
    'true',
  ]) {
    symlinkSync(join('/usr/bin', tool), join(bin, tool));
  }
  const did = join(home, 'did');
  writeFileSync(did, '');
  for (const [name, body] of Object.entries(stubs)) {
    rmSync(join(bin, name), { force: true });
    script(join(bin, name), `echo ${name} "$@" >>'${did}'\n${body}`);
  }
  const done = spawnSync('/bin/sh', [join(checkout, 'provisioning/setup.sh'), ...args], {
    env: { PATH: bin, ...rest.env },
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { code: done.status, out: done.stdout, err: done.stderr, did: readFileSync(did, 'utf8') };
}

const user: Stub = { id: 'echo 1000', sudo: 'exit 1' };
const apt: Stub = { 'apt-get': '' };

test('when all is there it is silent, installs nothing and runs the command', () => {
  for (const kind of ['start', 'run', 'test']) {
    const ran = setup([kind, 'sh', '-c', 'echo "ran $1"', 'x', 'a b'], { ...all, ...apt, npm: 'exit 1' });
    assert.deepEqual(ran, { code: 0, out: 'ran a b\n', err: '', did: '' });
  }
});

test('the command finds the pinned node first', () => {
  assert.equal(setup(['run', 'node', '--version'], all).out, `${wanted}\n`);
});

test('not Linux: one line that points to lima.yaml, exit 69', () => {
  const ran = setup(['start'], { uname: 'echo Darwin' });
  assert.equal(ran.code, 69);
  assert.match(ran.err, /^[^\n]*lima\.yaml[^\n]*\n$/);
});

test('packages that are missing or of another lockfile are installed by npm ci, without install scripts', () => {
  const npm = 'mkdir -p node_modules/.bin';
  const ran = setup(['run'], { ...all, npm }, { stale: true });
  assert.match(ran.did, /^npm ci --ignore-scripts .*--include=optional/);
  assert.match(ran.err, /installing the npm packages/);
});

test('a failed npm ci leaves no stamp and ends in 69', () => {
  const ran = setup(['run', 'sh', '-c', 'echo never'], { ...all, npm: 'exit 7' }, { stale: true });
  assert.deepEqual([ran.code, ran.out], [69, '']);
});

test('two at once: the second waits, and installs nothing again', async () => {
  const home = mkdtempSync(join(tmpdir(), 'holdfast-setup-'));
  made.push(home);
  const [checkout, bin, did] = [join(home, 'checkout'), join(home, 'bin'), join(home, 'did')];
  mkdirSync(bin);
  mkdirSync(join(checkout, 'node_modules/.bin'), { recursive: true });
  cpSync(join(root, 'provisioning'), join(checkout, 'provisioning'), { recursive: true });
  cpSync(join(root, 'package.json'), join(checkout, 'package.json'));
  writeFileSync(join(checkout, 'package-lock.json'), '{}');
  const script = (path: string, body: string): void => {
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
  };
  for (const processor of ['x64', 'arm64']) {
    const node = join(checkout, `node_modules/node-linux-${processor}/bin`);
    mkdirSync(node, { recursive: true });
    script(join(node, 'node'), `echo ${wanted}`);
  }
  writeFileSync(did, '');
  script(join(bin, 'npm'), `echo begin >>'${did}'; sleep 1; echo end >>'${did}'`);
  const start = (): Promise<Ran> =>
    new Promise((resolve) => {
      const child = spawn(
        '/bin/sh',
        [join(checkout, 'provisioning/setup.sh'), 'run', 'sh', '-c', `cat '${did}'`],
        {
          env: { PATH: `${bin}:/usr/bin:/bin` },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      const ran = { out: '', err: '' };
      child.stdout.on('data', (text) => {
        ran.out += text;
      });
      child.stderr.on('data', (text) => {
        ran.err += text;
      });
      child.once('close', (code) => resolve({ code, ...ran, did: '' }));
    });
  const both = await Promise.all([start(), start()]);
  assert.deepEqual(
    both.map(({ code, out }) => [code, out]),
    [
      [0, 'begin\nend\n'],
      [0, 'begin\nend\n'],
    ],
    both.map(({ err }) => err).join('\n'),
  );
  assert.equal(both.filter(({ err }) => err.includes('installing the npm packages')).length, 1);
  assert.equal(
    both.filter(({ err }) => err === 'holdfast: another set-up is at work, waiting ...\n').length,
    1,
  );
  assert.equal(readFileSync(did, 'utf8'), 'begin\nend\n');
});

test('a set-up that was killed leaves no lock', () => {
  const npm = 'mkdir -p node_modules/.bin; kill -9 $PPID';
  const killed = setup(['run'], { ...all, npm, flock: 'exec /usr/bin/flock "$@"' }, { stale: true });
  assert.equal(killed.code, null);
  const again = spawnSync('flock', [
    '-n',
    join(made.at(-1) ?? '', 'checkout with space/package-lock.json'),
    'true',
  ]);
  assert.equal(again.status, 0);
});

test('a missing libatomic1 is found by asking node, and installed by root', () => {
  const node = `[ -e "$0.ok" ] && echo ${wanted} || { echo "error while loading shared libraries: libatomic.so.1" >&2; exit 127; }`;
  const ran = setup(['run', 'sh', '-c', 'echo on'], { ...all, ...apt, id: 'echo 0' }, { node });
  assert.match(ran.err, /libatomic1: node itself/);
  assert.match(ran.did, /apt-get .*update\n[\s\S]*apt-get .*install --no-install-recommends libatomic1\n/);
  assert.equal(ran.out, 'on\n');
});

test('no right to install: the one apt line, exit 69, and no command run', () => {
  const { bwrap: _, ...rest } = all;
  const ran = setup(['start', 'sh', '-c', 'echo never'], { ...rest, ...apt, ...user });
  assert.deepEqual([ran.code, ran.out], [69, '']);
  assert.match(ran.err, /bubblewrap: builds the walls/);
  assert.match(ran.err, /sudo apt-get install -y bubblewrap\n$/);
  assert.doesNotMatch(ran.did, /apt-get/);
});

test('an ordinary user with sudo installs through it', () => {
  const { bwrap: _, ...rest } = all;
  const ran = setup(['start'], { ...rest, ...apt, id: 'echo 1000', sudo: 'shift; exec "$@"' });
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.did, /sudo -n env DEBIAN_FRONTEND=noninteractive apt-get .* install .*bubblewrap/);
});

test('--no-install forbids it, with and without the dashes before it', () => {
  const { bwrap: _, ...rest } = all;
  const stubs = { ...rest, ...apt, id: 'echo 0' };
  for (const ran of [
    setup(['start', 'sh', '-c', 'echo never', '--no-install'], stubs),
    setup(['start', 'sh', '-c', 'echo never'], stubs, { env: { npm_config_install: '' } }),
  ]) {
    assert.deepEqual([ran.code, ran.out], [69, '']);
    assert.doesNotMatch(ran.did, /apt-get/);
  }
});

test('`run` needs nothing but node, and start leaves containers and browsers alone', () => {
  assert.equal(setup(['run'], {}).code, 0);
  assert.equal(setup(['start'], { bwrap: '', nsenter: '', ip: '' }).code, 0);
});

test('a node of another version is named and refused', () => {
  const ran = setup(['run'], all, { node: 'echo v18.0.0' });
  assert.equal(ran.code, 69);
  assert.match(ran.err, /should be v26\.10\.0 and says: v18\.0\.0/);
});

test('the lockfile names every optional platform package, or npm ci refuses it', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const missing = Object.values(lock.packages)
    .flatMap((each) => Object.keys(each.optionalDependencies ?? {}))
    .filter((name) => !(`node_modules/${name}` in lock.packages));
  assert.deepEqual(missing, []);
});
