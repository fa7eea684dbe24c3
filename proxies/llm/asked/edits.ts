/** The few byte ranges of a body that are other upstream than as asked: the model behind an alias, the agent's tag, a wish for usage, nothing stored. Called by forward.ts for each attempt. */
import type { FormatName } from '../kinds/kind.ts';
import type { Scanned, Span } from './scan.ts';

export type Edit = Span & { text: string };

export type Change = {
  /** The real model, where an alias was asked for. */
  model?: string;
  /** Who asks, for the provider's own books. It replaces what the client said. */
  tag?: string;
  /** The stream's usage, so that it can be billed. */
  addUsage?: boolean;
};

/** In order and not overlapping. */
export function editsFor(format: FormatName, scanned: Scanned, { model, tag, addUsage }: Change): Edit[] {
  const edits: Edit[] = [];
  /** New members go right behind the first brace: a body without a member has no comma. */
  const members: string[] = [];
  const put = (span: Span | null, key: string, value: string): void => {
    if (span) edits.push({ ...span, text: value });
    else members.push(`${JSON.stringify(key)}:${value}`);
  };

  if (model !== undefined) {
    const json = scanned.shape === 'json';
    if (scanned.modelSpan) edits.push({ ...scanned.modelSpan, text: json ? JSON.stringify(model) : model });
    for (const span of scanned.innerModels) edits.push({ ...span, text: JSON.stringify(`models/${model}`) });
  }
  if (tag !== undefined) {
    if (format === 'openai-chat' || format === 'openai-responses' || format === 'openai-embeddings') {
      put(scanned.userSpan, 'user', JSON.stringify(tag));
      // Kept only with what is stored, which nothing is. In it LiteLLM reads where to log the conversation (`langfuse_host`).
      if (scanned.metadataSpan) edits.push({ ...scanned.metadataSpan, text: '{}' });
    } else if (format === 'anthropic-messages') {
      // metadata has no other member (API reference), so the whole is replaced.
      put(scanned.metadataSpan, 'metadata', JSON.stringify({ user_id: tag }));
    }
  }
  if (addUsage === true && format === 'openai-chat' && !scanned.asksUsage) {
    const { streamOptionsSpan: options, includeUsageSpan: wish } = scanned;
    const isObject = options !== null && options.to - options.from !== 'null'.length;
    if (wish) edits.push({ ...wish, text: 'true' });
    else if (!isObject || scanned.streamOptionsEmpty)
      put(options, 'stream_options', '{"include_usage":true}');
    else edits.push({ from: options.from + 1, to: options.from + 1, text: '"include_usage":true,' });
  }
  // The one API that keeps what it is sent unless it is told not to (API reference: `store` defaults to true).
  if (format === 'openai-responses') put(scanned.storeSpan, 'store', 'false');

  if (members.length > 0) {
    const text = members.join(',') + (scanned.empty ? '' : ',');
    edits.push({ from: scanned.open, to: scanned.open, text });
  }
  return edits.sort((one, other) => one.from - other.from);
}
