/** The grammar of Ollama's own API: chat, generate, embed, show. Listed in formats.ts. */
import type { Format, Spot } from '../spot.ts';

const spots: Readonly<Record<string, Spot>> = {
  /** Runtime options; the number of tokens to answer is one of them. -1 there means no end. */
  options: { may: 'object', keys: { maxTokens: 'num_predict', text: 'stop' } },
  tool: {
    may: 'object',
    closed: true,
    fault: 'tool',
    types: 'function',
    untyped: 'refused',
    keys: { schema: 'function', free: 'items' },
  },
};

const common = 'keep_alive think logprobs top_logprobs truncate shift';

export const ollamaChat: Format = {
  model: 'required',
  streams: true,
  parts: 'text',
  fields: {
    model: 'model',
    messages: 'messages',
    tools: 'tools',
    schema: 'format',
    options: 'options',
    stream: 'stream',
    word: common,
  },
  spots,
};

export const ollamaGenerate: Format = {
  model: 'required',
  streams: true,
  fields: {
    model: 'model',
    longText: 'prompt suffix system template',
    schema: 'format',
    options: 'options',
    stream: 'stream',
    flag: 'raw',
    // Images are bytes in base64: a word that looks like an address is refused.
    word: `images context width height steps ${common}`,
  },
  spots,
};

/** /api/embed (`input`) and the older /api/embeddings (`prompt`). */
export const ollamaEmbed: Format = {
  model: 'required',
  fields: {
    model: 'model',
    longText: 'input prompt',
    options: 'options',
    word: 'truncate keep_alive dimensions',
  },
  spots,
};

export const ollamaShow: Format = {
  model: 'required',
  fields: { model: 'model', flag: 'verbose', longText: 'system template', options: 'options' },
  spots,
};
