/** Invariant 14: a denial is a value, a fault is an error; neither is swallowed. Asked at the doors of a real appliance, and of the source: no catch that says nothing. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createProvider, type Provider } from '../provider/provider.ts';
import { type Appliance, allRun, appliance, root, toolsReady, until } from '../world/appliance.ts';
import { ask, chatAt, lines, throughProxy } from '../world/asking.ts';
import { smallAudit } from '../world/smallaudit.ts';

const errorLog = (a: Appliance): string => {
  try {
    return readFileSync(join(a.home, 'shared/logs/errors/ERROR-LOG.md'), 'utf8');
  } catch {
    return ''; // nothing broke yet
  }
};

const llm = 'http://127.0.0.1:9090';
const words = 'one two three four five';

const configOf = ({ url }: Provider, model = 'practice'): string => `
providers: { local: { kind: openai, baseUrl: ${url}, price: { free: true } } }
agents:
  main:
    model: { provider: local, name: ${model} }
    egress: [ { host: 127.0.0.1, ports: [${new URL(url).port}] } ]
`;

async function practice(t: TestContext): Promise<Provider> {
  const provider = await createProvider();
  t.after(() => provider.close());
  return provider;
}

test('a denial is an answer with rule and hint, a line in its ledger, and no error', async (t) => {
  const provider = await practice(t);
  const a = await appliance(t, { config: configOf(provider) });
  await until(() => allRun(a), 30_000, a.output);

  const egress = await ask(a, 'main', ...throughProxy, 'http://unknown.example/path');
  assert.equal(egress.status, 403);
  assert.match(egress.body, /not-listed[\s\S]*Rule: [\s\S]*Fix: .*egress/);
  await until(() => lines(a, 'egress.jsonl').some((line) => line.host === 'unknown.example'), 5000);
  const refused = lines(a, 'egress.jsonl').find((line) => line.host === 'unknown.example');
  assert.deepEqual([refused?.kind, refused?.verdict, refused?.code], ['refusal', 'refuse', 'not-listed']);

  const path = await ask(a, 'main', `${llm}/v1/files`);
  assert.ok(path.status === 403 || path.status === 404, String(path.status));
  const { error } = JSON.parse(path.body) as { error: { message: string; code: string } };
  assert.match(
    error.message,
    /^Holdfast \([\w-]+\): .+\. .+/,
    'rule, reason and hint in the one text that SDKs show',
  );
  await until(() => lines(a, 'traffic.jsonl').some((line) => line.path === '/v1/files'), 5000);
  const unknown = lines(a, 'traffic.jsonl').find((line) => line.path === '/v1/files');
  assert.equal(unknown?.kind, 'refusal');
  assert.ok(unknown?.rule && unknown.reason);

  await until(() => toolsReady(a), 20_000, a.output);
  const run = a.cli('run', 'echo never');
  let id = '';
  await until(async () => {
    const { stdout } = await a.cli('approvals', 'list', '--json');
    id = (JSON.parse(stdout || '[]') as { id: string }[])[0]?.id ?? '';
    return id !== '';
  }, 15_000);
  assert.equal((await a.cli('approvals', 'deny', id)).code, 0);
  const said = await run;
  assert.equal(said.code, 3, 'refused is not a fault: README, exit codes');
  assert.match(said.stderr, /refused: .+\n.+/, 'reason and hint');
  assert.equal(said.stdout, '');
  const no = lines(a, 'tools.jsonl').at(-1);
  assert.deepEqual([no?.kind, no?.verdict, no?.rule], ['outcome', 'refuse', 'denied']);
  assert.ok(lines(a, 'acts.jsonl').some((line) => /den/.test(String(line.act))));

  assert.equal(errorLog(a), '', 'none of them is an error');
});

test('a record that cannot be written is an error: refused with a code, in the error log, nothing forwarded', async (t) => {
  const provider = await practice(t);
  const disk = smallAudit(t);
  const a = await appliance(t, { config: configOf(provider), prepare: disk.mount });
  await until(() => allRun(a), 30_000, a.output);
  await until(() => toolsReady(a), 20_000, a.output);
  assert.equal((await ask(a, 'main', ...chatAt(words))).status, 200, 'control: the model answers');
  assert.equal(
    (await ask(a, 'main', ...throughProxy, `${provider.url}/v1/models`)).status,
    200,
    'control: egress passes',
  );

  disk.fill();
  // The last page of each file has room for a few lines more.
  let sent = provider.requests.length;
  const refusedAt = async (...args: string[]): Promise<{ status: number; body: string }> => {
    for (let tries = 0; ; tries += 1) {
      sent = provider.requests.length;
      const answer = await ask(a, 'main', ...args);
      if (answer.status !== 200 || tries === 40) return answer;
    }
  };
  const model = await refusedAt(...chatAt(words));
  assert.equal(provider.requests.length, sent, 'nothing was forwarded');
  assert.equal(model.status, 503);
  assert.equal((JSON.parse(model.body) as { error: { code: string } }).error.code, 'not-recorded');
  const fetched = await refusedAt(...throughProxy, `${provider.url}/v1/models`);
  assert.equal(fetched.status, 503);
  assert.match(fetched.body, /not-recorded[\s\S]*Fix: Free space/);
  assert.equal(provider.requests.length, sent, 'nothing was forwarded');
  const run = await a.cli('run', 'echo never');
  assert.notEqual(run.code, 0);
  assert.match(run.stderr, /record/);
  await until(
    () =>
      ['llm', 'egress', 'tools'].every((name) =>
        new RegExp(`${name}: .*record.*durable|${name}: .*record.*ENOSPC`).test(errorLog(a)),
      ),
    5000,
    () => errorLog(a),
  );

  disk.free();
  assert.equal((await ask(a, 'main', ...chatAt(words))).status, 200, 'with room again it works again');
});

test('a provider that breaks its answer is an error to the agent and to the person, and on record as one', async (t) => {
  const provider = await practice(t);
  const a = await appliance(t, { config: configOf(provider, 'practice-cut') });
  await until(() => allRun(a), 30_000, a.output);
  const streamed = await ask(a, 'main', ...chatAt(words, 'practice-cut', true));
  assert.equal(
    streamed.code,
    18,
    'curl: the transfer ended with data outstanding, never an end that looks whole',
  );
  assert.doesNotMatch(streamed.body, /\[DONE\]/);
  const turn = await a.cli('ask', 'one two three four five');
  assert.equal(turn.code, 1, turn.stdout + turn.stderr);
  assert.match(turn.stderr, /^holdfast: .*cut off/m);
  await until(() => lines(a, 'traffic.jsonl').filter((line) => line.kind === 'outcome').length >= 2, 5000);
  for (const line of lines(a, 'traffic.jsonl').filter((each) => each.kind === 'outcome'))
    assert.ok(typeof line.error === 'string' && line.error !== '', JSON.stringify(line));

  await provider.close();
  const gone = await ask(a, 'main', ...chatAt(words));
  assert.equal(gone.status, 502);
  assert.equal((JSON.parse(gone.body) as { error: { code: string } }).error.code, 'provider-unreachable');
});

// ── the source ──

/** Where a fault would vanish without a word: an empty catch, or one that turns it into nothing. */
const swallows = [
  /catch\s*(\([^)]*\)\s*)?\{\s*\}/,
  /\.catch\(\s*\(\w*\)\s*=>\s*(\{\s*\}|undefined|null|\[\])\s*\)/,
  /\.on(ce)?\('error',\s*\(\w*\)\s*=>\s*\{\s*\}\)/,
];

/** `file:line` of each that gives no reason on its line or the one before. */
function swallowed(file: string, source: string): string[] {
  const rows = source.split('\n');
  const said = (row: string | undefined): boolean => /\/\/ \S/.test(row ?? '');
  return rows.flatMap((row, at) => {
    const here = /catch\s*(\([^)]*\)\s*)?\{\s*$/.test(row) ? `${row}${rows[at + 1] ?? ''}` : row;
    return swallows.some((each) => each.test(here)) && !said(row) && !said(rows[at - 1])
      ? [`${file}:${at + 1}`]
      : [];
  });
}

test('no catch in the source swallows a fault without saying why', async () => {
  const planted = [
    'try { act(); } catch {}',
    'try {\n  act();\n} catch (error) {\n}',
    'void act().catch(() => {});',
    "socket.on('error', () => {});",
    'const it = await act().catch(() => undefined);',
  ];
  for (const each of planted) assert.equal(swallowed('planted.ts', each).length, 1, `control: ${each}`);
  assert.deepEqual(swallowed('said.ts', 'void act().catch(() => {}); // it was cut on purpose'), []);
  const found: string[] = [];
  let read = 0;
  for (const folder of ['appliance', 'proxies', 'sandbox', 'provisioning', 'images']) {
    for (const file of await readdir(join(root, folder), { recursive: true })) {
      if (!file.endsWith('.ts')) continue;
      read += 1;
      found.push(...swallowed(`${folder}/${file}`, readFileSync(join(root, folder, file), 'utf8')));
    }
  }
  assert.ok(read > 150, `control: ${read} files were read`);
  assert.deepEqual(found, []);
});
