/** The OpenAI kind, and every server that speaks its chat API: paths, key, body rules, error shape. Listed in paths.ts. */
import { denialText } from '../denial.ts';
import type { Kind } from './kind.ts';

/** Chat completions, from the API reference; the second part is what vLLM, llama.cpp and LiteLLM add for sampling. */
const fields = [
  'model messages stream stream_options temperature top_p n stop seed user metadata modalities audio',
  'max_tokens max_completion_tokens frequency_penalty presence_penalty logit_bias logprobs top_logprobs',
  'tools tool_choice parallel_tool_calls functions function_call response_format prediction',
  'reasoning_effort verbosity service_tier safety_identifier store web_search_options',
  'prompt_cache_key prompt_cache_retention prompt_cache_options',
  'top_k min_p typical_p repetition_penalty length_penalty best_of use_beam_search ignore_eos min_tokens',
  'stop_token_ids skip_special_tokens chat_template_kwargs enable_thinking cache_prompt keep_alive options think',
].flatMap((line) => line.split(' '));

export const openai: Kind = {
  name: 'openai',
  routes: [
    { method: 'POST', path: '/v1/chat/completions', speaks: 'openai', query: [], keyIn: 'authorization' },
    { method: 'GET', path: '/v1/models', speaks: 'openai', query: [], keyIn: 'authorization' },
  ],
  body: {
    fields: new Set(fields),
    parts: new Set(['text', 'image_url', 'input_audio', 'file', 'refusal', 'thinking', 'reasoning']),
    toolTypes: new Set(['function', 'custom']),
    opaque: new Set(['tool_calls', 'function_call', 'arguments']),
  },
  // The OpenAI convention: a base URL with a path is what stands before /chat/completions.
  upstreamPath: (basePath, path) => (basePath === '' ? path : basePath + path.replace(/^\/v1/, '')),
  // These models search the web before every answer, without any field that asks for it;
  // `:online` is OpenRouter's switch for the same.
  modelReachesOut: (model) =>
    /search-(preview|api)|:online$/i.test(model) ? 'this model searches the web by itself' : undefined,
  errorBody: (denial) => ({
    error: {
      message: denialText(denial),
      type: denial.status >= 500 ? 'server_error' : 'invalid_request_error',
      param: null,
      code: denial.rule,
    },
  }),
};
