/** The Ollama kind: its own API without all that changes models, and the OpenAI and Anthropic APIs that it speaks too: paths, error shape. Listed in paths.ts. */
import { denialText } from '../denial.ts';
import type { Kind, Route } from './kind.ts';

const common = { speaks: 'ollama', query: [], keyIn: 'authorization' } as const;
const openai = { ...common, speaks: 'openai' } as const;

const own: readonly Route[] = [
  { ...common, method: 'POST', path: '/api/chat', format: 'ollama-chat' },
  { ...common, method: 'POST', path: '/api/generate', format: 'ollama-generate' },
  { ...common, method: 'POST', path: '/api/embed', format: 'ollama-embed' },
  { ...common, method: 'POST', path: '/api/embeddings', format: 'ollama-embed' },
  { ...common, method: 'POST', path: '/api/show', format: 'ollama-show' },
  { ...common, method: 'GET', path: '/api/tags', format: 'listing' },
  { ...common, method: 'GET', path: '/api/ps', format: 'listing' },
  { ...common, method: 'GET', path: '/api/version', format: 'listing' },
];

export const ollama: Kind = {
  name: 'ollama',
  routes: [
    ...own,
    { ...openai, method: 'POST', path: '/v1/chat/completions', format: 'openai-chat' },
    { ...openai, method: 'POST', path: '/v1/responses', format: 'openai-responses' },
    { ...openai, method: 'POST', path: '/v1/embeddings', format: 'openai-embeddings' },
    { ...openai, method: 'GET', path: '/v1/models', format: 'listing' },
    { ...openai, method: 'GET', path: '/v1/models/{model}', format: 'listing' },
    {
      ...common,
      speaks: 'anthropic',
      method: 'POST',
      path: '/v1/messages',
      format: 'anthropic-messages',
      // The Anthropic SDK asks its beta calls so.
      query: ['beta'],
    },
  ],
  upstreamPath: (basePath, path) => basePath.replace(/\/(v1|api)$/, '') + path,
  // `gpt-oss:120b-cloud`, `glm-4.6:cloud`: the local server sends the conversation on to ollama.com.
  ownModels: () => undefined,
  modelReachesOut: (model) =>
    /[:-]cloud$/i.test(model.trim()) ? "this is a cloud model, which runs on Ollama's servers" : undefined,
  errorBody: (denial) => ({ error: denialText(denial) }),
};
