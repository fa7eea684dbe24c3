/** `holdfast models` against a llm process that is a small server: what it prints, what it sends, how it ends. */
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { createBar } from '../../appliance/cli/progress.ts';
import { controlRoutes } from '../../appliance/models/control.ts';
import { homePaths } from '../../appliance/paths.ts';
import { call, type Routes } from '../../appliance/socket.ts';
import { deny } from '../../proxies/llm/denial.ts';
import { fakeAppliance, holdfast, holdfastAs, lines, type Ran, tempHome } from './fake.ts';
import { problem, type Question } from './problem.ts';

const yaml = `providers:
  ollama@pi: { kind: ollama, baseUrl: "http://10.0.0.7:11434" }
  work: # the login
    kind: openai
    baseUrl: https://api.example.com/v1
    login: { deviceUrl: "https://a/device", tokenUrl: "https://a/token", clientId: holdfast }
  own:
    kind: openai
    baseUrl: http://10.0.0.8/v1
    price: { inputUsdPerMillion: 0.5, outputUsdPerMillion: 2 }
  rented: { kind: ollama, baseUrl: "http://10.0.0.6:11434", price: { inputUsdPerMillion: 1, outputUsdPerMillion: 1 } }
  full: { kind: openai, baseUrl: "http://10.0.0.9/v1", models: [ m1, m2, m3, m4, m5, m6, m7 ] }
models:
  fast: [ "ollama@pi/llama3.2", own/big ]
agents:
  main: { model: { name: fast }, aliases: { mine: [ own/small ] } }
`;

const window = (usd: number, limitUsd: number | null) => ({ usd, tokens: 1200, limitUsd, limitTokens: null });
const standing = {
  agents: [
    {
      agent: 'main',
      spend: {
        day: window(4.1, 5),
        month: window(31.5, null),
        warned: [50, 80],
        resets: { day: '2026-02-04T00:00:00Z', month: '2026-03-01T00:00:00Z' },
      },
    },
  ],
  providers: [
    {
      name: 'ollama@pi',
      kind: 'ollama',
      up: true,
      slots: { busy: 1, of: 1, waiting: 2 },
      breakers: {},
      login: null,
      keyState: 'none',
    },
    {
      name: 'work',
      kind: 'openai',
      up: null,
      slots: null,
      breakers: { main: 'open' },
      login: { state: 'held', expiresAt: '2026-02-04T09:00:00Z', warn: 'ends tomorrow' },
      keyState: 'login',
    },
  ],
  unpriced: [{ provider: 'work', model: 'gpt\u202e-9', agent: 'main', at: '2026-02-03T12:00:00Z' }],
  keyRefused: [{ provider: 'own', model: 'big', status: 401, agent: 'main', at: '2026-02-03T12:00:00Z' }],
};
const nodes = [
  {
    provider: 'ollama@pi',
    kind: 'ollama',
    up: true,
    models: [{ name: 'llama3.2', bytes: 2e9 }, { name: 'qwen3:8b' }],
  },
  {
    provider: 'rented',
    kind: 'ollama',
    up: true,
    models: [1, 2, 3, 4, 5, 6].map((at) => ({ name: `r${at}` })),
  },
  {
    provider: 'own',
    kind: 'openai',
    up: false,
    models: [],
    why: 'own at http://10.0.0.8/v1 did not do it (ECONNREFUSED)',
  },
];

const served = (t: Parameters<typeof fakeAppliance>[0], models: Routes, rest: Record<string, Routes> = {}) =>
  fakeAppliance(t, { launch: { 'GET /status': () => ({}) }, models, ...rest });

test('list shows providers, what nodes hold, aliases, and prices with where they are from', async (t) => {
  const home = await served(t, { 'GET /standing': () => standing, 'GET /nodes': () => ({ nodes }) });
  writeFileSync(join(home, 'holdfast.yaml'), yaml);
  const ran = await holdfast('models', 'list', '--home', home);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /^ollama@pi +ollama +up +none +1 of 1, 2 wait +llama3\.2, qwen3:8b$/m);
  assert.match(ran.out, /^work +openai +not known, breaker open for main/m);
  assert.match(ran.out, /^own +openai +not known +0\.5 in, 2 out +does not answer: connection refused$/m);
  assert.match(ran.out, /^full +openai +not known +m1, m2, m3, m4, m5, \+2 more$/m);
  assert.match(ran.out, /login held: ends tomorrow/);
  assert.match(ran.out, /^fast +all +ollama@pi\/llama3\.2 -> own\/big$/m);
  assert.match(ran.out, /^mine +main +own\/small$/m);
  assert.match(ran.out, /^rented +ollama +not known +1 in, 1 out +r1, r2, r3, r4, r5, \+1 more$/m);
  assert.doesNotMatch(ran.out, /^rented\//m, 'nor what a node just holds');
  assert.doesNotMatch(ran.out, /^ollama@pi\//m, 'what is free by default needs no row');
  assert.match(ran.out, /^own\/big +0\.5 in, 2 out +\S/m);
  assert.match(ran.out, /^work\/gpt⟨U\+202E⟩-9 +by quota/m);
  assert.match(ran.err, /main asked for work\/gpt⟨U\+202E⟩-9, and nobody has said what it costs/);
  assert.match(ran.err, /own answered 401: its key is wrong/);
  const script = JSON.parse((await holdfast('models', 'list', '--home', home, '--json')).out);
  assert.deepEqual(
    [script.models, script.unpriced.length, script.nodes],
    [{ fast: ['ollama@pi/llama3.2', 'own/big'] }, 1, nodes],
  );
  assert.equal(script.running, true);
  const price = (model: string) => script.prices.find((each: { model: string }) => each.model === model);
  assert.deepEqual(
    { ...price('ollama@pi/qwen3:8b'), source: '' },
    {
      model: 'ollama@pi/qwen3:8b',
      free: true,
      inputUsdPerMillion: 0,
      cachedUsdPerMillion: 0,
      outputUsdPerMillion: 0,
      source: '',
      dated: null,
    },
  );
  assert.deepEqual(
    [price('own/big').inputUsdPerMillion, price('own/big').outputUsdPerMillion, price('own/big').source],
    [0.5, 2, 'holdfast.yaml'],
  );
});

test('nodes that do not answer take only their own column away', async (t) => {
  const home = await served(t, {
    'GET /standing': () => standing,
    'GET /nodes': () => {
      throw problem('late', 504, 'nobody answered', '');
    },
  });
  writeFileSync(join(home, 'holdfast.yaml'), yaml);
  const ran = await holdfast('models', 'list', '--home', home);
  assert.equal(ran.code, 0);
  assert.match(ran.out, /^ollama@pi +ollama +up/m);
  assert.match(ran.err, /What the nodes hold is not known: nobody answered/);
});

test('what a node refuses in the middle of a pull is told in its words', async (t) => {
  const home = await served(
    t,
    controlRoutes({
      standing: () => standing,
      metrics: async () => ({ type: 'text/plain; version=0.0.4', text: 'a 1\n' }),
      nodes: async () => [],
      beginLogin: () => Promise.reject(new Error('none')),
      async *pull(_provider, model) {
        yield { status: 'pulling', completedBytes: 1, totalBytes: 2 };
        if (model === 'odd') throw new Error('a secret of ours');
        throw Object.assign(new Error('full'), {
          denial: deny(502, 'node-error', 'the disk of the node is full', 'Free some of it.'),
        });
      },
    }),
  );
  const ran = await holdfast('models', 'pull', 'ollama@pi', 'big', '--home', home);
  assert.equal(ran.code, 1);
  assert.match(ran.err, /the disk of the node is full\nFree some of it\./);
  const odd = await holdfast('models', 'pull', 'ollama@pi', 'odd', '--home', home);
  assert.equal(odd.code, 1);
  assert.doesNotMatch(odd.err, /a secret of ours/);
  const text = await new Promise<string>((resolve, reject) => {
    const ask = request({ socketPath: homePaths(home).socket('models'), path: '/metrics' }, (res) => {
      res.setEncoding('utf8').on('data', (body: string) => resolve(`${res.headers['content-type']} ${body}`));
    });
    ask.once('error', reject).end();
  });
  assert.equal(text, 'text/plain; version=0.0.4 a 1\n');
});

test('list works on the file alone when nothing runs', async (t) => {
  const home = tempHome(t);
  writeFileSync(join(home, 'holdfast.yaml'), yaml);
  const ran = await holdfast('models', 'list', '--home', home);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /^own +openai +not known/m);
  assert.match(ran.err, /does not run/);
  const alone = await holdfast('models', '--home', home, '--json');
  const { running, providers } = JSON.parse(alone.out);
  assert.deepEqual(
    [running, providers.length, providers[0]],
    [false, 5, { name: 'ollama@pi', kind: 'ollama' }],
  );
  writeFileSync(join(home, 'holdfast.yaml'), '');
  assert.match((await holdfast('models', 'list', '--home', home)).err, /No provider is configured/);
});

test('whoever may not look is told so, and not that nothing runs', {
  skip: process.getuid?.() !== 0,
}, async (t) => {
  const home = await served(t, { 'GET /standing': () => standing });
  writeFileSync(join(home, 'holdfast.yaml'), yaml);
  const ask = (): Promise<Ran> => holdfastAs(65534, 'models', 'list', '--home', home);
  chmodSync(home, 0o755);
  const other = await ask();
  assert.equal(other.code, 69, other.err);
  assert.match(other.err, /this account may not look at .*\nAsk as root/);
  assert.doesNotMatch(other.err, /does not run|no Holdfast runs/);
  chmodSync(home, 0o700);
  const shut = await ask();
  assert.deepEqual([shut.code, shut.err], [69, other.err]);
});

test('spend shows each agent by day and month, and when they begin anew', async (t) => {
  const home = await served(t, { 'GET /standing': () => standing });
  const ran = await holdfast('models', 'spend', '--home', home);
  assert.match(ran.out, /^main +day +4\.1000 +5 +1200 +no limit +2026-02-04T00:00:00Z$/m, ran.err);
  assert.match(ran.out, /^ +month +31\.5000 +no limit +1200 +no limit +2026-03-01T00:00:00Z$/m);
  const script = JSON.parse((await holdfast('models', 'spend', '--home', home, '--json')).out);
  assert.deepEqual(script, standing.agents);
});

test('a price goes to the controller with the file, or into the file where nothing runs', async (t) => {
  const asked: unknown[] = [];
  const home = await served(
    t,
    {},
    {
      decide: {
        'POST /prices': ({ body }: Question) => {
          asked.push(body);
          return { version: 'v', live: ['llm'], restarted: [] };
        },
      },
    },
  );
  writeFileSync(join(home, 'holdfast.yaml'), yaml);
  const ran = await holdfast(
    'models',
    'price',
    'work/meta/llama',
    '--input',
    '0.25',
    '--output',
    '1',
    '--cached',
    '0.1',
    '--home',
    home,
  );
  assert.match(ran.out, /changed live: llm\n.*\nwork\/meta\/llama costs 0\.25 USD in and 1 USD out/, ran.err);
  assert.deepEqual(asked, [
    {
      provider: 'work',
      model: 'meta/llama',
      price: { inputUsdPerMillion: 0.25, outputUsdPerMillion: 1, cachedUsdPerMillion: 0.1 },
      text: yaml,
    },
  ]);

  const stopped = tempHome(t);
  const file = join(stopped, 'holdfast.yaml');
  writeFileSync(file, yaml);
  assert.equal((await holdfast('models', 'price', 'work/gpt-9', '--free', '--home', stopped)).code, 0);
  assert.equal(
    readFileSync(file, 'utf8'),
    yaml.replace('clientId: holdfast }\n', 'clientId: holdfast }\n    prices: { gpt-9: { free: true } }\n'),
  );
  for (const [args, code] of [
    [['work', '--free'], 2],
    [['work/x'], 2],
    [['work/x', '--input', '1'], 2],
    [['work/x', '--free', '--input', '1', '--output', '1'], 2],
    [['work/x', '--input', '-1', '--output', '1'], 2],
    [['nobody/x', '--free'], 3],
  ] as const) {
    const wrong = await holdfast('models', 'price', ...args, '--home', stopped);
    assert.equal(wrong.code, code, `${args}: ${wrong.err}`);
  }
});

test('pull shows how far it is, and tells why it failed', async (t) => {
  const asked: unknown[] = [];
  const home = await served(t, {
    'POST /pull': ({ body }: Question) => {
      asked.push(body);
      if ((body as { model: string }).model === 'nothing')
        throw problem('node', 502, 'the node has no such model', 'Look at ollama.com/library.');
      return lines(
        { status: 'pulling manifest', completedBytes: 0, totalBytes: 0 },
        { status: 'pulling aeda', completedBytes: 500, totalBytes: 1000 },
        { status: 'pulling aeda', completedBytes: 1000, totalBytes: 1000 },
        { status: 'success', completedBytes: 0, totalBytes: 0 },
      );
    },
  });
  const ran = await holdfast('models', 'pull', 'ollama@pi', 'llama3.2', '--home', home);
  assert.deepEqual(
    [ran.code, ran.out, ran.err],
    [0, 'ollama@pi has llama3.2.\n', 'pulling manifest\npulling aeda 50 %\npulling aeda 100 %\nsuccess\n'],
  );
  assert.deepEqual(asked, [{ provider: 'ollama@pi', model: 'llama3.2' }]);
  const failed = await holdfast('models', 'pull', 'ollama@pi', 'nothing', '--home', home);
  assert.equal(failed.code, 1);
  assert.match(failed.err, /the node has no such model\nLook at/);
});

test('a bar fits the terminal and shows hostile words as what they are', () => {
  let written = '';
  const bar = createBar({
    isTTY: true,
    columns: 60,
    write: (text) => {
      written += String(text);
      return true;
    },
  });
  bar.show('pull \u001b[31mred', 1_500_000_000, 3_000_000_000);
  bar.show('pull \u001b[31mred', 1_500_000_000, 3_000_000_000);
  bar.end();
  const shown = `[${'#'.repeat(15)}${'.'.repeat(15)}] 1.5 GB of 3.0 GB  pull ⟨U+001B⟩[31mred`;
  assert.equal(written, `\r${shown.slice(0, 59)}\u001b[K\n`);
});

test('login prints the address and the code, and waits for the end', async (t) => {
  let enter = (): void => {};
  const home = await served(
    t,
    controlRoutes({
      standing: () => standing,
      metrics: async () => ({ type: 'text/plain', text: 'a 1\n' }),
      nodes: async () => [],
      async *pull() {},
      beginLogin: async (provider) => {
        if (provider !== 'work') throw problem('no-login', 404, 'it has no login', 'Use a key.');
        const done = new Promise<void>((resolve) => {
          enter = resolve;
        });
        setTimeout(() => enter(), 100);
        return {
          verificationUri: 'https://a/activate',
          userCode: 'WDJB-MJHT',
          expiresAt: '2026-02-03T12:15:00Z',
          done,
        };
      },
    }),
  );
  const ran = await holdfast('models', 'login', 'work', '--home', home);
  assert.deepEqual(
    [ran.code, ran.out],
    [0, 'Open https://a/activate and enter WDJB-MJHT\nwork: logged in.\n'],
    ran.err,
  );
  assert.match(ran.err, /good until 2026-02-03T12:15:00Z/);
  const wrong = await holdfast('models', 'login', 'own', '--home', home);
  assert.equal(wrong.code, 3);
  assert.match(wrong.err, /it has no login/);
  const socket = homePaths(home).socket('models');
  assert.deepEqual(await call(socket, 'GET /nodes'), { nodes: [] });
  await assert.rejects(call(socket, 'POST /login', { provider: 7 }), /not understood/);
  await assert.rejects(call(socket, 'POST /pull', { provider: 'a' }), /not understood/);
});
