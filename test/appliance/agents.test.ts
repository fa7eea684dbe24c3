/** Agents come and go while the house runs, the configuration changes under it, and a guest that crashes is started ever later. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createProvider } from '../provider/provider.ts';
import { allRun, appliance, statusOf, until } from '../world/appliance.ts';
import { ask, chatAt, farEnd, type Line, lines, pids, throughProxy } from '../world/asking.ts';

test('agents are added and removed live, and a change of rules reaches only what it must', async (t) => {
  const provider = await createProvider();
  t.after(() => provider.close());
  const far = await farEnd(t);
  const a = await appliance(t, {
    config: `
providers: { local: { kind: openai, baseUrl: ${provider.url}, price: { free: true } } }
agents:
  main:
    model: { provider: local, name: practice }
    egress: []
`,
  });
  await until(() => allRun(a), 30_000, a.output);

  await t.test('a second agent stands in a world, with an id, a workspace and doors of its own', async () => {
    const added = await a.cli('agent', 'add', 'scout');
    assert.equal(added.code, 0, added.stderr);
    assert.match(added.stdout, /agents\/scout\/workspace/, 'it says where');
    await until(() => allRun(a), 20_000, a.output);
    const { processes, worlds } = await statusOf(a);
    assert.deepEqual(worlds.map(({ agent }) => agent).sort(), ['main', 'scout']);
    assert.ok(
      worlds.every(({ walls }) => walls.length === 7 && walls.every(({ state }) => state === 'stands')),
    );
    const uids = ['agent@main', 'agent@scout'].map(
      (name) => processes.find((each) => each.name === name)?.uid,
    );
    assert.notEqual(uids[0], uids[1]);
    for (const [at, agent] of ['main', 'scout'].entries())
      assert.equal(statSync(join(a.home, 'agents', agent, 'workspace')).uid, uids[at]);
    const listed = JSON.parse((await a.cli('agent', 'list', '--json')).stdout) as Line[];
    assert.deepEqual(
      listed.map(({ name, state }) => [name, state]),
      [
        ['main', 'running'],
        ['scout', 'running'],
      ],
    );
    assert.match(readFileSync(join(a.home, 'holdfast.yaml'), 'utf8'), /scout/, 'it is in the file');
  });

  await t.test(
    'what comes through a door is of its agent, and no connection to a provider is shared',
    async () => {
      await Promise.all(['main', 'scout'].map((agent) => ask(a, agent, ...chatAt(`i am ${agent}`))));
      for (const agent of ['main', 'scout', 'main', 'scout'])
        assert.match(
          (await ask(a, agent, ...chatAt(`i am ${agent}`))).body,
          new RegExp(`You said: i am ${agent}`),
        );
      const asked = lines(a, 'traffic.jsonl').filter((line) => line.kind === 'request');
      assert.equal(asked.filter((line) => line.agent === 'main').length, 3);
      assert.equal(asked.filter((line) => line.agent === 'scout').length, 3);
      const ports = (agent: string): number[] =>
        provider.requests.filter(({ body }) => body.includes(`i am ${agent}`)).map(({ port }) => port);
      assert.equal(ports('main').length, 3);
      assert.deepEqual(
        ports('main').filter((port) => ports('scout').includes(port)),
        [],
      );
      assert.ok(new Set(ports('main')).size < 3, 'control: an agent does use its own connection again');
    },
  );

  const edit = (from: string, to: string): void => {
    const file = join(a.home, 'holdfast.yaml');
    const text = readFileSync(file, 'utf8');
    assert.ok(text.includes(from), text);
    writeFileSync(file, text.replace(from, to));
  };
  const proxied = (agent: string): ReturnType<typeof ask> => ask(a, agent, ...throughProxy, far.url);

  await t.test(
    'an edit by hand waits for `config apply`, and then changes a rule of a running egress',
    async () => {
      const before = await pids(a);
      assert.equal((await proxied('main')).status, 403);
      edit('egress: []', `egress: [ { host: 127.0.0.1, ports: [${far.port}] } ]`);
      assert.equal((await proxied('main')).status, 403, 'not yet');
      const applied = await a.cli('config', 'apply');
      assert.equal(applied.code, 0, applied.stderr);
      assert.match(applied.stdout, /changed live: .*egress[\s\S]*restarted: none/);
      assert.equal((await proxied('main')).body, 'reached');
      assert.equal((await proxied('scout')).status, 403, 'the rule is of main alone');
      assert.deepEqual(await pids(a), before, 'nobody was started anew');
    },
  );

  await t.test('a mistake is named and changes nothing; what ran before runs on', async () => {
    const before = await pids(a);
    edit(`ports: [${far.port}]`, 'ports: [https]');
    const refused = await a.cli('config', 'apply');
    assert.equal(refused.code, 78, refused.stdout + refused.stderr);
    assert.match(
      refused.stderr,
      /holdfast\.yaml:\d+:\d+ agents\.main\.egress.*ports[\s\S]*What ran before runs on/,
    );
    assert.equal((await proxied('main')).body, 'reached');
    assert.deepEqual(await pids(a), before);
    assert.equal((await a.cli('agent', 'remove', 'scout')).code, 78, 'no edit of a file that has mistakes');
    edit('ports: [https]', `ports: [${far.port}]`);
  });

  await t.test('a removed agent ends, its files stay, and it says where', async () => {
    writeFileSync(join(a.home, 'agents/scout/workspace/kept'), 'kept');
    const removed = await a.cli('agent', 'remove', 'scout');
    assert.equal(removed.code, 0, removed.stderr);
    assert.match(removed.stdout, new RegExp(`files stay in ${join(a.home, 'agents/scout')}`));
    assert.deepEqual(
      (await statusOf(a)).worlds.map(({ agent }) => agent),
      ['main'],
    );
    assert.equal((await pids(a))['agent@scout'], undefined);
    assert.equal(readFileSync(join(a.home, 'agents/scout/workspace/kept'), 'utf8'), 'kept');
    await until(() => allRun(a), 20_000, a.output);
  });

  await t.test('a guest that crashes in a loop is started ever later, and that is said', async () => {
    for (let crash = 1; crash <= 4; crash += 1) {
      const row = async () => (await statusOf(a)).processes.find(({ name }) => name === 'agent@main');
      await until(async () => (await row())?.state === 'running', 10_000, a.output);
      process.kill((await row())?.pid ?? 0, 'SIGKILL');
      await until(async () => (await row())?.restarts === crash, 5000);
    }
    const [world] = (await statusOf(a)).worlds;
    assert.deepEqual([world?.state, world?.why], ['backing-off', 'signal SIGKILL']);
    const log = readFileSync(join(a.home, 'shared/logs/errors/ERROR-LOG.md'), 'utf8');
    const waits = [...log.matchAll(/agent@main ended .* in (\d+) ms \(restart (\d)\)/g)].map(
      ([, ms, count]) => [Number(count), Number(ms)],
    );
    assert.deepEqual(waits, [
      [1, 250],
      [2, 500],
      [3, 1000],
      [4, 2000],
    ]);
    assert.match((await a.cli('status')).stdout, /agent@main +backing-off/);
    await until(() => allRun(a), 10_000, a.output);
    assert.equal((await a.cli('ask', 'back again?')).code, 0);
  });
});
