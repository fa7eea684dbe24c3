/** OpenAI's responses as the practice provider speaks them, with the real sequence of events. */
import {
  type Format,
  namedSse,
  pieces,
  type Said,
  type Turn,
  textOf,
  tokensOf,
  type Usage,
} from './script.ts';

type Item = { type?: string; role?: string; content?: unknown; output?: unknown };

const usageBody = (usage: Usage) => ({
  input_tokens: usage.in,
  input_tokens_details: { cached_tokens: usage.cached },
  output_tokens: usage.out,
  output_tokens_details: { reasoning_tokens: usage.reasoning },
  total_tokens: usage.in + usage.out,
});

function saidBy(item: Item): Said[] {
  if (item.type === 'function_call_output') return [{ role: 'tool', text: textOf(item.output) }];
  if (item.role === undefined) return [];
  const role = item.role === 'developer' ? 'system' : item.role;
  return [{ role: role as Said['role'], text: textOf(item.content) }];
}

const itemOf = ({ reply, id }: Turn, status: string) =>
  'text' in reply
    ? { id: `msg_${id}`, type: 'message', status, content: [partOf(reply.text)], role: 'assistant' }
    : {
        id: `fc_${id}`,
        type: 'function_call',
        status,
        arguments: JSON.stringify({ command: reply.command }),
        call_id: `call_${id}`,
        name: reply.tool,
      };

const partOf = (text: string) => ({ type: 'output_text', annotations: [], logprobs: [], text });

const responseOf = (turn: Turn, status: 'in_progress' | 'completed') => ({
  id: `resp_${turn.id}`,
  object: 'response',
  created_at: Math.floor(turn.at.getTime() / 1000),
  status,
  background: false,
  error: null,
  incomplete_details: null,
  instructions: null,
  max_output_tokens: null,
  model: turn.chat.model,
  output: status === 'completed' ? [itemOf(turn, status)] : [],
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  // What the door adds to a request (`store`, `user`) is not echoed here, though the real one does: see sdks.test.ts.
  temperature: 1,
  text: { format: { type: 'text' } },
  tool_choice: 'auto',
  tools: [],
  top_p: 1,
  truncation: 'disabled',
  usage: status === 'completed' && turn.usage ? usageBody(turn.usage) : null,
  metadata: {},
});

export const openaiResponses: Format = {
  contentType: 'text/event-stream; charset=utf-8',

  read: (json) => ({
    model: String(json.model),
    said: [
      ...(json.instructions === undefined
        ? []
        : [{ role: 'system' as const, text: textOf(json.instructions) }]),
      ...(typeof json.input === 'string'
        ? [{ role: 'user' as const, text: json.input }]
        : ((json.input ?? []) as Item[]).flatMap(saidBy)),
    ],
    tools: ((json.tools ?? []) as { name?: string }[]).flatMap((tool) => tool.name ?? []),
    stream: json.stream === true,
    wantsUsage: false,
  }),

  whole: (turn) => responseOf(turn, 'completed'),

  frames(turn) {
    const { reply, id } = turn;
    const item = itemOf(turn, 'completed');
    const begun =
      'text' in reply
        ? { ...item, status: 'in_progress', content: [] }
        : { ...item, status: 'in_progress', arguments: '' };
    const where = { item_id: item.id, output_index: 0 };
    const part = { ...where, content_index: 0 };
    const text = 'text' in reply ? reply.text : '';
    const call = JSON.stringify({ command: 'text' in reply ? '' : reply.command });
    const middle =
      'text' in reply
        ? [
            { type: 'response.content_part.added', ...part, part: partOf('') },
            ...tokensOf(text).map((delta) => ({
              type: 'response.output_text.delta',
              ...part,
              delta,
              logprobs: [],
              obfuscation: id.slice(0, 6),
            })),
            { type: 'response.output_text.done', ...part, text, logprobs: [] },
            { type: 'response.content_part.done', ...part, part: partOf(text) },
          ]
        : [
            ...pieces(call).map((delta) => ({
              type: 'response.function_call_arguments.delta',
              ...where,
              delta,
            })),
            { type: 'response.function_call_arguments.done', ...where, arguments: call },
          ];
    return [
      { type: 'response.created', response: responseOf(turn, 'in_progress') },
      { type: 'response.in_progress', response: responseOf(turn, 'in_progress') },
      { type: 'response.output_item.added', output_index: 0, item: begun },
      ...middle,
      { type: 'response.output_item.done', output_index: 0, item },
      { type: 'response.completed', response: responseOf(turn, 'completed') },
    ].map(({ type, ...event }, at) => namedSse({ type, sequence_number: at, ...event }));
  },

  errorFrame: namedSse({
    type: 'error',
    sequence_number: 2,
    code: 'server_error',
    message: 'The server had an error',
    param: null,
  }),
};
