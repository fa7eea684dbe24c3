/** A machine where namespaces are forbidden, or where bubblewrap is missing: the pages or one line say which and the fix, no guest starts, and nothing stays behind. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { worldNotice } from '../../appliance/gateway/pages/setup.ts';
import { fixFor } from '../../appliance/world/walls.ts';
import { type Appliance, appliance, run, statusOf, until } from '../world/appliance.ts';
import { operatorOf } from '../world/operator.ts';
import { asUser, folderOf, processesOf } from '../world/user.ts';

// Nobody else's: what runs under it was started here.
const uid = 61_334;
const account = folderOf(uid);
after(() => {
  for (const path of [account, `/tmp/holdfast-${uid}`]) rmSync(path, { recursive: true, force: true });
});

const config = `
providers: { local: { kind: openai, baseUrl: "http://127.0.0.1:9", price: { free: true } } }
agents: { main: { model: { provider: local, name: fake-1 } } }
`;

const bare = (t: TestContext): Promise<Appliance> => appliance(t, { uid, account, forbidden: true, config });

const noMore = /allows no more namespaces: run Holdfast as root, or .*sysctl -w user\.max_user_namespaces/;
const five = 'network, mounts, processes, privileges, system calls';

test('the machine of these tests allows no namespace, and without that the same command makes one', async () => {
  const make = ['unshare', '--user', '--net', 'true'];
  for (const [forbidden, code] of [
    [true, 1],
    [false, 0],
  ] as const) {
    const [program = '', ...args] = asUser({ uid, forbidden }, make);
    assert.equal((await run(program, args)).code, code);
  }
  const bwrap = ['bwrap', '--ro-bind', '/', '/', 'true'];
  const [program = '', ...args] = asUser({ uid, forbidden: true }, bwrap);
  assert.notEqual((await run(program, args)).code, 0);
});

test('the pages start, no guest and no proxy; chat, status and doctor name the walls and the fix', async (t) => {
  const a = await bare(t);
  const { processes, worlds } = await statusOf(a);
  assert.deepEqual(processes.map(({ name, state }) => `${name} ${state}`).sort(), [
    'controller running',
    'gateway running',
    'keeper running',
  ]);
  assert.equal(worlds[0]?.state, 'refused');
  assert.deepEqual(
    worlds[0]?.walls.map(({ state }) => state),
    Array.from({ length: 5 }, () => 'missing'),
  );
  assert.match(a.output(), /the pages alone run, as namespaces are forbidden here/);
  assert.doesNotMatch(a.output(), /tools:/, 'nothing is installed or built for tools that cannot run');

  const operator = await operatorOf(a);
  const chat = (await operator.get(`${a.chatUrl}/a/main`)).text;
  assert.match(chat, new RegExp(`Missing walls: ${five}`));
  assert.match(chat, noMore);
  assert.match(chat, /no agent, no tool, no model/);
  for (const text of ['hello?', '/run id']) {
    const said = await operator.post(`${a.chatUrl}/a/main/say`, { text });
    assert.equal(said.status, 409);
    assert.match(said.text, /was not started, because its world cannot be sealed/);
    assert.match(said.text, noMore);
  }
  await operator.post(`${a.chatUrl}/a/main/say`, { text: '/status' });
  assert.match((await operator.get(`${a.chatUrl}/a/main`)).text, /refused: [\s\S]*0 of 5 walls stand/);
  const overview = (await operator.get(`${a.controllerUrl}/`)).text;
  assert.match(overview, /may not start, because its world cannot be sealed/);
  assert.match(overview, noMore);

  const status = await a.cli('status');
  assert.match(status.stdout, new RegExp(`missing +${five} +This machine`));
  const doctor = await a.cli('doctor');
  assert.equal(doctor.code, 69, doctor.stderr);
  assert.match(doctor.stdout, /user namespaces +missing[\s\S]*network +missing/);
  assert.match(doctor.stdout, new RegExp(`user namespaces, ${five}: This machine`));
  assert.match(doctor.stdout, noMore);
  for (const [verb, ...rest] of [
    ['run', 'id'],
    ['ask', 'hello?'],
  ] as const) {
    const { code, stderr } = await a.cli(verb, ...rest);
    assert.ok([3, 69].includes(code), `${verb}: ${code} ${stderr}`);
    assert.doesNotMatch(stderr, /no Holdfast runs/);
  }
  // The press works all the same, and what is left is what was.
  assert.equal((await a.cli('kill')).code, 0);
  assert.equal((await statusOf(a)).state, 'killed');
  assert.equal((await a.cli('rearm', '--reason', 'it was a test')).code, 0);
  assert.equal((await statusOf(a)).processes.length, 3);
});

test('root in a container that may make none gets the same pages, and is not told to run as root', async (t) => {
  const a = await appliance(t, { uid: 0, forbidden: true, config });
  const { processes, worlds } = await statusOf(a);
  assert.equal(processes.length, 3);
  assert.deepEqual(
    [...new Set(worlds[0]?.walls.map(({ fix }) => fix))],
    ['This root may not make namespaces, as in a container: run Holdfast on the machine itself, or in a VM.'],
  );
  await a.stop('SIGKILL');
  await until(() => !existsSync(a.run) && processes.every(({ pid }) => !existsSync(`/proc/${pid}`)), 10_000);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  test(`without bubblewrap to end them, the pages still end with the launcher on ${signal}`, async (t) => {
    const a = await bare(t);
    assert.ok(processesOf(uid).length >= 4, 'control: launcher and pages');
    await a.stop(signal);
    await until(
      () => processesOf(uid).length === 0 && !existsSync(a.run),
      10_000,
      () => JSON.stringify(processesOf(uid)),
    );
  });
}

test('on Ubuntu 24.04 the fix is the AppArmor profile, whole, in the chat', async () => {
  const user = { restricted: true, root: false };
  for (const said of [
    'bwrap: setting up uid map: Permission denied',
    'a network namespace cannot be made: unshare: write failed /proc/self/uid_map: Operation not permitted',
  ]) {
    const fix = fixFor(said, user);
    assert.match(fix ?? '', /sudo tee \/etc\/apparmor\.d\/holdfast[\s\S]*userns,[\s\S]*\/usr\/bin\/unshare/);
    assert.doesNotMatch(fixFor(said, { restricted: false, root: false }) ?? '', /apparmor/);
    assert.doesNotMatch(fixFor(said, { restricted: true, root: true }) ?? '', /as root/);
    const walls = five.split(', ').map((wall) => ({ wall, state: 'missing', detail: said, fix }));
    const page = String(await worldNotice({ agent: 'main', state: 'refused', why: said, walls }));
    assert.match(page, new RegExp(`Missing walls: ${five}`));
    assert.equal(page.match(/apparmor_parser -r/g)?.length, 1, 'said once');
    assert.match(
      page,
      /<pre>[^<]*profile holdfast-bwrap \/usr\/bin\/bwrap flags=\(unconfined\) \{\n {2}userns,/,
    );
  }
  assert.equal(fixFor('something else broke', user), undefined);
});

test('without bubblewrap and without the right to install it, one apt line and exit 69', async (t) => {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-path-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const command of ['unshare', 'nsenter', 'setpriv', 'perl', 'sh', 'cat'])
    symlinkSync(join('/usr/bin', command), join(path, command));
  await assert.rejects(appliance(t, { path }), (error: Error) => {
    assert.match(error.message, /ended with 69/);
    const lines = error.message
      .split('\n')
      .slice(1)
      .filter((line) => line !== '');
    assert.match(lines[0] ?? '', /^holdfast: missing: bubblewrap \(.+\)$/);
    assert.equal(lines[1], 'Install by hand: sudo apt-get install -y bubblewrap');
    assert.equal(lines.length, 2);
    return true;
  });
});
