/** Invariant 9: nothing written by an agent is configuration, code, path or command line for a more privileged process. Here: what is planted where trusted code opens is refused, never followed. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { createHeads } from '../../appliance/keeper/heads.ts';
import { encodeLatch, readLatch } from '../../appliance/keeper/latch.ts';
import { collect } from '../../appliance/launcher/collect.ts';
import { createHome, giveCredentials, prepareEntries, replaceFile } from '../../appliance/launcher/home.ts';
import { openRunFolder } from '../../appliance/launcher/house.ts';
import { addToTrail } from '../../appliance/launcher/trail.ts';
import { manifest } from '../../appliance/manifest.ts';
import { Problem } from '../../appliance/problem.ts';
import type { Entry, Manifest } from '../../appliance/row.ts';
import type { Config } from '../../appliance/settings.ts';
import { clearSocketPlace, permitSocket } from '../../appliance/world/door.ts';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';
import { checkout, type Mode, ordinaryUid } from '../world/world.ts';

const mode: Mode = process.getuid?.() === 0 ? 'root' : 'user';
const auditGroup = mode === 'root' ? 412_040 : 0;
const today = new Date('2026-02-03T12:00:00Z');

const config: Config = {
  controller: { port: 8080 },
  chat: { port: 18789 },
  uids: {},
  ordinaryUser: { holdKeys: false },
  providers: {},
  models: {},
  agents: {
    main: { aliases: {}, limits: defaultLimits, egress: [], memoryMb: 1024, pids: 256 },
    scout: { aliases: {}, limits: defaultLimits, egress: [], memoryMb: 1024, pids: 256 },
  },
  approvals: { waitSeconds: 900 },
  tools: { memoryMb: 512, pids: 128, timeoutSeconds: 120, outputKb: 256 },
  metrics: {},
};

const table = (home: string): Manifest =>
  manifest(config, {
    instance: '0000000c',
    mode,
    agentNumbers: { main: 0, scout: 1 },
    keys: [],
    killed: false,
    docker: null,
    home,
    owner: { uid: 1000, gid: 1000 },
  });

type Place = { home: string; run: string; outside: string };

function place(t: TestContext): Place {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-planted-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const made = {
    home: join(folder, 'home'),
    run: join(folder, 'run/0000000c'),
    outside: join(folder, 'outside'),
  };
  mkdirSync(join(made.outside, 'folder'), { recursive: true });
  writeFileSync(join(made.outside, 'file'), 'untouched', { mode: 0o604 });
  chmodSync(join(made.outside, 'folder'), 0o705);
  createHome(made.home);
  openRunFolder(made.run);
  return made;
}

const prepare = ({ home }: Place): void => prepareEntries(home, mode, table(home), auditGroup);

/** Everything about what a link leads to that a careless chown, chmod, open or write would change. */
function state({ outside }: Place): unknown[] {
  return ['file', 'folder'].map((name) => {
    const { mode, uid, gid, nlink, mtimeMs, size } = lstatSync(join(outside, name));
    return { name, mode, uid, gid, nlink, mtimeMs, size };
  });
}

const plants: Record<string, { to: Entry['kind'][]; plant(path: string, at: Place): void }> = {
  'a link to a file': {
    to: ['file', 'folder'],
    plant: (path, at) => symlinkSync(join(at.outside, 'file'), path),
  },
  'a link to a folder': {
    to: ['file', 'folder'],
    plant: (path, at) => symlinkSync(join(at.outside, 'folder'), path),
  },
  'a link to nothing': {
    to: ['file', 'folder'],
    plant: (path, at) => symlinkSync(join(at.outside, 'new'), path),
  },
  'a second name of a file': { to: ['file'], plant: (path, at) => linkSync(join(at.outside, 'file'), path) },
  'a pipe': {
    to: ['file', 'folder'],
    plant: (path) => execFileSync('perl', ['-MPOSIX=mkfifo', '-e', 'mkfifo($ARGV[0], 0600) or die $!', path]),
  },
  'a folder': { to: ['file'], plant: (path) => mkdirSync(path) },
  'a file': { to: ['folder'], plant: (path) => writeFileSync(path, '') },
};

/** Puts each kind of plant in the place of `path`, and takes it away again. */
function eachPlant(at: Place, path: string, kind: Entry['kind'], then: (what: string) => void): number {
  const fitting = Object.entries(plants).filter(([, { to }]) => to.includes(kind));
  for (const [what, { plant }] of fitting) {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(dirname(path), { recursive: true });
    plant(path, at);
    const before = state(at);
    then(what);
    assert.deepEqual(state(at), before, `${what} at ${path} was followed`);
    assert.ok(!existsSync(join(at.outside, 'new')), `${what} at ${path}: something was made at its end`);
    assert.deepEqual(readdirSync(join(at.outside, 'folder')), [], `${what} at ${path} was written into`);
    rmSync(path, { recursive: true, force: true });
  }
  return fitting.length;
}

const refused = (act: () => void, what: string): void =>
  assert.throws(act, (error) => error instanceof Problem && error.code === 'planted', what);

const own: Entry[] = ['agents', 'audit', 'secrets', 'shared', 'shared/logs', 'shared/logs/errors'].map(
  (path) => ({
    path,
    kind: 'folder',
    mode: 0o711,
  }),
);

const entriesOf = (home: string): Entry[] => [
  ...own,
  ...table(home).processes.flatMap((row) => row.writes),
  ...table(home).worlds.flatMap(({ agent }) =>
    ['', '/workspace', '/state'].map(
      (part): Entry => ({ path: `agents/${agent}${part}`, kind: 'folder', mode: 0o700 }),
    ),
  ),
];

test('an honest home is prepared: every entry is there with its owner and mode', (t) => {
  const at = place(t);
  prepare(at);
  prepare(at); // and again, over what is there
  const { processes, worlds } = table(at.home);
  for (const row of processes) {
    for (const entry of row.writes) {
      const found = statSync(join(at.home, entry.path));
      assert.equal(found.mode & 0o777, entry.mode, entry.path);
      if (mode === 'root') assert.equal(found.uid, row.uid, entry.path);
    }
  }
  for (const { agent, uid } of worlds) {
    const workspace = statSync(join(at.home, 'agents', agent, 'workspace'));
    const above = statSync(join(at.home, 'agents', agent));
    assert.equal(workspace.mode & 0o777, 0o700);
    if (mode === 'root') assert.deepEqual([workspace.uid, above.uid], [uid, 0]);
  }
});

test('whatever is planted in the place of an entry of the home is refused and not followed', (t) => {
  const at = place(t);
  prepare(at);
  const entries = entriesOf(at.home);
  assert.ok(entries.length > 20, `${entries.length} entries`);
  let tried = 0;
  for (const { path, kind } of entries) {
    rmSync(join(at.home, path), { recursive: true, force: true });
    tried += eachPlant(at, join(at.home, path), kind, (what) =>
      refused(() => prepare(at), `${what} at ${path}`),
    );
  }
  assert.ok(tried > 100, `${tried} plants`);
  prepare(at);
});

test('a first run in a folder with planted entries is refused and not followed', (t) => {
  const at = place(t);
  for (const path of ['shared', 'audit', 'secrets', 'agents']) {
    eachPlant(at, join(at.home, path), 'folder', (what) => {
      rmSync(join(at.home, 'home.json'), { force: true });
      refused(() => createHome(at.home), `${what} at ${path}`);
    });
  }
  rmSync(join(at.home, 'home.json'), { force: true });
  assert.equal(createHome(at.home), true);
});

test('a first run that lost its mark does not re-arm a killed box', (t) => {
  const at = place(t);
  const killed = encodeLatch({ state: 'killed', epoch: 7, at: today.toISOString() });
  writeFileSync(join(at.home, 'latch'), killed);
  rmSync(join(at.home, 'home.json'));
  createHome(at.home);
  assert.equal(readLatch(join(at.home, 'latch')).state, 'killed');
});

test('the trail is written to plain files only', (t) => {
  const at = place(t);
  const files = {
    changelog: 'CHANGELOG.md',
    error: 'logs/errors/ERROR-LOG.md',
    docker: 'logs/docker-changes/2026-02-03.md',
  };
  for (const [where, file] of Object.entries(files)) {
    const add = (): boolean => addToTrail(at.home, where as keyof typeof files, 'something happened', today);
    eachPlant(at, join(at.home, 'shared', file), 'file', (what) =>
      assert.equal(add(), false, `${what} at ${file}`),
    );
    assert.equal(add(), true);
    assert.match(readFileSync(join(at.home, 'shared', file), 'utf8'), /something happened/);
  }
});

test('what a process prints is kept in plain files only', async (t) => {
  const at = place(t);
  const print = async (line: string): Promise<void> => {
    const stream = Readable.from([Buffer.from(`${line}\n`)]);
    collect(at.home, 'gateway', stream, null);
    await new Promise((resolve) => stream.once('close', resolve));
  };
  const log = join(at.home, 'shared/logs/gateway.log');
  for (const { to, plant } of Object.values(plants).filter((each) => each.to.includes('file'))) {
    assert.ok(to.includes('file'));
    rmSync(log, { recursive: true, force: true });
    plant(log, at);
    const before = state(at);
    await print('hostile');
    assert.deepEqual(state(at), before);
    assert.ok(!existsSync(join(at.outside, 'new')));
  }
  rmSync(log, { recursive: true, force: true });
  await print('honest');
  assert.match(readFileSync(log, 'utf8'), /honest/);
});

test('the latch and the ledgers are read from plain files only', (t) => {
  const at = place(t);
  prepare(at);
  const armed = encodeLatch({ state: 'armed', epoch: 1, at: today.toISOString() });
  writeFileSync(join(at.outside, 'file'), armed);
  writeFileSync(join(at.home, 'latch'), armed);
  assert.equal(readLatch(join(at.home, 'latch')).state, 'armed');
  // A second name is the same latch; everything else is not one.
  eachPlant(at, join(at.home, 'latch'), 'file', (what) => {
    const expected = what === 'a second name of a file' ? 'armed' : 'killed';
    assert.equal(readLatch(join(at.home, 'latch')).state, expected, what);
  });
  const line = '{"seq":1}\n';
  const ledger = join(at.home, 'audit/egress.jsonl');
  const { privateKey } = generateKeyPairSync('ed25519');
  const signs = (): boolean => {
    const heads = createHeads(dirname(ledger), privateKey);
    heads.moved(); // what is seen now is signed by the next call
    return heads.moved() !== null;
  };
  writeFileSync(join(at.outside, 'file'), line);
  eachPlant(at, ledger, 'file', (what) => {
    if (what !== 'a second name of a file') assert.equal(signs(), false, what);
  });
  writeFileSync(ledger, line);
  assert.equal(signs(), true);
});

test('a link among the keys is not copied, and none in the way of the copy is followed', (t) => {
  const at = place(t);
  const give = (): boolean =>
    giveCredentials({ ...at, mode }, 'llm', 'llm', mode === 'root' ? ordinaryUid : 0);
  const keys = join(at.home, 'secrets/llm');
  const copies = join(at.run, 'credentials/llm');
  symlinkSync(join(at.outside, 'file'), join(keys, 'linked'));
  writeFileSync(join(keys, 'openai'), 'sk-true');
  mkdirSync(copies, { recursive: true });
  symlinkSync(join(at.outside, 'file'), join(copies, 'openai.new'));
  symlinkSync(join(at.outside, 'file'), join(copies, 'openai'));
  const before = state(at);
  give();
  assert.deepEqual(state(at), before);
  assert.deepEqual(readdirSync(copies), ['openai']);
  assert.equal(readFileSync(join(copies, 'openai'), 'utf8'), 'sk-true');
  assert.ok(lstatSync(join(copies, 'openai')).isFile());
});

test('a file is replaced, never written through a link', (t) => {
  const at = place(t);
  const file = join(at.home, 'holdfast.yaml');
  for (const path of [file, `${file}.new`]) {
    symlinkSync(join(at.outside, 'file'), path);
    const before = state(at);
    replaceFile(file, 'text', 0o644);
    assert.deepEqual(state(at), before);
    assert.equal(readFileSync(file, 'utf8'), 'text');
    rmSync(file);
  }
});

test('the place of a socket is a plain folder, and what is permitted in it is a socket', async (t) => {
  const at = place(t);
  const socket = join(at.run, 'decide/sock');
  eachPlant(at, dirname(socket), 'folder', (what) => refused(() => clearSocketPlace(socket), what));
  clearSocketPlace(socket);
  eachPlant(at, socket, 'file', (what) =>
    refused(() => permitSocket(socket, mode, ordinaryUid, ordinaryUid), what),
  );
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  permitSocket(socket, mode, ordinaryUid, ordinaryUid);
  assert.equal(statSync(socket).mode & 0o777, mode === 'root' ? 0o660 : 0o600);
});

test('a run folder that is a link, or that another user made first, is refused', (t) => {
  const at = place(t);
  for (const path of [at.run, dirname(at.run)]) {
    rmSync(path, { recursive: true, force: true });
    eachPlant(at, path, 'folder', (what) => assert.throws(() => openRunFolder(at.run), what));
  }
  openRunFolder(at.run);
  if (mode !== 'root') {
    t.diagnostic('not possible: this test run is not root, so there is no other user');
    return;
  }
  // The launcher of an ordinary user, with the folder below /tmp made by somebody else before it.
  const asOrdinary = (): number | null => {
    const house = join(checkout, 'appliance/launcher/house.ts');
    const program = `const { openRunFolder } = await import(${JSON.stringify(house)});
      process.setgroups([]); process.setgid(${ordinaryUid}); process.setuid(${ordinaryUid});
      try { openRunFolder(${JSON.stringify(at.run)}); process.exit(0) } catch (error) { process.exit(error.code === 'planted' ? 3 : 4) }`;
    return spawnSync(process.execPath, ['--input-type=module', '-e', program]).status;
  };
  chmodSync(dirname(dirname(at.run)), 0o755);
  rmSync(at.run, { recursive: true });
  chownSync(dirname(at.run), ordinaryUid + 1, ordinaryUid + 1);
  chmodSync(dirname(at.run), 0o777);
  assert.equal(asOrdinary(), 3);
  chownSync(dirname(at.run), ordinaryUid, ordinaryUid);
  assert.equal(asOrdinary(), 0);
});

test('no process of the house has an agent folder in its view', () => {
  for (const row of table('/home').processes.filter((each) => each.guest === null)) {
    const seen = [...row.reads, ...row.writes].map(({ path }) => path);
    assert.deepEqual(
      seen.filter((path) => path.startsWith('agents')),
      [],
      row.name,
    );
    assert.ok(!row.runs.some((part) => /workspace|state|agents\//.test(part)), row.name);
  }
});
