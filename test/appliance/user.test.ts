/** The same product for an ordinary user: all walls and two limits less, a kill without cgroups, no real keys without an explicit yes, and a run folder that nobody can have planted. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { dockerSocket } from '../../appliance/world/containers.ts';
import { below } from '../../appliance/world/tree.ts';
import { createProvider, type Provider } from '../provider/provider.ts';
import {
  type Appliance,
  allRun,
  appliance,
  inWorld,
  run,
  statusOf,
  toolsReady,
  until,
} from '../world/appliance.ts';
import { approve, asked, operatorOf, password } from '../world/operator.ts';
import { asUser, folderOf, processesOf } from '../world/user.ts';

// Nobody else's: what runs under it was started here.
const uid = 61_434;
const account = folderOf(uid);
after(() => {
  rmSync(account, { recursive: true, force: true });
  rmSync(`/tmp/holdfast-${uid}`, { recursive: true, force: true });
});

const secret = 'sk-real-key-of-an-ordinary-user';

const modelOf = (provider: Provider, key = ''): string =>
  `providers: { local: { kind: openai, baseUrl: "${provider.url}"${key}, price: { free: true } } }\nagents: { main: { model: { provider: local, name: fake-1 } } }\n`;

async function provided(t: TestContext): Promise<Provider> {
  const provider = await createProvider();
  t.after(() => provider.close());
  return provider;
}

const writeKey = (home: string): void => {
  mkdirSync(join(home, 'secrets/llm'), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, 'secrets/llm/local'), `${secret}\n`, { mode: 0o600 });
  for (const path of ['secrets', 'secrets/llm', 'secrets/llm/local']) chownSync(join(home, path), uid, uid);
};

const pidOf = async (a: Appliance, name: string): Promise<number> => {
  const found = (await statusOf(a)).processes.find((each) => each.name === name);
  assert.ok(found?.pid, `${name} runs`);
  return found.pid;
};

test('everything runs for an ordinary user: five walls stand, two limits are absent, and doctor and status say so', async (t) => {
  const a = await appliance(t, { uid, account });
  await until(() => allRun(a), 20_000, a.output);
  const running = processesOf(uid);
  for (const { pid } of (await statusOf(a)).processes) assert.ok(running.some((each) => each.pid === pid));
  assert.equal(statSync(a.run).uid, uid);
  assert.equal(statSync(`/tmp/holdfast-${uid}`).mode & 0o777, 0o700);
  assert.equal(readdirSync(join(account, '.cache/holdfast')).length, 1, 'the compile cache');

  type Facts = { mode: string; walls?: Row[]; worlds?: { walls: Row[] }[]; notes?: string[]; ok?: boolean };
  type Row = { wall: string; state: string; fix?: string };
  const read = async (verb: string): Promise<Facts> => {
    const { code, stdout, stderr } = await a.cli(verb, '--json');
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as Facts;
  };
  const [status, doctor] = [await read('status'), await read('doctor')];
  for (const [facts, walls] of [
    [status, status.worlds?.[0]?.walls],
    [doctor, doctor.walls],
  ] as const) {
    assert.equal(facts.mode, 'user');
    assert.deepEqual(
      walls?.map(({ wall, state }) => `${wall} ${state}`),
      [
        ...['network', 'mounts', 'processes', 'privileges', 'system calls'].map((wall) => `${wall} stands`),
        'own uid absent',
        'cgroup absent',
      ],
    );
  }
  assert.equal(doctor.ok, true);
  assert.match((doctor.notes ?? []).join('\n'), /own user id on the host.*no cgroup/s);
  assert.match((doctor.notes ?? []).join('\n'), /holdKeys: true.*explicit yes/s);
  assert.match((await a.cli('doctor')).stdout, /own uid +absent[\s\S]*cgroup +absent[\s\S]*Run as root/);

  // Tools: what is missing and the fix, wherever somebody asks.
  const operator = await operatorOf(a);
  await operator.post(`${a.chatUrl}/a/main/say`, { text: '/run id' });
  await until(
    async () => /usermod -aG docker/.test((await operator.get(`${a.chatUrl}/a/main`)).text),
    10_000,
    a.output,
  );
  const refused = await a.cli('run', 'id');
  assert.equal(refused.code, 3);
  assert.match(refused.stderr, /may not use Docker’s socket[\s\S]*usermod -aG docker/);
  await until(async () => /usermod -aG docker/.test((await a.cli('status')).stdout), 10_000, a.output);
});

test('an answer streams; a press from the page and one from the command line end the whole tree of the guest; a re-arm brings it back', async (t) => {
  const provider = await provided(t);
  const a = await appliance(t, { uid, account, config: modelOf(provider) });
  await until(() => allRun(a), 20_000, a.output);
  const operator = await operatorOf(a);
  provider.misbehave('slow');
  await operator.send(`${a.chatUrl}/a/main/say`, { text: `first ${'and on '.repeat(20)}last` });
  let grew = false;
  await operator.watch(`${a.chatUrl}/a/main`, (text) => {
    const answer = text.slice(text.lastIndexOf('<li class="turn'));
    grew ||= /said: first/.test(answer) && !answer.includes('last');
    return /said: first[\s\S]*last/.test(answer);
  });
  assert.ok(grew, 'the first words were there before the last');
  provider.misbehave(undefined);

  for (const press of ['page', 'command line'] as const) {
    const left = await spawnInside(a);
    const inside = [...(await treeOf(a)), ...left];
    const lives = (): number[] => inside.filter((pid) => processesOf(uid).some((each) => each.pid === pid));
    assert.ok(inside.length >= 5 && lives().length === inside.length, 'control: the tree lives');
    if (press === 'page') {
      const page = await operator.post(`${a.controllerUrl}/kill`);
      assert.equal(page.status, 200);
      assert.match(page.text, /worlds verified empty[\s\S]*by process id, as there is no cgroup/);
    } else {
      const { code, stdout } = await a.cli('kill', '--reason', 'a drill');
      assert.equal(code, 0, stdout);
      assert.match(stdout, /worlds verified empty +\S+ +yes +by process id, as there is no cgroup/);
    }
    assert.deepEqual(lives(), [], 'gone when the receipt is there, not later');
    const { state, worlds } = await statusOf(a);
    assert.deepEqual([state, worlds[0]?.state], ['killed', 'stopped']);
    if (press === 'page')
      await operator.post(`${a.controllerUrl}/rearm`, { password, reason: 'the drill is over' });
    else assert.equal((await a.cli('rearm', '--reason', 'the drill is over')).code, 0);
    await until(() => allRun(a), 20_000, a.output);
  }
  await operator.send(`${a.chatUrl}/a/main/say`, { text: 'back again' });
  await until(
    async () => /You said: back again/.test((await operator.get(`${a.chatUrl}/a/main`)).text),
    10_000,
    a.output,
  );
});

for (const [signal, when] of [
  ['SIGINT', 'when all runs'],
  ['SIGKILL', 'when all runs'],
  ['SIGKILL', 'in the midst of a start'],
] as const) {
  test(`nothing is left after ${signal} ${when}, and another one beside it goes on`, async (t) => {
    const a = await appliance(t, { uid, account });
    const other = when === 'when all runs' ? await appliance(t, { uid, account }) : undefined;
    if (other) {
      await until(async () => (await allRun(a)) && (await allRun(other)), 30_000, a.output);
      assert.notEqual(a.run, other.run);
    }
    const before = processesOf(uid).length;
    assert.ok(before > 10, 'control: there is something to end');
    await a.stop(signal);
    const ours = (): { pid: number; command: string }[] => {
      const rest = other ? [other.pid, ...below(other.pid).map((each) => each.pid)] : [];
      // The reaper of the other is not below it once its parent has gone, and names its home.
      return processesOf(uid).filter(
        (each) => !rest.includes(each.pid) && !(other && each.command.includes(other.home)),
      );
    };
    await until(
      () => ours().length === 0 && !existsSync(a.run),
      15_000,
      () => JSON.stringify(ours(), null, 1),
    );
    if (other) assert.equal(await allRun(other), true);
  });
}

test('a real key is not used without an explicit yes, and everybody who meets that says so with the fix', async (t) => {
  const provider = await createProvider({ requireKey: secret });
  t.after(() => provider.close());
  const config = modelOf(provider, ', key: local');
  const a = await appliance(t, { uid, account, config, prepare: writeKey });
  await until(() => allRun(a), 20_000, a.output);
  const yes = /ordinaryUser: \{ holdKeys: true \}/;
  assert.match(a.output(), new RegExp(`keys: not used for local.*${yes.source}`));
  assert.match((await a.cli('doctor')).stdout, new RegExp(`local cannot be asked.*${yes.source}`));
  const operator = await operatorOf(a);
  const page = await operator.get(`${a.chatUrl}/a/main`);
  assert.match(page.text, /its key is not used[\s\S]*ordinaryUser:\n {2}holdKeys: true/);
  const said = await operator.post(`${a.chatUrl}/a/main/say`, { text: 'hello' });
  assert.equal(said.status, 409);
  assert.match(said.text, yes);
  const atTheDoor = await inWorld(a, 'main', 'curl', ask);
  assert.match(atTheDoor.stdout, /keys-not-held/);
  assert.match(atTheDoor.stdout, yes);
  assert.equal(provider.requests.length, 0, 'nothing was sent without the key either');

  // Not only unused: the process that would place it has never had it.
  assert.deepEqual(await credentialsOf(a), []);
  const copies = await run('grep', ['-rlF', secret, a.run, a.home]);
  assert.equal(copies.stdout.trim(), join(a.home, 'secrets/llm/local'));

  const file = join(a.home, 'holdfast.yaml');
  writeFileSync(file, `${readFileSync(file, 'utf8')}ordinaryUser: { holdKeys: true }\n`);
  const applied = await a.cli('config', 'apply');
  assert.equal(applied.code, 0, applied.stderr);
  await until(() => allRun(a), 20_000, a.output);
  assert.deepEqual(await credentialsOf(a), ['local'], 'control: that is where it would be');
  assert.doesNotMatch((await operator.get(`${a.chatUrl}/a/main`)).text, /its key is not used/);
  await operator.send(`${a.chatUrl}/a/main/say`, { text: 'with the key' });
  await until(
    async () => /You said: with the key/.test((await operator.get(`${a.chatUrl}/a/main`)).text),
    10_000,
    a.output,
  );
  assert.match((await a.cli('doctor')).stdout, /You said yes to real provider keys/);
});

test("a user who may use Docker has tools, and what they write is that user's", async (t) => {
  const a = await appliance(t, { uid, account, groups: [statSync(dockerSocket).gid] });
  await until(() => allRun(a), 20_000, a.output);
  await until(() => toolsReady(a), 60_000, a.output);
  const operator = await operatorOf(a);
  await operator.send(`${a.chatUrl}/a/main/say`, { text: '/run id -u; touch made-by-tool' });
  await until(async () => (await asked(a, operator)).length === 1, 20_000, a.output);
  for (const one of await asked(a, operator)) await approve(a, operator, one);
  await until(
    async () => /Exit code 0/.test((await operator.get(`${a.chatUrl}/a/main`)).text),
    30_000,
    a.output,
  );
  assert.equal(statSync(join(a.home, 'agents/main/workspace/made-by-tool')).uid, uid);
  // That group is not the guest's way out: nothing of /run is in its view.
  const guest = await firstOf(a, 'agent@main');
  assert.equal(existsSync(`/proc/${guest}/root/run`), false);
  assert.equal(existsSync(`/proc/${guest}/root/var`), false);
});

test('a run folder that somebody else has put in its place is refused, by the launcher and by every verb', async (t) => {
  const planted = uid + 1;
  const top = `/tmp/holdfast-${planted}`;
  const home = folderOf(planted);
  const elsewhere = folderOf(uid);
  t.after(() => {
    for (const path of [top, home, elsewhere]) rmSync(path, { recursive: true, force: true });
  });
  const holdfast = join(import.meta.dirname, '../../appliance/cli/holdfast.ts');
  const start = (verb: string, ...args: string[]): ReturnType<typeof run> => {
    const plain = [process.execPath, holdfast, verb, '--home', home, ...args];
    const [program = '', ...rest] = asUser({ uid: planted }, plain);
    return run(program, rest, undefined, { PATH: process.env.PATH ?? '', HOME: account });
  };
  const plants: [RegExp, () => void][] = [
    [/is not a plain folder/, () => symlinkSync(elsewhere, top)],
    [/is not a plain folder/, () => symlinkSync('/nowhere', top)],
    [/is not a plain folder/, () => writeFileSync(top, '')],
    [
      new RegExp(`belongs to uid ${uid}`),
      () => {
        mkdirSync(top);
        chownSync(top, uid, uid);
      },
    ],
    [
      /may be written by others/,
      () => {
        mkdirSync(top);
        chownSync(top, planted, planted);
        chmodSync(top, 0o777);
      },
    ],
  ];
  for (const [says, plant] of plants) {
    rmSync(top, { recursive: true, force: true });
    plant();
    for (const verb of says === plants[0]?.[0] ? ['up', 'status', 'kill'] : ['up']) {
      const { code, stderr } = await start(verb, ...(verb === 'up' ? ['--no-install'] : []));
      assert.equal(code, 3, `${verb}: ${stderr}`);
      assert.match(stderr, says);
      assert.match(stderr, /then remove it/);
    }
  }
  assert.deepEqual(readdirSync(elsewhere), [], 'nothing was written where the link led');
  assert.deepEqual(processesOf(planted), []);
});

const ask = [
  ...['-s', '-m', '8', '-H', 'content-type: application/json'],
  ...['-d', '{"model":"fake-1","messages":[{"role":"user","content":"hello"}]}'],
  'http://127.0.0.1:9090/v1/chat/completions',
];

/** The names in the credentials folder of the llm process, as it sees its own root. */
async function credentialsOf(a: Appliance): Promise<string[]> {
  const root = `/proc/${await firstOf(a, 'llm')}/root`;
  const folder = `${root}/run/credentials`;
  assert.ok(existsSync(`${root}/run/holdfast/part`), 'control: that is its view');
  return existsSync(folder) ? readdirSync(folder) : [];
}

const treeOf = async (a: Appliance): Promise<number[]> => {
  const roots = [await pidOf(a, 'agent@main'), await pidOf(a, 'dialer@main')];
  return [...roots, ...roots.flatMap((pid) => below(pid).map((each) => each.pid))];
};

/** The first process of its pid namespace, below bubblewrap's outer one. */
async function firstOf(a: Appliance, name: string): Promise<number> {
  const outer = await pidOf(a, name);
  // A guest counts as running from its spawn on; its own first process is there a moment later.
  await until(() => below(outer).length >= 2, 5000);
  const [first] = below(outer);
  assert.ok(first);
  return first.pid;
}

/** What a guest could leave about: processes of its pid namespace that have another session, no parent, and no ear for signals. */
async function spawnInside(a: Appliance): Promise<number[]> {
  const deaf = `trap '' HUP INT TERM; setsid sh -c "trap '' HUP INT TERM; sleep 86399; :" & sleep 86399; :`;
  spawn(
    'nsenter',
    [
      ...['--target', String(await firstOf(a, 'agent@main')), '--pid', '--'],
      ...['setpriv', '--reuid', String(uid), '--regid', String(uid), '--clear-groups', '--'],
      ...['sh', '-c', `setsid sh -c '${deaf.replaceAll("'", `'\\''`)}' &`],
    ],
    { stdio: 'ignore' },
  ).unref();
  const found = (): number[] =>
    processesOf(uid)
      .filter(({ command }) => command.includes('sleep 86399'))
      .map(({ pid }) => pid);
  await until(() => found().length >= 4, 5000);
  return found();
}
