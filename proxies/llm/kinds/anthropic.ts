/** The Anthropic kind: messages and models, and its OpenAI-compatible chat path: paths, key, body rules, error shape. Listed in paths.ts. */
import { denialText } from '../denial.ts';
import type { Kind } from './kind.ts';

/** Every request needs a version (API reference, "Versions"); a client of another kind does not send one. */
const version = { 'anthropic-version': '2023-06-01' };

const fields = [
  'model messages system max_tokens stream temperature top_p top_k stop_sequences metadata',
  'tools tool_choice thinking output_config output_format service_tier speed inference_geo cache_control',
  'context_management mcp_servers container',
].flatMap((line) => line.split(' '));

const errorTypes: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
};

export const anthropic: Kind = {
  name: 'anthropic',
  routes: [
    {
      method: 'POST',
      path: '/v1/messages',
      speaks: 'anthropic',
      query: ['beta'],
      keyIn: 'x-api-key',
      defaults: version,
    },
    {
      method: 'GET',
      path: '/v1/models',
      speaks: 'anthropic',
      query: ['limit', 'after_id', 'before_id', 'beta'],
      keyIn: 'x-api-key',
      defaults: version,
    },
    // The compatibility path takes the key as the OpenAI SDK would send it.
    { method: 'POST', path: '/v1/chat/completions', speaks: 'openai', query: [], keyIn: 'authorization' },
  ],
  body: {
    fields: new Set(fields),
    parts: new Set(
      'text image document search_result thinking redacted_thinking tool_use tool_result'.split(' '),
    ),
    toolTypes: new Set([null, 'custom']),
    opaque: new Set(['input']),
  },
  upstreamPath: (basePath, path) => basePath.replace(/\/v1$/, '') + path,
  modelReachesOut: () => undefined,
  errorBody: (denial) => ({
    type: 'error',
    error: { type: errorTypes[denial.status] ?? 'api_error', message: denialText(denial) },
  }),
};
