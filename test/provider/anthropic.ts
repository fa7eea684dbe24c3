/** Anthropic's messages as the practice provider speaks them, with the real sequence of events. */
import {
  type Chat,
  type Format,
  namedSse,
  pieces,
  type Reply,
  type Said,
  textOf,
  tokensOf,
  type Usage,
  type Vendor,
} from './script.ts';

type Block = { type?: string; content?: unknown };
type Message = { role?: string; content?: unknown };

const messageOf = (chat: Chat, id: string) => ({
  id: `msg_${id}`,
  type: 'message',
  role: 'assistant',
  model: chat.model,
});

/** Here the input is what came neither from the cache nor went into it. */
const usageBody = (usage: Usage, output: number) => ({
  input_tokens: usage.in - usage.cached - usage.cacheWrite,
  cache_creation_input_tokens: usage.cacheWrite,
  cache_read_input_tokens: usage.cached,
  cache_creation: { ephemeral_5m_input_tokens: usage.cacheWrite, ephemeral_1h_input_tokens: 0 },
  output_tokens: output,
  service_tier: 'standard',
});

/** Where a server tool makes several rounds, the first event counts the first round alone. */
const atFirst = (usage: Usage): Usage =>
  usage.cached === 0
    ? usage
    : { ...usage, in: usage.in / 2, cached: usage.cached / 2, cacheWrite: usage.cacheWrite / 2 };

const stopOf = (reply: Reply): string => ('text' in reply ? 'end_turn' : 'tool_use');

/** A tool's result comes as a user message that holds a block of that type. */
function saidBy({ role, content }: Message): Said {
  const results = Array.isArray(content)
    ? (content as Block[]).filter((block) => block.type === 'tool_result')
    : [];
  if (results.length > 0) return { role: 'tool', text: textOf(results.map((block) => block.content)) };
  return { role: role === 'assistant' ? 'assistant' : 'user', text: textOf(content) };
}

export const anthropicMessages: Format = {
  contentType: 'text/event-stream; charset=utf-8',

  read: (json) => ({
    model: String(json.model),
    said: [
      ...(json.system === undefined ? [] : [{ role: 'system' as const, text: textOf(json.system) }]),
      ...((json.messages ?? []) as Message[]).map(saidBy),
    ],
    tools: ((json.tools ?? []) as { name?: string }[]).flatMap((tool) => tool.name ?? []),
    stream: json.stream === true,
    wantsUsage: false,
  }),

  whole: ({ chat, reply, usage, id }) => ({
    ...messageOf(chat, id),
    content: [
      'text' in reply
        ? { type: 'text', text: reply.text }
        : { type: 'tool_use', id: `toolu_${id}`, name: reply.tool, input: { command: reply.command } },
    ],
    stop_reason: stopOf(reply),
    stop_sequence: null,
    ...(usage ? { usage: usageBody(usage, usage.out) } : {}),
  }),

  frames({ chat, reply, usage, id }) {
    const start =
      'text' in reply
        ? { type: 'text', text: '' }
        : { type: 'tool_use', id: `toolu_${id}`, name: reply.tool, input: {} };
    const deltas =
      'text' in reply
        ? tokensOf(reply.text).map((text) => ({ type: 'text_delta', text }))
        : ['', ...pieces(JSON.stringify({ command: reply.command }))].map((piece) => ({
            type: 'input_json_delta',
            partial_json: piece,
          }));
    return [
      namedSse({
        type: 'message_start',
        message: {
          ...messageOf(chat, id),
          content: [],
          stop_reason: null,
          stop_sequence: null,
          ...(usage ? { usage: usageBody(atFirst(usage), 1) } : {}),
        },
      }),
      namedSse({ type: 'content_block_start', index: 0, content_block: start }),
      namedSse({ type: 'ping' }),
      ...deltas.map((delta) => namedSse({ type: 'content_block_delta', index: 0, delta })),
      namedSse({ type: 'content_block_stop', index: 0 }),
      namedSse({
        type: 'message_delta',
        delta: { stop_reason: stopOf(reply), stop_sequence: null },
        // Cumulative: the last one wins.
        ...(usage ? { usage: usageBody(usage, usage.out) } : {}),
      }),
      namedSse({ type: 'message_stop' }),
    ];
  },

  errorFrame: namedSse({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
};

const errorTypes: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  529: 'overloaded_error',
};

const modelBody = (id: string, at: Date) => ({
  type: 'model',
  id,
  display_name: id,
  created_at: at.toISOString(),
});

export const anthropic: Vendor = {
  errorBody: (status, message) => ({
    type: 'error',
    error: { type: errorTypes[status] ?? 'api_error', message },
    request_id: null,
  }),
  models: (names, at) => ({
    data: names.map((id) => modelBody(id, at)),
    has_more: false,
    first_id: names[0] ?? null,
    last_id: names.at(-1) ?? null,
  }),
  model: modelBody,
};
