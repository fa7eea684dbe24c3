/** The closed lists from which metrics take their labels: a guest must not make new series. Read by metrics.ts; the names are of https://github.com/open-telemetry/semantic-conventions-genai. */
import type { FormatName, KindName, Provider } from './kinds/kind.ts';
import { type Aliases, linkOf } from './route/chain.ts';

/** The names that may become labels. All else is `other`: a guest must not make new series. */
export type Known = {
  agents: readonly string[];
  providers: readonly Provider[];
  /** The common aliases and those of each agent. */
  aliases: readonly Aliases[];
  /** The agents' own models. */
  models: readonly { provider?: string | undefined; name: string }[];
};

/** gen_ai.operation.name: the well-known values, and our own word where there is none. */
export const operations: Record<FormatName, string> = {
  'openai-chat': 'chat',
  'openai-responses': 'chat',
  'openai-embeddings': 'embeddings',
  'openai-speech': 'speech',
  'openai-transcription': 'transcription',
  'anthropic-messages': 'chat',
  'anthropic-count': 'count_tokens',
  'gemini-generate': 'generate_content',
  'gemini-embed': 'embeddings',
  'gemini-count': 'count_tokens',
  'ollama-chat': 'chat',
  'ollama-generate': 'text_completion',
  'ollama-embed': 'embeddings',
  'ollama-show': 'show',
  listing: 'list',
};

/** gen_ai.provider.name tells the flavour of the format, not whose server it is. */
export const flavours: Record<KindName, string> = {
  openai: 'openai',
  anthropic: 'anthropic',
  gemini: 'gcp.gemini',
  ollama: 'ollama',
};

/** error.type. Another status is `_OTHER`, as the conventions say. */
const errors = new Set([400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 499, 500, 502, 503, 504, 529]);
export const errorOf = (status: number): string =>
  status === 0 ? 'agent-gone' : status < 400 ? '' : errors.has(status) ? String(status) : '_OTHER';

/** `provider/model` of every model that the configuration spells out. */
export function modelsOf({ providers, aliases, models }: Known): Set<string> {
  const chains = aliases.flatMap((table) => Object.values(table).flat());
  const own = models.flatMap(({ provider, name }) => (provider === undefined ? [] : [`${provider}/${name}`]));
  const listed = providers.flatMap(({ name, models: globs = [], prices = {} }) =>
    [...globs, ...Object.keys(prices)].map((each) => `${name}/${each}`),
  );
  return new Set(
    [...chains.filter((each) => linkOf(each)), ...own, ...listed].filter((each) => !each.includes('*')),
  );
}
