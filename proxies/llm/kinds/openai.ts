/** The OpenAI kind, and every server that speaks its API: paths, key, error shape. Listed in paths.ts. */
import { denialText } from '../denial.ts';
import type { Kind } from './kind.ts';

const common = { speaks: 'openai', query: [], keyIn: 'authorization' } as const;

/** Of a status, where the SDKs tell them apart. */
const errorTypes: Record<number, string> = { 402: 'insufficient_quota', 429: 'rate_limit_error' };

const vendorModels =
  'gpt-* chatgpt-* codex-* o1* o3* o4* text-embedding-* whisper-* tts-* omni-moderation-*'.split(' ');

export const openai: Kind = {
  name: 'openai',
  routes: [
    { ...common, method: 'POST', path: '/v1/chat/completions', format: 'openai-chat' },
    { ...common, method: 'POST', path: '/v1/responses', format: 'openai-responses' },
    { ...common, method: 'POST', path: '/v1/embeddings', format: 'openai-embeddings' },
    { ...common, method: 'POST', path: '/v1/audio/transcriptions', format: 'openai-transcription' },
    { ...common, method: 'POST', path: '/v1/audio/speech', format: 'openai-speech' },
    { ...common, method: 'GET', path: '/v1/models', format: 'listing' },
    { ...common, method: 'GET', path: '/v1/models/{model}', format: 'listing' },
  ],
  // The OpenAI convention: a base URL with a path is what stands before /chat/completions.
  upstreamPath: (basePath, path) => (basePath === '' ? path : basePath + path.replace(/^\/v1/, '')),
  // These act without any field that asks for it. OpenAI's search models and Perplexity's look the web up before every answer,
  // deep research and Groq's compound systems run their own tools, `:online` is OpenRouter's switch for the same,
  // and a preset there may hold that switch or name another model.
  // Any other server of this kind may have any model.
  ownModels: (host) => (host === 'api.openai.com' ? vendorModels : undefined),
  modelReachesOut: (model) =>
    /search-(preview|api)|deep-research|(^|\/)sonar([-:]|$)|(^|\/)compound([-:]|$)|:online(:|$)|@preset\//i.test(
      model.trim(),
    )
      ? 'this model searches the web by itself'
      : undefined,
  errorBody: (denial) => ({
    error: {
      message: denialText(denial),
      type: denial.status >= 500 ? 'server_error' : (errorTypes[denial.status] ?? 'invalid_request_error'),
      param: null,
      code: denial.rule,
    },
  }),
};
