/** Token counts of an answer, the same for every provider. Read by the files of the formats; spend/price.ts makes money of them. */
import { type Obj, objectOf } from './value.ts';

export type Tokens = {
  /** All input: what was read from a cache and written to one is in it. */
  in?: number;
  /** All output: reasoning is in it. */
  out?: number;
  /** Read from a cache; a part of `in`. */
  cached?: number;
  /** Written to a cache; a part of `in`. */
  cacheWrite?: number;
  /** A part of `out`. */
  reasoning?: number;
};

/** No request has come near; a larger one is a broken counter, and unknown usage costs the reservation. */
const maxCount = 1e12;

/** Anything but a whole number from 0 on is no count: 1e309, -5 and 1.5 are unknown, not nothing. */
const countOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= maxCount
    ? value + 0
    : undefined;

const sum = (...counts: (number | undefined)[]): number =>
  counts.reduce<number>((all, count) => all + (count ?? 0), 0);

type Counts = { [Name in keyof Tokens]?: number | undefined };

/** A whole is never less than its parts, whatever the provider counts into it. */
function tokensOf(counts: Counts): Tokens | undefined {
  const tokens: Tokens = {};
  if (counts.in !== undefined) tokens.in = Math.max(counts.in, sum(counts.cached, counts.cacheWrite));
  if (counts.out !== undefined) tokens.out = Math.max(counts.out, sum(counts.reasoning));
  if (counts.cached !== undefined) tokens.cached = counts.cached;
  if (counts.cacheWrite !== undefined) tokens.cacheWrite = counts.cacheWrite;
  if (counts.reasoning !== undefined) tokens.reasoning = counts.reasoning;
  return Object.keys(tokens).length === 0 ? undefined : tokens;
}

/**
 * Chat completions, responses and embeddings. Beside OpenAI's own names: `prompt_cache_hit_tokens` (DeepSeek),
 * `cached_tokens` (Moonshot), `cache_creation_input_tokens` (LiteLLM). xAI and Gemini's compatible path leave reasoning out of
 * `completion_tokens` and in `total_tokens`: what the total holds beyond input and output is output.
 */
export function openaiTokens(usage: Obj | undefined, outputToo = true): Tokens | undefined {
  if (usage === undefined) return undefined;
  const input = objectOf(usage.prompt_tokens_details) ?? objectOf(usage.input_tokens_details) ?? {};
  const output = objectOf(usage.completion_tokens_details) ?? objectOf(usage.output_tokens_details) ?? {};
  const counted = tokensOf({
    in: countOf(usage.prompt_tokens) ?? countOf(usage.input_tokens),
    out: countOf(usage.completion_tokens) ?? countOf(usage.output_tokens) ?? (outputToo ? undefined : 0),
    cached:
      countOf(input.cached_tokens) ?? countOf(usage.prompt_cache_hit_tokens) ?? countOf(usage.cached_tokens),
    cacheWrite: countOf(input.cache_write_tokens) ?? countOf(usage.cache_creation_input_tokens),
    reasoning: countOf(output.reasoning_tokens),
  });
  const total = countOf(usage.total_tokens);
  if (counted?.in !== undefined && counted.out !== undefined && outputToo && total !== undefined) {
    counted.out = Math.max(counted.out, total - counted.in);
  }
  return counted;
}

/** An answer that holds something was not made of 0 tokens: then the count is unknown, and costs the reservation. */
export function billable(tokens: Tokens | undefined, spoke: boolean): Tokens | undefined {
  if (!spoke || tokens?.out !== 0) return tokens;
  const { out: _out, ...known } = tokens;
  return known;
}

/** The cost in USD that OpenRouter puts into the usage. With a vendor's key of one's own that is its fee alone, and the vendor's bill stands beside it. */
export function statedCost(usage: Obj | undefined): number | undefined {
  const cost = usdOf(usage?.cost);
  if (cost === undefined || usage?.is_byok !== true) return cost;
  const vendors = usdOf(objectOf(usage.cost_details)?.upstream_inference_cost);
  return vendors === undefined ? undefined : cost + vendors;
}

const usdOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? Math.abs(value) : undefined;

type AnthropicCounts = { input: number; read: number; write: number; output: number; thinking: number };

/**
 * Anthropic counts input, cache reads and cache writes apart, and in a stream twice: first guesses in message_start, the sums in
 * message_delta. The later one stands, but for a 0 or null that would undo a count. `iterations` lists what the sums leave out
 * (compaction); where they come to more, they are what is billed.
 */
export function anthropicTokens(usages: readonly (Obj | undefined)[]): Tokens | undefined {
  const seen: Partial<AnthropicCounts> = {};
  const rounds: AnthropicCounts = { input: 0, read: 0, write: 0, output: 0, thinking: 0 };
  for (const usage of usages) {
    if (usage === undefined) continue;
    for (const [name, count] of Object.entries(anthropicCounts(usage)) as [
      keyof AnthropicCounts,
      number?,
    ][]) {
      if (count !== undefined) seen[name] = count || (seen[name] ?? 0);
    }
    if (!Array.isArray(usage.iterations)) continue;
    for (const name of Object.keys(rounds) as (keyof AnthropicCounts)[]) {
      rounds[name] = sum(...usage.iterations.map((each) => anthropicCounts(objectOf(each) ?? {})[name]));
    }
  }
  const all = (name: keyof AnthropicCounts): number | undefined =>
    seen[name] === undefined && rounds[name] === 0 ? undefined : Math.max(seen[name] ?? 0, rounds[name]);
  const input = all('input');
  return tokensOf({
    in: input === undefined ? undefined : sum(input, all('read'), all('write')),
    out: all('output'),
    cached: all('read'),
    cacheWrite: all('write'),
    reasoning: all('thinking'),
  });
}

function anthropicCounts(usage: Obj): { [Name in keyof AnthropicCounts]: number | undefined } {
  const creation = objectOf(usage.cache_creation);
  const byAge =
    creation && [creation.ephemeral_5m_input_tokens, creation.ephemeral_1h_input_tokens].map(countOf);
  const write = countOf(usage.cache_creation_input_tokens);
  return {
    input: countOf(usage.input_tokens),
    read: countOf(usage.cache_read_input_tokens),
    write: byAge === undefined ? write : Math.max(write ?? 0, sum(...byAge)),
    output: countOf(usage.output_tokens),
    thinking: countOf(objectOf(usage.output_tokens_details)?.thinking_tokens),
  };
}

/**
 * Gemini: the prompt's count holds the cached part, thoughts stand beside the candidates. A count of 0 is left out on the wire
 * (proto3 JSON), so that a blocked prompt has a total and no candidates.
 */
export function geminiTokens(usage: Obj | undefined, outputToo = true): Tokens | undefined {
  if (usage === undefined) return undefined;
  const input = countOf(usage.promptTokenCount);
  const total = countOf(usage.totalTokenCount);
  const [candidates, thoughts] = [countOf(usage.candidatesTokenCount), countOf(usage.thoughtsTokenCount)];
  const all = input === undefined ? undefined : sum(input, countOf(usage.toolUsePromptTokenCount));
  const known = candidates !== undefined || thoughts !== undefined || !outputToo;
  const rest = total !== undefined && all !== undefined && outputToo ? Math.max(0, total - all) : undefined;
  return tokensOf({
    in: all,
    out: known || rest !== undefined ? Math.max(sum(candidates, thoughts), rest ?? 0) : undefined,
    cached: countOf(usage.cachedContentTokenCount),
    reasoning: thoughts,
  });
}

export function ollamaTokens(answer: Obj, outputToo = true): Tokens | undefined {
  return tokensOf({
    in: countOf(answer.prompt_eval_count),
    out: countOf(answer.eval_count) ?? (outputToo ? undefined : 0),
  });
}
