/** OpenAI's chat completions as the practice provider speaks them. */
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

type Message = { role?: string; content?: unknown };
type Tool = { function?: { name?: string } };

const roles: Record<string, Said['role']> = { developer: 'system', function: 'tool' };

const usageOf = (chat: Chat, reply: Reply) => ({
  prompt_tokens: countOf(chat),
  completion_tokens: replyCount(reply),
  total_tokens: countOf(chat) + replyCount(reply),
});

const callOf = (reply: { tool: string; command: string }, id: string) => ({
  id: `call_${id}`,
  type: 'function',
  function: { name: reply.tool, arguments: JSON.stringify({ command: reply.command }) },
});

const sse = (data: unknown): string => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

export const openai: Format = {
  contentType: 'text/event-stream; charset=utf-8',

  read: (json) => ({
    model: String(json.model),
    said: ((json.messages ?? []) as Message[]).map((message) => ({
      role: roles[String(message.role)] ?? (String(message.role) as Said['role']),
      text: textOf(message.content),
    })),
    tools: ((json.tools ?? []) as Tool[]).flatMap((tool) => tool.function?.name ?? []),
    stream: json.stream === true,
    wantsUsage: (json.stream_options as { include_usage?: boolean } | undefined)?.include_usage === true,
  }),

  whole: (chat, reply, id, at) => ({
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: Math.floor(at.getTime() / 1000),
    model: chat.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          ...('text' in reply ? { content: reply.text } : { content: null, tool_calls: [callOf(reply, id)] }),
          refusal: null,
        },
        logprobs: null,
        finish_reason: 'text' in reply ? 'stop' : 'tool_calls',
      },
    ],
    usage: usageOf(chat, reply),
    system_fingerprint: 'fp_practice',
  }),

  frames(chat, reply, id, at) {
    const chunk = (delta: unknown, finish: string | null = null) =>
      sse({ ...shell, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...noUsage });
    const shell = {
      id: `chatcmpl-${id}`,
      object: 'chat.completion.chunk',
      created: Math.floor(at.getTime() / 1000),
      model: chat.model,
      system_fingerprint: 'fp_practice',
    };
    const noUsage = chat.wantsUsage ? { usage: null } : {};
    const said = 'text' in reply ? textDeltas(reply.text) : toolDeltas(reply, id);
    return [
      ...said.map((delta) => chunk(delta)),
      chunk({}, 'text' in reply ? 'stop' : 'tool_calls'),
      ...(chat.wantsUsage ? [sse({ ...shell, choices: [], usage: usageOf(chat, reply) })] : []),
      sse('[DONE]'),
    ];
  },

  errorFrame: sse({
    error: { message: 'The server had an error', type: 'server_error', param: null, code: null },
  }),

  errorBody: (status, message) => ({
    error: {
      message,
      type: status >= 500 ? 'server_error' : 'invalid_request_error',
      param: null,
      code: status === 401 ? 'invalid_api_key' : null,
    },
  }),

  models: (names, at) => ({
    object: 'list',
    data: names.map((id) => ({
      id,
      object: 'model',
      created: Math.floor(at.getTime() / 1000),
      owned_by: 'practice',
    })),
  }),
};

const textDeltas = (text: string): unknown[] => [
  { role: 'assistant', content: '', refusal: null },
  ...tokensOf(text).map((content) => ({ content })),
];

/** The name in the first delta, the arguments in pieces after it, as the real API sends them. */
function toolDeltas(reply: { tool: string; command: string }, id: string): unknown[] {
  const call = callOf(reply, id);
  return [
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ index: 0, ...call, function: { ...call.function, arguments: '' } }],
    },
    ...(call.function.arguments.match(/.{1,8}/gs) ?? []).map((piece) => ({
      tool_calls: [{ index: 0, function: { arguments: piece } }],
    })),
  ];
}
