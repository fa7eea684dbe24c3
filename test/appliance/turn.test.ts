/** One turn, end to end, through the front door: chat page, model by the llm door, tool by approval in the page, output in the answer, and all of it on record. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifyLedger } from '../../proxies/ledger/chain.ts';
import { createProvider } from '../provider/provider.ts';
import { type Appliance, appliance, run, until } from '../world/appliance.ts';
import { approve, asked, operatorOf } from '../world/operator.ts';

const withModel = (url: string, model = 'fake-1'): string => `
providers:
  local: { kind: openai, baseUrl: ${url}, key: local, price: { free: true } }
agents:
  main: { model: { provider: local, name: ${model} } }
`;

const ledgerLines = (a: Appliance, file: string): Record<string, unknown>[] =>
  readFileSync(join(a.home, 'audit', file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a person types, the answer streams, a tool call waits for yes and its output is in the answer', async (t) => {
  const provider = await createProvider({ requireKey: 'sk-real-key-of-the-owner' });
  t.after(() => provider.close());
  const a = await appliance(t, {
    config: withModel(provider.url, 'fake-1'),
    prepare: (home) => writeKey(home, 'local', 'sk-real-key-of-the-owner'),
  });
  const operator = await operatorOf(a);

  await operator.post(`${a.chatUrl}/a/main/say`, { text: 'good morning' });
  await until(
    async () => /You said: good morning/.test((await operator.get(`${a.chatUrl}/a/main`)).text),
    15_000,
    a.output,
  );

  // The page stays open and grows while the model streams.
  const before = await operator.send(`${a.chatUrl}/a/main/say`, {
    text: 'run: id -u; echo out of the sandbox; touch made-by-tool',
  });
  assert.equal(before.status, 303);
  let yes = 0;
  await until(
    async () => {
      for (const one of await asked(a, operator)) {
        assert.match(one.command, /echo out of the sandbox/);
        await approve(a, operator, one);
        yes += 1;
      }
      return yes > 0;
    },
    20_000,
    a.output,
  );
  await until(
    async () => /out of the sandbox/.test(lastAnswer((await operator.get(`${a.chatUrl}/a/main`)).text)),
    30_000,
    a.output,
  );
  assert.equal(yes, 1);
  assert.equal(readFileSync(join(a.home, 'agents/main/workspace/made-by-tool'), 'utf8'), '');

  const traffic = ledgerLines(a, 'traffic.jsonl');
  assert.ok(
    traffic.some((line) => line.kind === 'request' && line.agent === 'main' && line.provider === 'local'),
  );
  assert.ok(traffic.some((line) => line.kind === 'outcome' && line.status === 200));
  // The gateway said which turn was open; the CLI reads it all from the file, and models from the llm process.
  const turns = traffic.flatMap((line) =>
    line.kind === 'request' ? [(line.turn as { id?: string })?.id] : [],
  );
  assert.equal(new Set(turns).size, 2, JSON.stringify(turns));
  assert.ok(turns.every((turn) => turn !== undefined));
  const cli = async (...args: string[]): Promise<string> => {
    const ran = await run(process.execPath, [
      join(import.meta.dirname, '../../appliance/cli/holdfast.ts'),
      ...args,
      '--home',
      a.home,
    ]);
    assert.equal(ran.code, 0, ran.stderr);
    return ran.stdout;
  };
  const last = JSON.parse(await cli('traffic', '--json', '--last', '1', '--filter', 'agent=main')) as {
    id: string;
    costUsd: number;
  }[];
  assert.equal(last[0]?.costUsd, 0);
  assert.match(await cli('traffic', 'show', last[0]?.id ?? ''), /out of the sandbox/);
  assert.match(await cli('models', 'list'), /^local +openai +\S/m);
  assert.match(await cli('models', 'spend'), /^main +day +0\.0000 +5 /m);
  const tools = ledgerLines(a, 'tools.jsonl');
  assert.ok(tools.some((line) => line.kind === 'request'));
  assert.ok(tools.some((line) => line.kind === 'outcome'));
  const acts = ledgerLines(a, 'acts.jsonl');
  assert.ok(acts.some((line) => JSON.stringify(line).includes('approv')));
  for (const file of ['traffic.jsonl', 'tools.jsonl', 'acts.jsonl']) {
    const verified = await verifyLedger(join(a.home, 'audit', file));
    assert.equal(verified.ok, true, `${file}: ${JSON.stringify(verified)}`);
  }
  const jq = await run('jq', ['-r', 'select(.kind=="request") | .agent', join(a.home, 'audit/tools.jsonl')]);
  assert.match(jq.stdout, /^main$/m);

  // The provider saw the real key; nothing on the box that an agent or a reader of the record sees has it.
  assert.ok(
    provider.requests.some((request) => JSON.stringify(request).includes('sk-real-key-of-the-owner')),
  );
  const found = await run('grep', ['-rlF', 'sk-real-key-of-the-owner', a.home]);
  assert.deepEqual(
    found.stdout
      .trim()
      .split('\n')
      .map((file) => file.slice(a.home.length)),
    ['/secrets/llm/local'],
  );
});

test('a no, and a chat command, and a denied name are answers in words', async (t) => {
  const provider = await createProvider();
  t.after(() => provider.close());
  const a = await appliance(t, { config: `${withModel(provider.url).replace(', key: local', '')}` });
  const operator = await operatorOf(a);
  await operator.send(`${a.chatUrl}/a/main/say`, { text: '/run echo from the command line of the chat' });
  await until(async () => (await asked(a, operator)).length === 1, 20_000, a.output);
  const [one] = await asked(a, operator);
  await operator.post(`${a.controllerUrl}/approvals/${one?.id}/deny`);
  await until(
    async () => /denied|said no/i.test((await operator.get(`${a.chatUrl}/a/main`)).text),
    15_000,
    a.output,
  );
  await operator.post(`${a.chatUrl}/a/main/say`, { text: '/help' });
  const help = (await operator.get(`${a.chatUrl}/a/main`)).text;
  for (const word of ['/help', '/status', '/run', '/kill']) assert.ok(help.includes(word), word);
  await operator.post(`${a.chatUrl}/a/main/say`, { text: '/status' });
  assert.match((await operator.get(`${a.chatUrl}/a/main`)).text, /armed/);
});

test('without a model the chat says how to connect one, and the commands work', async (t) => {
  const a = await appliance(t);
  const operator = await operatorOf(a);
  const { text } = await operator.get(`${a.chatUrl}/a/main`);
  assert.match(text, /no model/i);
  assert.match(text, /baseUrl/);
  const said = await operator.post(`${a.chatUrl}/a/main/say`, { text: 'hello?' });
  assert.equal(said.status, 409);
  assert.match(said.text, /no model is configured/);
  await operator.post(`${a.chatUrl}/a/main/say`, { text: '/status' });
  assert.match((await operator.get(`${a.chatUrl}/a/main`)).text, /armed/);
});

const lastAnswer = (page: string): string => page.slice(page.lastIndexOf('<li class="turn"'));

function writeKey(home: string, name: string, value: string): void {
  mkdirSync(join(home, 'secrets/llm'), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, 'secrets/llm', name), `${value}\n`, { mode: 0o600 });
}
