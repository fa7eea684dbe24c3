/** The grammar of the Anthropic messages API and of its token count. Listed in formats.ts. */
import type { Format, Spot } from '../spot.ts';

/**
 * Typed tools are named here one by one, with their dates. These are only schemas that Anthropic trained its models on: the
 * answer is a `tool_use` that the client runs and answers (docs: "client tools"). Everything else with a type runs at Anthropic
 * (web_search, web_fetch, code_execution, tool_search, advisor, mcp_toolset) or may do so one day (toolsets), and is refused.
 */
const clientTools =
  'custom bash_20241022 bash_20250124 text_editor_20241022 text_editor_20250124 text_editor_20250429 ' +
  'text_editor_20250728 memory_20250818 computer_20241022 computer_20250124 computer_20251124';

const spots: Readonly<Record<string, Spot>> = {
  metadata: { may: 'object', take: 'metadata', keys: { user: 'user_id' } },
  part: {
    may: 'string object',
    string: 'text',
    types:
      'text image document search_result thinking redacted_thinking tool_use tool_result tool_reference compaction',
    untyped: 'refused',
    // Citations say where an earlier answer had its words from; they are not read again.
    keys: { free: 'input citations' },
    beside: { input: 'tool_use' },
    labels: 'search_result',
    fault: 'part',
  },
  tool: {
    may: 'object',
    closed: true,
    fault: 'tool',
    types: clientTools,
    keys: {
      text: 'name description',
      schema: 'input_schema',
      free: 'input_examples',
      flag: 'strict defer_loading eager_input_streaming enable_zoom',
      word: 'cache_control max_characters',
      number: 'display_width_px display_height_px display_number',
      callers: 'allowed_callers',
    },
  },
  toolChoice: { may: 'object', types: 'auto any tool none', fault: 'tool' },
  diagnostics: { may: 'object', keys: { stored: 'previous_message_id' } },
  contextManagement: { may: 'object', keys: { edits: 'edits' } },
  edits: {
    may: 'list object',
    types: 'clear_tool_uses_20250919 clear_thinking_20251015 compact_20260112',
    untyped: 'refused',
    keys: { text: 'instructions' },
    fault: 'item',
  },
};

export const anthropicMessages: Format = {
  model: 'required',
  parts: 'text',
  fields: {
    model: 'model',
    messages: 'messages',
    longContent: 'system',
    stream: 'stream',
    maxTokens: 'max_tokens',
    metadata: 'metadata',
    tools: 'tools',
    toolChoice: 'tool_choice',
    text: 'stop_sequences',
    schema: 'output_config output_format',
    contextManagement: 'context_management',
    diagnostics: 'diagnostics',
    // Not here: fallbacks (another model than the one that was allowed), thread, billing_policy.
    tier: 'service_tier speed',
    region: 'inference_geo',
    word: 'temperature top_p top_k thinking cache_control',
    off: 'mcp_servers container',
  },
  spots,
};

export const anthropicCount: Format = {
  ...anthropicMessages,
  fields: { ...anthropicMessages.fields },
};
