/** What models cost, by vendor: list prices in USD per million tokens, each with the vendor's page and the day of the figure. Most rows come by way of the public list genai-prices 0.1.8 (MIT), which names those pages; a model without a source is not here. price.ts reads it; an owner's own price goes before it. */
import type { KindName } from '../kinds/kind.ts';

/** Input, input that is read from the prompt cache, and output. */
type Usd = [input: number, cached: number, output: number];

type More = {
  /** Written to the prompt cache for as long as the vendor keeps it by default, and for longer. Absent: as input. */
  cacheWrite?: number;
  cacheWriteLong?: number;
  /** Spoken input. Absent: as input. */
  audio?: number;
  /** A request with more input than this costs so many times as much: input and cache, and output. */
  above?: { tokens: number; input: number; output: number };
  /** The first day on which it is the price, where an earlier row of the same name ends. */
  from?: string;
  /** The longest input, and the longest answer. */
  context?: number;
  ceiling?: number;
  source?: string;
  dated?: string;
};

/** Exact names: no name is a prefix for others, gpt-5-pro is not a gpt-5. `#` stands for one digit of a snapshot's date. */
export type Row = { models: readonly string[]; usd: Usd } & More;

const row = (models: string, usd: Usd, more: More = {}): Row => ({ models: models.split(' '), usd, ...more });

export type Vendor = {
  kind: KindName;
  /** Of the provider's base URL, https and the usual port: what answers elsewhere under a known model's name has its own price. */
  host: string;
  source: string;
  dated: string;
  rows: readonly Row[];
};

const long272 = { tokens: 271_999, input: 2, output: 1.5 };
const long200 = { tokens: 200_000, input: 2, output: 1.5 };
const openaiModel = (name: string): string => `https://developers.openai.com/api/docs/models/${name}`;
const gpt6 = { above: long272, context: 922_000, ceiling: 128_000 };
const gpt5 = { context: 400_000, ceiling: 128_000 };

/** Standard processing: `service_tier` priority, fast and ultrafast cost two to six times as much. What is billed by the minute or by the character (whisper-1, gpt-transcribe, tts-1) and what has a second rate for images or spoken output is not here: it stays unpriced. */
const openai: Vendor = {
  kind: 'openai',
  host: 'api.openai.com',
  source: 'https://developers.openai.com/api/docs/pricing',
  dated: '2026-09-23',
  rows: [
    row('gpt-6.2-sol', [2, 0.1, 10], {
      cacheWrite: 2.5,
      cacheWriteLong: 5,
      ...gpt6,
      source: openaiModel('gpt-6.2-sol'),
      dated: '2026-11-18',
    }),
    row('gpt-6.1-terra', [1, 0.05, 5], {
      cacheWrite: 1.25,
      cacheWriteLong: 2.5,
      ...gpt6,
      source: openaiModel('gpt-6.1-terra'),
      dated: '2026-10-26',
    }),
    row('gpt-6.1-sol', [2, 0.1, 10], {
      cacheWrite: 2.5,
      ...gpt6,
      source: openaiModel('gpt-6.1-sol'),
      dated: '2026-10-13',
    }),
    row('gpt-6-astra gpt-6-astra-####-##-##', [10, 1, 50], { cacheWrite: 12.5, ...gpt6 }),
    row('gpt-6-sol gpt-6-sol-####-##-##', [2, 0.2, 10], { cacheWrite: 2.5, ...gpt6 }),
    row('gpt-6-luna gpt-6-luna-####-##-##', [0.1, 0.01, 0.5], { cacheWrite: 0.125, ...gpt6 }),
    row('gpt-5.6 gpt-5.6-sol gpt-5.6-sol-####-##-##', [4, 0.4, 20], { cacheWrite: 5, ...gpt6 }),
    row('gpt-5.6-terra gpt-5.6-terra-####-##-##', [2, 0.2, 12], { cacheWrite: 2.5, ...gpt6 }),
    row('gpt-5.6-luna gpt-5.6-luna-####-##-##', [0.2, 0.02, 1.2], { cacheWrite: 0.25, ...gpt6 }),
    row('gpt-5.5 gpt-5.5-2026-04-23 gpt-5.5-chat-latest gpt-5.5-codex', [5, 0.5, 30], { above: long272 }),
    row('gpt-5.5-pro gpt-5.5-pro-2026-04-23', [30, 30, 180], { above: long272 }),
    row('gpt-5.4 gpt-5.4-2026-03-05', [2.5, 0.25, 15], { above: long272 }),
    row('gpt-5.4-pro gpt-5.4-pro-2026-03-05', [30, 30, 180], { above: long272 }),
    row('gpt-5.4-mini gpt-5.4-mini-2026-03-17', [0.75, 0.075, 4.5], gpt5),
    row('gpt-5.4-nano gpt-5.4-nano-2026-03-17', [0.2, 0.02, 1.25], gpt5),
    row(
      'gpt-5.3-chat-latest gpt-5.3-codex gpt-5.2 gpt-5.2-2025-12-11 gpt-5.2-chat-latest gpt-5.2-codex',
      [1.75, 0.175, 14],
      gpt5,
    ),
    row('gpt-5.2-pro gpt-5.2-pro-2025-12-11', [21, 21, 168], gpt5),
    row(
      'gpt-5.1 gpt-5.1-2025-11-13 gpt-5.1-chat-latest gpt-5.1-codex gpt-5.1-codex-max',
      [1.25, 0.125, 10],
      gpt5,
    ),
    row('gpt-5.1-codex-mini', [0.25, 0.025, 2], gpt5),
    row('gpt-5 gpt-5-2025-08-07 gpt-5-chat-latest gpt-5-codex', [1.25, 0.125, 10], gpt5),
    row('gpt-5-mini gpt-5-mini-2025-08-07', [0.25, 0.025, 2], gpt5),
    row('gpt-5-nano gpt-5-nano-2025-08-07', [0.05, 0.005, 0.4], gpt5),
    row('gpt-5-pro gpt-5-pro-2025-10-06', [15, 15, 120], { context: 400_000 }),
    row('gpt-4.1 gpt-4.1-2025-04-14', [2, 0.5, 8]),
    row('gpt-4.1-mini gpt-4.1-mini-2025-04-14', [0.4, 0.1, 1.6]),
    row('gpt-4.1-nano gpt-4.1-nano-2025-04-14', [0.1, 0.025, 0.4]),
    row('gpt-4o gpt-4o-2024-08-06 gpt-4o-2024-11-20', [2.5, 1.25, 10], { context: 128_000 }),
    row('gpt-4o-2024-05-13', [5, 5, 15], { context: 128_000 }),
    row('gpt-4o-mini gpt-4o-mini-2024-07-18', [0.15, 0.075, 0.6], { context: 128_000 }),
    row('o1 o1-2024-12-17', [15, 7.5, 60], { context: 200_000 }),
    row('o1-pro o1-pro-2025-03-19', [150, 150, 600], { context: 200_000 }),
    row('o3 o3-2025-04-16', [2, 0.5, 8], { context: 200_000 }),
    row('o3-pro o3-pro-2025-06-10', [20, 20, 80], { context: 200_000 }),
    row('o3-mini o3-mini-2025-01-31', [1.1, 0.55, 4.4], { context: 200_000 }),
    row('o4-mini o4-mini-2025-04-16', [1.1, 0.275, 4.4], { context: 200_000 }),
    row('text-embedding-3-large', [0.13, 0.13, 0], { context: 8192 }),
    row('text-embedding-3-small', [0.02, 0.02, 0], { context: 8192 }),
    row('text-embedding-ada-002', [0.1, 0.1, 0], { context: 8192 }),
    row('gpt-4o-mini-tts', [0.6, 0.6, 12]),
    // Speech, but for a prompt of some words that would be cheaper: all of it at the rate of speech.
    row('gpt-4o-transcribe gpt-4o-transcribe-diarize', [6, 6, 10], { context: 16_000 }),
    row('gpt-4o-mini-transcribe', [3, 3, 5], { context: 16_000 }),
  ],
};

/** "Model pricing": what is written to the cache costs 1.25 times the input for five minutes and twice for an hour, at every model. */
const claude = (models: string, usd: Usd, more: More = {}): Row =>
  row(models, usd, { cacheWrite: usd[0] * 1.25, cacheWriteLong: usd[0] * 2, ...more });
const million = { context: 1_000_000, ceiling: 128_000 };

/** Standard speed, anywhere: `speed: fast` and `inference_geo` cost more. */
const anthropic: Vendor = {
  kind: 'anthropic',
  host: 'api.anthropic.com',
  source: 'https://platform.claude.com/docs/en/about-claude/pricing',
  dated: '2026-09-23',
  rows: [
    claude('claude-fable-5-1 claude-fable-5-1-########', [10, 0.25, 50], million),
    claude('claude-fable-5 claude-fable-5-########', [10, 1, 50], million),
    claude('claude-opus-5-5 claude-opus-5-5-########', [4, 0.2, 20], million),
    claude('claude-opus-5 claude-opus-5-########', [5, 0.5, 25], million),
    claude(
      'claude-opus-4-8 claude-opus-4-8-######## claude-opus-4-7 claude-opus-4-7-######## claude-opus-4-6 claude-opus-4-6-########',
      [5, 0.5, 25],
      million,
    ),
    claude('claude-opus-4-5 claude-opus-4-5-########', [5, 0.5, 25], { context: 200_000 }),
    claude('claude-opus-4-1 claude-opus-4-1-######## claude-opus-4-0 claude-opus-4-20250514', [15, 1.5, 75], {
      context: 200_000,
    }),
    // 0.20 for a cache hit until 2026-10-06.
    claude('claude-sonnet-5-5 claude-sonnet-5-5-########', [2, 0.1, 10], { ...million, dated: '2026-10-24' }),
    claude('claude-sonnet-5 claude-sonnet-5-########', [2, 0.2, 10], million),
    claude('claude-sonnet-4-6 claude-sonnet-4-6-########', [3, 0.3, 15], { context: 1_000_000 }),
    claude('claude-sonnet-4-5 claude-sonnet-4-5-########', [3, 0.3, 15], { above: long200 }),
    claude('claude-sonnet-4-0 claude-sonnet-4-20250514', [3, 0.3, 15], { context: 200_000 }),
    claude('claude-haiku-5-5 claude-haiku-5-5-########', [0.1, 0.01, 0.5], {
      above: { tokens: 100_000, input: 5, output: 5 },
      ...million,
      dated: '2026-10-24',
    }),
    claude('claude-haiku-4-5 claude-haiku-4-5-########', [1, 0.1, 5], { context: 200_000, ceiling: 64_000 }),
    claude('claude-3-5-haiku-latest claude-3-5-haiku-20241022', [0.8, 0.08, 4], { context: 200_000 }),
  ],
};

const flash = { context: 1_048_576, ceiling: 65_536 };
const newFlash = 'gemini-3.6-flash gemini-3.7-flash gemini-3.8-flash';

/** The paid tier, standard. gemini-embedding-2 has a rate for each kind of input, up to sixty times that of text, and its answer does not tell them apart: it stays unpriced. */
const google: Vendor = {
  kind: 'gemini',
  host: 'generativelanguage.googleapis.com',
  source: 'https://ai.google.dev/gemini-api/docs/pricing',
  dated: '2026-09-23',
  rows: [
    row(newFlash, [0.75, 0.075, 3.75], flash),
    row(newFlash, [1.5, 0.15, 7.5], { ...flash, from: '2027-01-01' }),
    row('gemini-3.5-flash', [1.5, 0.15, 9], flash),
    row('gemini-3.5-flash-lite', [0.3, 0.03, 2.5], flash),
    row('gemini-3.1-pro-preview gemini-3-pro-preview', [2, 0.2, 12], { above: long200 }),
    row('gemini-3.1-flash-lite', [0.25, 0.025, 1.5], { audio: 0.5 }),
    row('gemini-3-flash-preview', [0.5, 0.05, 3], { audio: 1 }),
    row('gemini-2.5-pro', [1.25, 0.125, 10], { above: long200 }),
    row('gemini-2.5-flash gemini-2.5-flash-preview-09-2025', [0.3, 0.03, 2.5], {
      audio: 1,
      context: 1_048_576,
    }),
    row('gemini-2.5-flash-lite gemini-2.5-flash-lite-preview-09-2025', [0.1, 0.01, 0.4], {
      audio: 0.3,
      context: 1_048_576,
    }),
    row('gemini-embedding-001', [0.15, 0.15, 0]),
  ],
};

const groq: Vendor = {
  kind: 'openai',
  host: 'api.groq.com',
  source: 'https://console.groq.com/docs/models',
  dated: '2026-09-23',
  rows: [
    row('openai/gpt-oss-120b', [0.15, 0.075, 0.6], { context: 131_072 }),
    row('openai/gpt-oss-20b', [0.075, 0.0375, 0.3], { context: 131_072 }),
    row('llama-3.3-70b-versatile', [0.59, 0.59, 0.79]),
    row('llama-3.1-8b-instant', [0.05, 0.05, 0.08]),
    row('qwen/qwen3-32b', [0.29, 0.29, 0.59], { context: 131_072 }),
    row('moonshotai/kimi-k2-instruct-0905', [1, 0.5, 3]),
  ],
};

const mistral: Vendor = {
  kind: 'openai',
  host: 'api.mistral.ai',
  source: 'https://mistral.ai/pricing/api',
  dated: '2026-09-23',
  rows: [
    row('mistral-medium-3-5 mistral-medium-3.5 mistral-medium-latest', [1.5, 0.15, 7.5], {
      context: 262_144,
    }),
    row('mistral-medium-2505 mistral-medium-2508', [0.4, 0.04, 2]),
    row('mistral-large-2512', [0.5, 0.05, 1.5], { context: 262_144 }),
    row('mistral-small-2603', [0.15, 0.015, 0.6], { context: 262_144 }),
    row('codestral-2508', [0.3, 0.03, 0.9], { context: 256_000 }),
    row('devstral-2512', [0.4, 0.04, 2], { context: 262_144 }),
    row('ministral-3b-2512', [0.1, 0.01, 0.1], { context: 131_072 }),
    row('ministral-8b-2512', [0.15, 0.015, 0.15], { context: 262_144 }),
    row('ministral-14b-2512', [0.2, 0.02, 0.2], { context: 262_144 }),
    row('mistral-embed', [0.1, 0.1, 0], { context: 8192 }),
  ],
};

/** Twice as dear from 01:00 to 04:00 and from 06:00 to 10:00 UTC; the peak rates are taken all day, because an exchange may reach into them. */
const deepseek: Vendor = {
  kind: 'openai',
  host: 'api.deepseek.com',
  source: 'https://api-docs.deepseek.com/quick_start/pricing',
  dated: '2026-09-23',
  rows: [
    row('deepseek-v4-flash', [0.44, 0.014, 1.32], { context: 1_000_000 }),
    row('deepseek-v4-pro', [1.32, 0.044, 3.96], { context: 1_000_000 }),
  ],
};

/** For the reservation: the answer itself says what it cost (`usage.cost`). */
const openrouter: Vendor = {
  kind: 'openai',
  host: 'openrouter.ai',
  source: 'https://openrouter.ai/models',
  dated: '2026-09-23',
  rows: [
    row('anthropic/claude-opus-5.5', [4, 0.2, 20], { cacheWrite: 5 }),
    row(
      'anthropic/claude-opus-5 anthropic/claude-opus-4.8 anthropic/claude-opus-4.7 anthropic/claude-opus-4.6 anthropic/claude-opus-4.5',
      [5, 0.5, 25],
      { cacheWrite: 6.25 },
    ),
    row('anthropic/claude-sonnet-5', [2, 0.2, 10], { cacheWrite: 2.5 }),
    row('anthropic/claude-haiku-4.5', [1, 0.1, 5], { cacheWrite: 1.25 }),
    row('openai/gpt-5.4', [2.5, 0.25, 15], { above: long272 }),
    row('openai/gpt-5.4-mini', [0.75, 0.075, 4.5]),
    row('openai/gpt-5.2 openai/gpt-5.2-chat openai/gpt-5.2-codex', [1.75, 0.175, 14]),
    row('openai/gpt-5.1 openai/gpt-5.1-chat openai/gpt-5.1-codex', [1.25, 0.13, 10]),
    row('openai/gpt-5 openai/gpt-5-chat openai/gpt-5-codex', [1.25, 0.125, 10]),
    row('openai/gpt-5-mini', [0.25, 0.025, 2]),
    row('google/gemini-2.5-flash', [0.3, 0.075, 2.5], { cacheWrite: 0.3833 }),
    row('google/gemini-3.5-flash', [1.5, 0.15, 9]),
    row('moonshotai/kimi-k3', [3, 0.3, 15]),
    row('moonshotai/kimi-k2.7-code', [0.75, 0.16, 3.5]),
  ],
};

export const vendors: readonly Vendor[] = [openai, anthropic, google, groq, mistral, deepseek, openrouter];
