/** Changes of the configuration over the decide socket: parsed, on record, then the launcher's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from '../../appliance/socket.ts';
import { type Desk, sitDown } from './desk.ts';

const decide = (desk: Desk, route: string, body?: unknown): Promise<unknown> =>
  call(desk.socket('decide'), route, body);
const agentsOf = (applied: unknown): string[] =>
  Object.keys((applied as { config: { agents: Record<string, unknown> } }).config.agents);

test('an edit by hand takes effect when it is applied, with its digest on record first', async (t) => {
  const desk = await sitDown(t);
  desk.setYaml('approvals:\n  waitSeconds: 60\n');
  assert.deepEqual(await decide(desk, 'POST /config/apply', {}), {
    version: 'v',
    live: ['gateway'],
    restarted: [],
  });
  const { act, version } = desk.acts().at(-1) ?? {};
  assert.equal(act, 'config-apply');
  assert.match(String(version), /^[0-9a-f]{64}$/);
  assert.equal(
    (desk.applied[0] as { config: { approvals: { waitSeconds: number } } }).config.approvals.waitSeconds,
    60,
  );
});

test('what does not parse is told line by line, and nothing is applied', async (t) => {
  const desk = await sitDown(t);
  desk.setYaml('chat:\n  prot: 1\n');
  await assert.rejects(decide(desk, 'POST /config/apply', {}), (error: Error & { code: string }) => {
    assert.equal(error.code, 'config');
    assert.match(error.message, /holdfast\.yaml:2:3.*prot.*port/);
    return true;
  });
  assert.deepEqual([desk.applied.length, desk.acts().length], [0, 0]);
});

test('an agent is added to the file as it stands, comments kept, and a bad name is refused', async (t) => {
  const desk = await sitDown(t);
  desk.setYaml('# mine\nagents:\n  main:   # the first\n');
  await decide(desk, 'POST /agents', { name: 'scout' });
  const [first] = desk.applied as [{ text: string }];
  assert.deepEqual(agentsOf(first), ['main', 'scout']);
  assert.match(first.text, /# mine[\s\S]*# the first/);
  assert.deepEqual([desk.acts().at(-1)?.act, desk.acts().at(-1)?.agent], ['agent-add', 'scout']);
  for (const name of ['main', 'keeper', '../x', 'A', '', '__proto__']) {
    await assert.rejects(decide(desk, 'POST /agents', { name }), { code: 'not-edited' }, name);
  }
  assert.equal(desk.applied.length, 1);
});

test('an agent is taken out, but not the last one', async (t) => {
  const desk = await sitDown(t);
  desk.setYaml('agents:\n  main:\n  scout:\n');
  await decide(desk, 'DELETE /agents/scout');
  assert.deepEqual(agentsOf(desk.applied[0]), ['main']);
  desk.setYaml('agents:\n  main:\n');
  await assert.rejects(decide(desk, 'DELETE /agents/main'), { code: 'not-edited' });
});

test('without a record nothing is applied', async (t) => {
  const desk = await sitDown(t);
  desk.setYaml('{}');
  desk.disk.full = true;
  await assert.rejects(decide(desk, 'POST /agents', { name: 'scout' }), { code: 'not-recorded' });
  assert.equal(desk.applied.length, 0);
});

test('the CLI decides approvals by id, and is told why when it cannot', async (t) => {
  const desk = await sitDown(t);
  await assert.rejects(decide(desk, 'POST /approvals/nothing', { decision: 'yes' }), { code: 'no-approval' });
  await assert.rejects(decide(desk, 'POST /approvals/nothing', { decision: 'maybe' }), { status: 400 });
});

test('a price is written beside the others, on record first, and what is no price is refused', async (t) => {
  const desk = await sitDown(t);
  desk.setYaml('providers:\n  p: { kind: openai, baseUrl: "https://a" } # mine\n');
  const price = { inputUsdPerMillion: 0.5, outputUsdPerMillion: 2 };
  await decide(desk, 'POST /prices', { provider: 'p', model: 'gpt-9', price });
  assert.equal(
    (desk.applied[0] as { text: string }).text,
    'providers:\n  p: { kind: openai, baseUrl: "https://a", prices: { gpt-9: { inputUsdPerMillion: 0.5, outputUsdPerMillion: 2 } } } # mine\n',
  );
  const { act, provider, model } = desk.acts().at(-1) ?? {};
  assert.deepEqual([act, provider, model], ['price-set', 'p', 'gpt-9']);
  for (const body of [
    { provider: 'p', model: 'x', price: {} },
    { provider: 'p', model: 'x', price: { free: false } },
    { provider: 'p', model: 'x', price: { free: true, inputUsdPerMillion: 1 } },
    { provider: 'p', model: 'x', price: { ...price, costHeader: 'x' } },
    { provider: 'p', model: 'x', price: { inputUsdPerMillion: -1, outputUsdPerMillion: 1 } },
    { provider: 'p', model: '', price },
  ]) {
    await assert.rejects(decide(desk, 'POST /prices', body), { code: 'bad-body' }, JSON.stringify(body));
  }
  await assert.rejects(decide(desk, 'POST /prices', { provider: 'q', model: 'x', price }), {
    code: 'not-edited',
  });
  assert.deepEqual([desk.applied.length, desk.acts().length], [1, 1]);
});
