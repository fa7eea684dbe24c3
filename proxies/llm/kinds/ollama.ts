/** The Ollama kind: its native chat and model list, and its OpenAI-compatible paths: key, body rules, error shape. Listed in paths.ts. */
import { denialText } from '../denial.ts';
import type { Kind } from './kind.ts';

const fields =
  'model messages tools format options stream keep_alive think logprobs top_logprobs truncate shift';

export const ollama: Kind = {
  name: 'ollama',
  routes: [
    { method: 'POST', path: '/api/chat', speaks: 'ollama', query: [], keyIn: 'authorization' },
    { method: 'GET', path: '/api/tags', speaks: 'ollama', query: [], keyIn: 'authorization' },
    { method: 'POST', path: '/v1/chat/completions', speaks: 'openai', query: [], keyIn: 'authorization' },
    { method: 'GET', path: '/v1/models', speaks: 'openai', query: [], keyIn: 'authorization' },
  ],
  body: {
    fields: new Set(fields.split(' ')),
    parts: new Set(['text']),
    toolTypes: new Set(['function']),
    opaque: new Set(['tool_calls', 'arguments']),
  },
  upstreamPath: (basePath, path) => basePath.replace(/\/v1$/, '') + path,
  // `gpt-oss:120b-cloud`, `glm-4.6:cloud`: the local server sends the conversation on to ollama.com.
  modelReachesOut: (model) =>
    /[:-]cloud$/i.test(model.trim()) ? "this is a cloud model, which runs on Ollama's servers" : undefined,
  errorBody: (denial) => ({ error: denialText(denial) }),
};
