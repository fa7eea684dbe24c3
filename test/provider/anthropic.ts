/** Anthropic's messages as the practice provider speaks them, with the real sequence of events. */
import {
  type Chat,
  countOf,
  type Format,
  type Reply,
  replyCount,
  type Said,
  textOf,
  tokensOf,
} from './script.ts';

type Block = { type?: string; content?: unknown };
type Message = { role?: string; content?: unknown };

const errorTypes: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  404: 'not_found_error',
};

const sse = (data: { type: string } & Record<string, unknown>): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;

const messageOf = (chat: Chat, id: string) => ({
  id: `msg_${id}`,
  type: 'message',
  role: 'assistant',
  model: chat.model,
});

const usageOf = (chat: Chat, output: number) => ({
  input_tokens: countOf(chat),
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: output,
});

const stopOf = (reply: Reply): string => ('text' in reply ? 'end_turn' : 'tool_use');

/** A tool's result comes as a user message that holds a block of that type. */
function saidBy({ role, content }: Message): Said {
  const results = Array.isArray(content)
    ? (content as Block[]).filter((block) => block.type === 'tool_result')
    : [];
  if (results.length > 0) return { role: 'tool', text: textOf(results.map((block) => block.content)) };
  return { role: role === 'assistant' ? 'assistant' : 'user', text: textOf(content) };
}

export const anthropic: Format = {
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

  whole: (chat, reply, id) => ({
    ...messageOf(chat, id),
    content: [
      'text' in reply
        ? { type: 'text', text: reply.text }
        : { type: 'tool_use', id: `toolu_${id}`, name: reply.tool, input: { command: reply.command } },
    ],
    stop_reason: stopOf(reply),
    stop_sequence: null,
    usage: usageOf(chat, replyCount(reply)),
  }),

  frames(chat, reply, id) {
    const start =
      'text' in reply
        ? { type: 'text', text: '' }
        : { type: 'tool_use', id: `toolu_${id}`, name: reply.tool, input: {} };
    const deltas =
      'text' in reply
        ? tokensOf(reply.text).map((text) => ({ type: 'text_delta', text }))
        : ['', ...(JSON.stringify({ command: reply.command }).match(/.{1,8}/gs) ?? [])].map((piece) => ({
            type: 'input_json_delta',
            partial_json: piece,
          }));
    return [
      sse({
        type: 'message_start',
        message: {
          ...messageOf(chat, id),
          content: [],
          stop_reason: null,
          stop_sequence: null,
          usage: usageOf(chat, 1),
        },
      }),
      sse({ type: 'content_block_start', index: 0, content_block: start }),
      sse({ type: 'ping' }),
      ...deltas.map((delta) => sse({ type: 'content_block_delta', index: 0, delta })),
      sse({ type: 'content_block_stop', index: 0 }),
      sse({
        type: 'message_delta',
        delta: { stop_reason: stopOf(reply), stop_sequence: null },
        usage: { output_tokens: replyCount(reply) },
      }),
      sse({ type: 'message_stop' }),
    ];
  },

  errorFrame: sse({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),

  errorBody: (status, message) => ({
    type: 'error',
    error: { type: errorTypes[status] ?? 'api_error', message },
  }),

  models: (names, at) => ({
    data: names.map((id) => ({ type: 'model', id, display_name: id, created_at: at.toISOString() })),
    has_more: false,
    first_id: names[0] ?? null,
    last_id: names.at(-1) ?? null,
  }),
};
