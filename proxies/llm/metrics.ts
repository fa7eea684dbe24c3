/** What the llm process counts, as Prometheus text: OpenTelemetry's GenAI names where there is one, holdfast_llm_* for the rest. Told by proxy.ts once for each exchange; read at its control socket. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Tokens } from './answer/tokens.ts';
import type { FormatName, KindName } from './kinds/kind.ts';
import { errorOf, flavours, type Known, modelsOf, operations } from './labels.ts';
import type { NodeStanding } from './route/node.ts';
import type { WindowStanding } from './spend/spend.ts';

export type Told = {
  agent: string;
  operation: FormatName;
  provider: string;
  model: string | null;
  /** HTTP status as the agent saw it; 0 when it went away first. */
  status: number;
  stream?: boolean;
  firstByteMs?: number;
  totalMs: number;
  tokens?: Tokens;
  usdNano: number;
};

export type Standing = {
  breakers: { agent: string; states: Record<string, string> }[];
  nodes: NodeStanding[];
  /** Of the agents that are configured; others are left out. */
  budgets?: { agent: string; day: WindowStanding; month: WindowStanding }[];
};

export type Metrics = {
  exchange(told: Told): void;
  refusal(agent: string, rule: string): void;
  /** The configuration as it is now. */
  know(known: Known): void;
  /** Asked each time somebody reads. */
  watch(standing: () => Standing): void;
  type: string;
  text(): Promise<string>;
};

/** The boundaries that the conventions want for each. https://github.com/open-telemetry/semantic-conventions-genai, gen-ai-metrics.md */
const tokenBuckets = [
  1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
];
const secondBuckets = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/** Our rules are some sixty words; a mistake in one place must not make a series for each request. */
const maxRules = 128;

/** Everything that one exchange adds to, its labels resolved. */
type Bound = {
  requests: { inc(): void };
  cost: { inc(value: number): void };
  total: { observe(value: number): void };
  first: { observe(value: number): void };
  input: { observe(value: number): void };
  output: { observe(value: number): void };
  tokens: Record<'input' | 'output' | 'cached' | 'cache_write' | 'reasoning', { inc(value: number): void }>;
};

const operationLabels = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model', 'provider'];

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const requests = new Counter({
    name: 'holdfast_llm_requests_total',
    help: 'Exchanges that were forwarded, by the status that the agent saw.',
    labelNames: ['agent', 'provider', 'model', 'operation', 'error'],
    registers,
  });
  const cost = new Counter({
    name: 'holdfast_llm_cost_usd_total',
    help: 'What exchanges were charged to the budgets, in USD.',
    labelNames: ['agent', 'provider', 'model'],
    registers,
  });
  const tokens = new Counter({
    name: 'holdfast_llm_tokens_total',
    help: 'Tokens by type; cached and cache_write are part of input, reasoning is part of output.',
    labelNames: ['agent', 'provider', 'model', 'type'],
    registers,
  });
  const refusals = new Counter({
    name: 'holdfast_llm_refusals_total',
    help: 'Requests refused, by the rule that said no.',
    labelNames: ['agent', 'rule'],
    registers,
  });
  const used = new Histogram({
    name: 'gen_ai_client_token_usage',
    help: 'Number of input and output tokens used.',
    labelNames: [...operationLabels, 'gen_ai_token_type'],
    buckets: tokenBuckets,
    registers,
  });
  const total = new Histogram({
    name: 'gen_ai_client_operation_duration_seconds',
    help: 'GenAI operation duration.',
    labelNames: [...operationLabels, 'error_type'],
    buckets: secondBuckets,
    registers,
  });
  const first = new Histogram({
    name: 'gen_ai_client_operation_time_to_first_chunk_seconds',
    help: 'Time to the first chunk of a streamed answer.',
    labelNames: operationLabels,
    buckets: secondBuckets,
    registers,
  });
  const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
    new Gauge({ name, help, labelNames, registers });
  const breakers = gauge('holdfast_llm_breaker_state', '1 for the state that it is in.', [
    'agent',
    'provider',
    'state',
  ]);
  const up = gauge('holdfast_llm_node_up', '1 unless its last probes failed.', ['provider']);
  const slots = gauge('holdfast_llm_node_slots', 'Exchanges that it takes at once.', ['provider']);
  const busy = gauge('holdfast_llm_node_busy', 'Exchanges under way.', ['provider']);
  const waiting = gauge('holdfast_llm_queue', 'Exchanges that wait for a slot.', ['provider']);

  const budget = (name: string, help: string): Gauge =>
    gauge(`holdfast_llm_budget_${name}`, help, ['agent', 'window']);
  const usedUsd = budget('used_usd', 'Spent in the UTC day or month, without what is only reserved.');
  const limitUsd = budget('limit_usd', 'What may be spent in it; absent where there is no limit.');
  const usedTokens = budget('used_tokens', 'Tokens of models that are not free, in the UTC day or month.');
  const limitTokens = budget('limit_tokens', 'How many it may be; absent where there is no limit.');

  let agents = new Set<string>();
  let kinds = new Map<string, KindName>();
  let models = new Set<string>();
  let standing = (): Standing => ({ breakers: [], nodes: [] });
  /** By the names as told, which is fewer steps than to resolve them each time; bounded, because a model may be any text. */
  const bound = new Map<string, Bound>();
  const rules = new Set<string>();

  const bind = ({ agent: who, operation, provider: by, model: asked, status }: Told): Bound => {
    const agent = agents.has(who) ? who : 'other';
    const kind = kinds.get(by);
    const provider = kind === undefined ? 'other' : by;
    const model = asked === null ? '' : models.has(`${by}/${asked}`) ? asked : 'other';
    const error = errorOf(status);
    const own = { agent, provider, model };
    const labels = {
      gen_ai_operation_name: operations[operation],
      gen_ai_provider_name: kind === undefined ? 'other' : flavours[kind],
      gen_ai_request_model: model,
      provider,
    };
    const counted = (type: string) => tokens.labels({ ...own, type });
    return {
      requests: requests.labels({ ...own, operation: operations[operation], error }),
      cost: cost.labels(own),
      total: total.labels({ ...labels, error_type: error }),
      first: first.labels(labels),
      input: used.labels({ ...labels, gen_ai_token_type: 'input' }),
      output: used.labels({ ...labels, gen_ai_token_type: 'output' }),
      tokens: {
        input: counted('input'),
        output: counted('output'),
        cached: counted('cached'),
        cache_write: counted('cache_write'),
        reasoning: counted('reasoning'),
      },
    };
  };

  const refresh = (): void => {
    for (const each of [breakers, up, slots, busy, waiting]) each.reset();
    for (const each of [usedUsd, limitUsd, usedTokens, limitTokens]) each.reset();
    const now = standing();
    for (const { agent, day, month } of now.budgets ?? []) {
      if (!agents.has(agent)) continue;
      for (const [window, of] of Object.entries({ day, month })) {
        usedUsd.set({ agent, window }, of.usd);
        usedTokens.set({ agent, window }, of.tokens);
        if (of.limitUsd !== null) limitUsd.set({ agent, window }, of.limitUsd);
        if (of.limitTokens !== null) limitTokens.set({ agent, window }, of.limitTokens);
      }
    }
    for (const { agent, states } of now.breakers) {
      for (const [provider, state] of Object.entries(states)) {
        for (const each of ['closed', 'half-open', 'open']) {
          breakers.set({ agent, provider, state: each }, each === state ? 1 : 0);
        }
      }
    }
    for (const { provider, ...node } of now.nodes) {
      up.set({ provider }, node.up ? 1 : 0);
      slots.set({ provider }, node.slots);
      busy.set({ provider }, node.busy);
      waiting.set({ provider }, node.waiting);
    }
  };

  return {
    exchange(told) {
      const name = `${told.agent}\n${told.provider}\n${told.operation}\n${told.status}\n${told.model}`;
      let to = bound.get(name);
      if (!to) {
        to = bind(told);
        if (bound.size >= maxBound) bound.clear();
        bound.set(name, to);
      }
      to.requests.inc();
      to.total.observe(told.totalMs / 1000);
      if (told.firstByteMs !== undefined && told.stream !== false) to.first.observe(told.firstByteMs / 1000);
      if (told.usdNano > 0) to.cost.inc(told.usdNano / 1e9);
      if (told.tokens) addTokens(to, told.tokens);
    },
    refusal(who, rule) {
      const agent = agents.has(who) ? who : 'other';
      if (!rules.has(rule)) {
        if (rules.size >= maxRules || !/^[a-z][a-z0-9-]{0,60}$/.test(rule))
          return refusals.inc({ agent, rule: 'other' });
        rules.add(rule);
      }
      refusals.inc({ agent, rule });
    },
    know(known) {
      agents = new Set(known.agents);
      kinds = new Map(known.providers.map(({ name, kind }) => [name, kind]));
      models = modelsOf(known);
      bound.clear();
    },
    watch(asked) {
      standing = asked;
    },
    type: registry.contentType,
    text() {
      refresh();
      return registry.metrics();
    },
  };
}

function addTokens(to: Bound, { in: input, out: output, cached, cacheWrite, reasoning }: Tokens): void {
  if (isCount(input)) {
    to.input.observe(input);
    to.tokens.input.inc(input);
  }
  if (isCount(output)) {
    to.output.observe(output);
    to.tokens.output.inc(output);
  }
  if (isCount(cached)) to.tokens.cached.inc(cached);
  if (isCount(cacheWrite)) to.tokens.cache_write.inc(cacheWrite);
  if (isCount(reasoning)) to.tokens.reasoning.inc(reasoning);
}

/** A counter throws at anything else, and what a provider said must not end an exchange. */
const isCount = (value: number | undefined): value is number =>
  value !== undefined && Number.isFinite(value) && value >= 0;

/** Names as told that are remembered: more than agents x providers x models of any box. */
const maxBound = 4096;
