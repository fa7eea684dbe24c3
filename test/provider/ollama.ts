/** Ollama's native chat and generate as the practice provider speaks them: one JSON object a line. And what it says about its models. */
import {
  type Chat,
  type Format,
  type Said,
  type Turn,
  textOf,
  tokensOf,
  type Usage,
  type Vendor,
} from './script.ts';

type Message = { role?: string; content?: unknown };
type Tool = { function?: { name?: string } };

export const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

const ended = (usage: Usage | undefined) => ({
  done: true,
  done_reason: 'stop',
  total_duration: 5_000_000,
  load_duration: 1_000_000,
  ...(usage
    ? {
        prompt_eval_count: usage.in,
        prompt_eval_duration: 1_000_000,
        eval_count: usage.out,
        eval_duration: 3_000_000,
      }
    : {}),
});

const headOf = ({ chat, at }: Turn) => ({ model: chat.model, created_at: at.toISOString() });

const contentType = 'application/x-ndjson';
const wholeType = 'application/json; charset=utf-8';
const errorFrame = line({ error: 'an error was encountered while running the model' });

export const ollamaChat: Format = {
  contentType,
  wholeType,
  errorFrame,

  read: (json): Chat => ({
    model: String(json.model),
    said: ((json.messages ?? []) as Message[]).map((message) => ({
      role: String(message.role) as Said['role'],
      text: textOf(message.content),
    })),
    tools: ((json.tools ?? []) as Tool[]).flatMap((tool) => tool.function?.name ?? []),
    stream: json.stream !== false, // the other way round than everywhere else
    wantsUsage: false,
  }),

  whole: (turn) => ({ ...headOf(turn), message: messageOf(turn), ...ended(turn.usage) }),

  frames(turn) {
    const part = (message: Record<string, unknown>) =>
      line({ ...headOf(turn), message: { role: 'assistant', ...message }, done: false });
    const parts =
      'text' in turn.reply
        ? tokensOf(turn.reply.text).map((content) => part({ content }))
        : [part(messageOf(turn))];
    return [
      ...parts,
      line({ ...headOf(turn), message: { role: 'assistant', content: '' }, ...ended(turn.usage) }),
    ];
  },
};

const messageOf = ({ reply }: Turn) => ({
  role: 'assistant',
  content: 'text' in reply ? reply.text : '',
  ...('text' in reply
    ? {}
    : { tool_calls: [{ function: { name: reply.tool, arguments: { command: reply.command } } }] }),
});

export const ollamaGenerate: Format = {
  contentType,
  wholeType,
  errorFrame,

  read: (json): Chat => ({
    model: String(json.model),
    said: [
      ...(json.system === undefined ? [] : [{ role: 'system' as const, text: textOf(json.system) }]),
      { role: 'user', text: textOf(json.prompt) },
    ],
    tools: [],
    stream: json.stream !== false,
    wantsUsage: false,
  }),

  whole: (turn) => ({
    ...headOf(turn),
    response: 'text' in turn.reply ? turn.reply.text : '',
    ...ended(turn.usage),
    context: [1, 2, 3],
  }),

  frames: (turn) => [
    ...tokensOf('text' in turn.reply ? turn.reply.text : '').map((response) =>
      line({ ...headOf(turn), response, done: false }),
    ),
    line({ ...headOf(turn), response: '', ...ended(turn.usage), context: [1, 2, 3] }),
  ],
};

const details = {
  parent_model: '',
  format: 'gguf',
  family: 'practice',
  families: ['practice'],
  parameter_size: '0B',
  quantization_level: 'F16',
};

const digest = '0'.repeat(64);
const sizeBytes = 1_000_000;

export const ollama: Vendor = {
  errorBody: (_status, message) => ({ error: message }),
  models: (names, at) => ({
    models: names.map((name) => ({
      name: `${name}:latest`,
      model: `${name}:latest`,
      modified_at: at.toISOString(),
      size: sizeBytes,
      digest,
      details,
    })),
  }),
};

/** What is loaded into memory now: the first. */
export const running = (names: readonly string[], at: Date) => ({
  models: names.slice(0, 1).map((name) => ({
    name: `${name}:latest`,
    model: `${name}:latest`,
    size: sizeBytes,
    digest,
    details,
    expires_at: new Date(at.getTime() + 300_000).toISOString(),
    size_vram: 0,
    context_length: 4096,
  })),
});

export const shown = (at: Date) => ({
  license: 'none',
  modelfile: '# practice',
  template: '{{ .Prompt }}',
  details,
  model_info: { 'general.architecture': 'practice', 'practice.context_length': 4096 },
  capabilities: ['completion', 'tools'],
  modified_at: at.toISOString(),
});

/** The lines of a pull, as `ollama pull` shows them. */
export const pulled = (): string[] => [
  line({ status: 'pulling manifest' }),
  ...[0, 0.25, 0.5, 1].map((share) =>
    line({
      status: `pulling ${digest.slice(0, 12)}`,
      digest: `sha256:${digest}`,
      total: sizeBytes,
      ...(share > 0 ? { completed: sizeBytes * share } : {}),
    }),
  ),
  line({ status: 'verifying sha256 digest' }),
  line({ status: 'writing manifest' }),
  line({ status: 'success' }),
];

export const unknownPull = line({ error: 'pull model manifest: file does not exist' });
