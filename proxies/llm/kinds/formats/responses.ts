/** The grammar of OpenAI's responses API: the one that acts by itself unless it is told not to. Listed in formats.ts. */
import type { Format } from '../spot.ts';
import { toolSpots } from './openai.ts';

export const openaiResponses: Format = {
  model: 'required',
  // Of messages and of what functions returned, and the texts of reasoning.
  parts:
    'input_text input_image input_file input_audio output_text refusal text summary_text reasoning_text image_url file',
  fields: {
    model: 'model',
    input: 'input',
    longText: 'instructions',
    stream: 'stream',
    streamOptions: 'stream_options',
    maxTokens: 'max_output_tokens',
    user: 'user',
    metadata: 'metadata',
    tools: 'tools',
    toolChoice: 'tool_choice',
    schema: 'text',
    text: 'safety_identifier prompt_cache_key stop',
    store: 'store',
    include: 'include',
    off: 'background',
    stored: 'previous_response_id conversation prompt',
    contextManagement: 'context_management',
    tier: 'service_tier',
    // The last line is what vLLM and OpenRouter add for sampling.
    word:
      'max_tool_calls parallel_tool_calls prompt_cache_options prompt_cache_retention reasoning temperature ' +
      'top_logprobs top_p truncation moderation image ' +
      'top_k min_p seed frequency_penalty presence_penalty repetition_penalty',
  },
  spots: {
    ...toolSpots,
    /** A namespace groups functions and runs nothing. */
    tool: {
      ...toolSpots.tool,
      types: 'function custom namespace',
      keys: { ...toolSpots.tool?.keys, tools: 'tools' },
    },
    input: { may: 'string list', string: 'text', each: 'item', take: 'long' },
    /** A message, a call of one of the client's functions and what it returned, or sealed reasoning. `{id}` alone is a reference to a stored item. */
    item: {
      may: 'object',
      types:
        'message function_call function_call_output custom_tool_call custom_tool_call_output reasoning compaction',
      untyped: 'with role',
      keys: { text: 'input', content: 'output summary' },
      beside: { input: 'custom_tool_call' },
      fault: 'item',
      take: 'part',
    },
    streamOptions: { may: 'object', take: 'streamOptions' },
    /** What OpenAI would add to the answer. The rest of its list belongs to tools that it runs. */
    include: {
      words: 'reasoning.encrypted_content message.output_text.logprobs message.input_image.image_url',
      may: 'string list',
      fault: 'stored',
    },
    contextManagement: { may: 'list object', types: 'compaction', untyped: 'refused', fault: 'item' },
  },
};
