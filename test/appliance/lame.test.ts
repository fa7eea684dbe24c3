/** A process that cannot start: the start says where everything is all the same, what does not run and why, and how to go on. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createProvider } from '../provider/provider.ts';
import { appliance, until } from '../world/appliance.ts';

test('a ledger that does not verify is named with the way out, and what waits for it comes up afterwards', async (t) => {
  const a = await appliance(t, {
    prepare(home) {
      mkdirSync(join(home, 'audit'), { mode: 0o711 });
      writeFileSync(
        join(home, 'audit/traffic.jsonl'),
        '{"seq":1,"at":"2026-01-01T00:00:00.000Z","prev":"00"}\n',
      );
    },
  });
  const why =
    /exit 70: ends on an uncaught fault \(audit\/traffic\.jsonl line 1: .*`holdfast audit verify` names it; to go on, move audit\/traffic\.jsonl and audit\/traffic\/ elsewhere \(what was spent this month is then forgotten\)/;
  const [before = ''] = a.output().split(/^home: /m);
  const line = before.split('\n').find((each) => each.startsWith('does not run: llm ('));
  assert.match(line ?? '', why);
  assert.match(a.output(), /^home: .*\ncontroller: .*\nchat: .*\nsetup code: \S+$/m);

  const status = await a.cli('status');
  const row = status.stdout.split('\n').find((each) => each.startsWith('llm '));
  assert.match(row ?? '', why);
  assert.doesNotMatch(row ?? '', /\.ts:\d/, 'no stack');
  const errors = readFileSync(join(a.home, 'shared/logs/errors/ERROR-LOG.md'), 'utf8');
  assert.match(errors, /llm: ends on an uncaught fault .*audit verify/);

  renameSync(join(a.home, 'audit/traffic.jsonl'), join(a.home, 'elsewhere.jsonl'));
  await until(
    () => /^llm running after \d+ restarts?$/m.test(a.output()) && /^agent@main running/m.test(a.output()),
    60_000,
    () => a.output(),
  );
});

test('a key that is put down later is taken by config apply, and so is another in its place', async (t) => {
  const provider = await createProvider();
  t.after(() => provider.close());
  const a = await appliance(t, {
    config: `ordinaryUser: { holdKeys: true }
providers: { local: { kind: openai, baseUrl: "${provider.url}", key: late, price: { free: true } } }
agents: { main: { model: { provider: local, name: practice } } }
`,
  });
  const keyState = async (): Promise<string> => {
    const { stdout } = await a.cli('models', 'list', '--json');
    const { providers } = JSON.parse(stdout) as { providers: { name: string; keyState?: string }[] };
    return providers[0]?.keyState ?? '';
  };
  const applied = async (): Promise<{ live: string[]; restarted: string[] }> =>
    JSON.parse((await a.cli('config', 'apply', '--json')).stdout);
  assert.equal(await keyState(), 'missing');
  const put = (value: string): void =>
    writeFileSync(join(a.home, 'secrets/llm/late'), value, { mode: 0o600 });
  put('sk-first-key-of-the-owner');
  const first = await applied();
  assert.deepEqual([first.live.includes('llm'), first.restarted], [true, []]);
  assert.equal(await keyState(), 'held');
  put('sk-other-key-of-the-owner');
  assert.deepEqual((await applied()).live, ['llm']);
  assert.deepEqual((await applied()).live, [], 'nothing is new');
});
