/** Ollama's native chat as the practice provider speaks it: one JSON object a line. */
import { countOf, type Format, replyCount, type Said, textOf, tokensOf } from './script.ts';

type Message = { role?: string; content?: unknown };
type Tool = { function?: { name?: string } };

const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

export const ollama: Format = {
  contentType: 'application/x-ndjson',

  read: (json) => ({
    model: String(json.model),
    said: ((json.messages ?? []) as Message[]).map((message) => ({
      role: String(message.role) as Said['role'],
      text: textOf(message.content),
    })),
    tools: ((json.tools ?? []) as Tool[]).flatMap((tool) => tool.function?.name ?? []),
    stream: json.stream !== false, // the other way round than everywhere else
    wantsUsage: false,
  }),

  whole(chat, reply, _id, at) {
    const call = 'text' in reply ? undefined : { name: reply.tool, arguments: { command: reply.command } };
    return {
      model: chat.model,
      created_at: at.toISOString(),
      message: {
        role: 'assistant',
        content: 'text' in reply ? reply.text : '',
        ...(call ? { tool_calls: [{ function: call }] } : {}),
      },
      done: true,
      done_reason: 'stop',
      total_duration: 5_000_000,
      load_duration: 1_000_000,
      prompt_eval_count: countOf(chat),
      prompt_eval_duration: 1_000_000,
      eval_count: replyCount(reply),
      eval_duration: 3_000_000,
    };
  },

  frames(chat, reply, id, at) {
    const whole = this.whole(chat, reply, id, at) as { message: Record<string, unknown> };
    const part = (message: Record<string, unknown>) =>
      line({
        model: chat.model,
        created_at: at.toISOString(),
        message: { role: 'assistant', ...message },
        done: false,
      });
    const parts =
      'text' in reply
        ? tokensOf(reply.text).map((content) => part({ content }))
        : [part({ content: '', tool_calls: whole.message.tool_calls })];
    return [...parts, line({ ...whole, message: { role: 'assistant', content: '' } })];
  },

  errorFrame: line({ error: 'an error was encountered while running the model' }),

  errorBody: (_status, message) => ({ error: message }),

  models: (names, at) => ({
    models: names.map((name) => ({
      name: `${name}:latest`,
      model: `${name}:latest`,
      modified_at: at.toISOString(),
      size: 0,
      digest: '0'.repeat(64),
      details: {
        parent_model: '',
        format: 'gguf',
        family: 'practice',
        families: ['practice'],
        parameter_size: '0B',
        quantization_level: 'F16',
      },
    })),
  }),
};
