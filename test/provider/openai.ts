/** OpenAI's chat completions as the practice provider speaks them, and how OpenAI says no and lists models. */
import {
  type Format,
  pieces,
  type Reply,
  type Said,
  sse,
  type Turn,
  textOf,
  tokensOf,
  type Usage,
  type Vendor,
} from './script.ts';

type Message = { role?: string; content?: unknown };
type Tool = { function?: { name?: string } };

const roles: Record<string, Said['role']> = { developer: 'system', function: 'tool' };

const usageBody = (usage: Usage) => ({
  prompt_tokens: usage.in,
  completion_tokens: usage.out,
  total_tokens: usage.in + usage.out,
  prompt_tokens_details: { cached_tokens: usage.cached, audio_tokens: 0 },
  completion_tokens_details: {
    reasoning_tokens: usage.reasoning,
    audio_tokens: 0,
    accepted_prediction_tokens: 0,
    rejected_prediction_tokens: 0,
  },
});

const callOf = (reply: { tool: string; command: string }, id: string) => ({
  id: `call_${id}`,
  type: 'function',
  function: { name: reply.tool, arguments: JSON.stringify({ command: reply.command }) },
});

const seconds = (at: Date): number => Math.floor(at.getTime() / 1000);

export const openaiChat: Format = {
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

  whole: ({ chat, reply, usage, id, at }) => ({
    id: `chatcmpl-${id}`,
    object: 'chat.completion',
    created: seconds(at),
    model: chat.model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          ...('text' in reply ? { content: reply.text } : { content: null, tool_calls: [callOf(reply, id)] }),
          refusal: null,
          annotations: [],
        },
        logprobs: null,
        finish_reason: 'text' in reply ? 'stop' : 'tool_calls',
      },
    ],
    ...(usage ? { usage: usageBody(usage) } : {}),
    service_tier: 'default',
    system_fingerprint: 'fp_practice',
  }),

  frames({ chat, reply, usage, id, at }) {
    const shell = {
      id: `chatcmpl-${id}`,
      object: 'chat.completion.chunk',
      created: seconds(at),
      model: chat.model,
      service_tier: 'default',
      system_fingerprint: 'fp_practice',
    };
    // The real one: null on each chunk, then one chunk without choices that has it.
    const noUsage = chat.wantsUsage && usage ? { usage: null } : {};
    const chunk = (delta: unknown, finish: string | null = null) =>
      sse({
        ...shell,
        choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
        ...noUsage,
        obfuscation: id.slice(0, 6),
      });
    const said = 'text' in reply ? textDeltas(reply.text) : toolDeltas(reply, id);
    return [
      ...said.map((delta) => chunk(delta)),
      chunk({}, 'text' in reply ? 'stop' : 'tool_calls'),
      ...(chat.wantsUsage && usage
        ? [sse({ ...shell, choices: [], usage: usageBody(usage), obfuscation: '' })]
        : []),
      sse('[DONE]'),
    ];
  },

  errorFrame: sse({
    error: { message: 'The server had an error', type: 'server_error', param: null, code: null },
  }),
};

const textDeltas = (text: string): unknown[] => [
  { role: 'assistant', content: '', refusal: null },
  ...tokensOf(text).map((content) => ({ content })),
];

/** The name in the first delta, the arguments in pieces after it, as the real API sends them. */
function toolDeltas(reply: Exclude<Reply, { text: string }>, id: Turn['id']): unknown[] {
  const call = callOf(reply, id);
  return [
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ index: 0, ...call, function: { ...call.function, arguments: '' } }],
    },
    ...pieces(call.function.arguments).map((piece) => ({
      tool_calls: [{ index: 0, function: { arguments: piece } }],
    })),
  ];
}

const types: Record<number, string> = { 401: 'invalid_request_error', 429: 'requests' };
const codes: Record<number, string> = {
  401: 'invalid_api_key',
  404: 'model_not_found',
  429: 'rate_limit_exceeded',
};

const modelBody = (id: string, at: Date) => ({
  id,
  object: 'model',
  created: seconds(at),
  owned_by: 'practice',
});

export const openai: Vendor = {
  errorBody: (status, message) => ({
    error: {
      message,
      type: types[status] ?? (status >= 500 ? 'server_error' : 'invalid_request_error'),
      param: null,
      code: codes[status] ?? null,
    },
  }),
  models: (names, at) => ({ object: 'list', data: names.map((id) => modelBody(id, at)) }),
  model: modelBody,
};
