/** What Prometheus reads: the names, the numbers, and that a guest cannot make it grow. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Provider } from '../../../proxies/llm/kinds/kind.ts';
import { createMetrics, type Told } from '../../../proxies/llm/metrics.ts';

const providers: Provider[] = [
  { name: 'vendor', kind: 'openai', baseUrl: 'https://api.example.com', models: ['gpt-x', 'gpt-*'] },
  { name: 'pi', kind: 'ollama', baseUrl: 'http://pi:11434', prices: { 'llama3.2:3b': { free: true } } },
  { name: 'claude', kind: 'anthropic', baseUrl: 'https://api.example.org' },
];

const told: Told = {
  agent: 'main',
  operation: 'openai-chat',
  provider: 'vendor',
  model: 'gpt-x',
  status: 200,
  stream: true,
  firstByteMs: 30,
  totalMs: 1500,
  tokens: { in: 1200, out: 300, cached: 1000, reasoning: 100 },
  usdNano: 2_500_000,
};

function known() {
  const metrics = createMetrics();
  metrics.know({
    agents: ['main', 'scout'],
    providers,
    aliases: [{ fast: ['pi/qwen3:4b', 'claude/claude-x'] }, {}],
    models: [{ provider: 'claude', name: 'claude-y' }, { name: 'fast' }],
  });
  return metrics;
}

/** Every sample by its name and labels. */
async function samples(metrics: ReturnType<typeof createMetrics>): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  );
}

const count = (all: Map<string, number>, beginning: string): number =>
  [...all.keys()].filter((each) => each.startsWith(beginning)).length;

test('one exchange is counted under the names of OpenTelemetry and under ours', async () => {
  const metrics = known();
  metrics.exchange(told);
  metrics.exchange({ ...told, totalMs: 500 });
  const all = await samples(metrics);
  const gen =
    'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt-x",provider="vendor"';
  const own = 'agent="main",provider="vendor",model="gpt-x"';
  const expected: [string, number][] = [
    [`gen_ai_client_operation_duration_seconds_count{${gen},error_type=""}`, 2],
    [`gen_ai_client_operation_duration_seconds_sum{${gen},error_type=""}`, 2],
    [`gen_ai_client_operation_duration_seconds_bucket{le="0.64",${gen},error_type=""}`, 1],
    [`gen_ai_client_operation_time_to_first_chunk_seconds_sum{${gen}}`, 0.06],
    [`gen_ai_client_token_usage_sum{${gen},gen_ai_token_type="input"}`, 2400],
    [`gen_ai_client_token_usage_sum{${gen},gen_ai_token_type="output"}`, 600],
    [`holdfast_llm_requests_total{${own},operation="chat",error=""}`, 2],
    [`holdfast_llm_cost_usd_total{${own}}`, 0.005],
    [`holdfast_llm_tokens_total{${own},type="cached"}`, 2000],
    [`holdfast_llm_tokens_total{${own},type="reasoning"}`, 200],
  ];
  for (const [name, value] of expected) assert.equal(all.get(name), value, name);
});

test('time to the first chunk is of streams only, and an answer without usage counts no tokens', async () => {
  const metrics = known();
  const { tokens: _, ...without } = told;
  metrics.exchange({ ...without, stream: false, status: 502 });
  const all = await samples(metrics);
  assert.equal(count(all, 'gen_ai_client_operation_time_to_first_chunk_seconds_count'), 0);
  assert.equal(count(all, 'gen_ai_client_token_usage'), 0);
  assert.ok([...all.keys()].some((each) => each.includes('error_type="502"')));
});

test('refusals are counted by their rule', async () => {
  const metrics = known();
  metrics.refusal('main', 'budget-usd-day');
  metrics.refusal('main', 'budget-usd-day');
  metrics.refusal('scout', 'model-not-allowed');
  const all = await samples(metrics);
  assert.equal(all.get('holdfast_llm_refusals_total{agent="main",rule="budget-usd-day"}'), 2);
  assert.equal(all.get('holdfast_llm_refusals_total{agent="scout",rule="model-not-allowed"}'), 1);
});

test('breakers and nodes are as they are when somebody reads', async () => {
  const metrics = known();
  const breaker: Record<string, string> = { vendor: 'open' };
  const nodes = [{ provider: 'pi', slots: 1, busy: 1, waiting: 3, up: false }];
  metrics.watch(() => ({ breakers: [{ agent: 'main', states: breaker }], nodes }));
  let all = await samples(metrics);
  assert.equal(all.get('holdfast_llm_breaker_state{agent="main",provider="vendor",state="open"}'), 1);
  assert.equal(all.get('holdfast_llm_breaker_state{agent="main",provider="vendor",state="closed"}'), 0);
  assert.equal(all.get('holdfast_llm_node_up{provider="pi"}'), 0);
  assert.equal(all.get('holdfast_llm_node_slots{provider="pi"}'), 1);
  assert.equal(all.get('holdfast_llm_node_busy{provider="pi"}'), 1);
  assert.equal(all.get('holdfast_llm_queue{provider="pi"}'), 3);
  breaker.vendor = 'half-open';
  nodes.length = 0;
  all = await samples(metrics);
  assert.equal(all.get('holdfast_llm_breaker_state{agent="main",provider="vendor",state="half-open"}'), 1);
  assert.equal(count(all, 'holdfast_llm_node_up'), 0, 'a node that is gone is not shown any more');
});

test('only names from the configuration become labels, whatever a guest asks for', async () => {
  const metrics = known();
  const spelled = [
    ['vendor', 'gpt-x'],
    ['pi', 'llama3.2:3b'],
    ['pi', 'qwen3:4b'],
    ['claude', 'claude-x'],
    ['claude', 'claude-y'],
  ] as const;
  for (const [provider, model] of spelled) metrics.exchange({ ...told, provider, model });
  const before = await samples(metrics);
  for (const [, model] of spelled) {
    assert.ok(
      [...before.keys()].some((each) => each.includes(`gen_ai_request_model="${model}"`)),
      model,
    );
  }
  metrics.exchange({ ...told, model: 'first' });
  metrics.exchange({ ...told, agent: 'nobody', provider: 'nobody' });
  metrics.exchange({ ...told, status: 418 });
  metrics.refusal('nobody', 'Not A Rule');
  const once = (await samples(metrics)).size;
  for (let nth = 0; nth < 10_000; nth += 1) {
    metrics.exchange({ ...told, model: `made-up-${nth}\n"} 1` });
    metrics.exchange({ ...told, agent: `a${nth}`, provider: `p${nth}` });
    metrics.exchange({ ...told, status: 600 + nth });
    metrics.refusal(`a${nth}`, `Rule ${nth}`);
  }
  assert.equal((await samples(metrics)).size, once);
  for (let nth = 0; nth < 1000; nth += 1) metrics.refusal('main', `rule-${nth}`);
  assert.ok(count(await samples(metrics), 'holdfast_llm_refusals_total') <= 130);
});

test('a count that is none ends nothing', async () => {
  const metrics = known();
  metrics.exchange({
    ...told,
    tokens: { in: -1, out: Number.NaN, cached: Number.POSITIVE_INFINITY },
    usdNano: 0,
  });
  assert.equal(count(await samples(metrics), 'gen_ai_client_token_usage'), 0);
});

test('two registries know nothing of each other', async () => {
  const one = known();
  const other = known();
  one.exchange(told);
  assert.equal(count(await samples(other), 'holdfast_llm_requests_total'), 0);
  assert.match(one.type, /^text\/plain/);
});
