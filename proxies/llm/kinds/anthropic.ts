/** The Anthropic kind: messages, their token count and models, and its OpenAI-compatible chat path: paths, key, error shape. Listed in paths.ts. */
import { denialText } from '../denial.ts';
import type { Kind } from './kind.ts';

/** Every request needs a version (API reference, "Versions"); a client of another kind does not send one. */
const own = {
  speaks: 'anthropic',
  keyIn: 'x-api-key',
  defaults: { 'anthropic-version': '2023-06-01' },
} as const;

const errorTypes: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
};

export const anthropic: Kind = {
  name: 'anthropic',
  routes: [
    { ...own, method: 'POST', path: '/v1/messages', format: 'anthropic-messages', query: ['beta'] },
    { ...own, method: 'POST', path: '/v1/messages/count_tokens', format: 'anthropic-count', query: ['beta'] },
    {
      ...own,
      method: 'GET',
      path: '/v1/models',
      format: 'listing',
      query: ['limit', 'after_id', 'before_id', 'beta'],
    },
    { ...own, method: 'GET', path: '/v1/models/{model}', format: 'listing', query: ['beta'] },
    // The compatibility path takes the key as the OpenAI SDK would send it.
    {
      method: 'POST',
      path: '/v1/chat/completions',
      format: 'openai-chat',
      speaks: 'openai',
      query: [],
      keyIn: 'authorization',
    },
  ],
  upstreamPath: (basePath, path) => basePath.replace(/\/v1$/, '') + path,
  ownModels: () => ['claude-*'],
  modelReachesOut: () => undefined,
  errorBody: (denial) => ({
    type: 'error',
    error: { type: errorTypes[denial.status] ?? 'api_error', message: denialText(denial) },
  }),
};
