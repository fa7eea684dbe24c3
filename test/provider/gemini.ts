/** Gemini's generateContent as the practice provider speaks it: whole, as SSE, and as one long JSON array. */
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

type Part = { text?: string; functionCall?: unknown; functionResponse?: { response?: unknown } };
type Content = { role?: string; parts?: Part[] };
type Tool = { functionDeclarations?: { name?: string }[] };

/** Google counts thoughts beside the candidates, not in them. */
const usageBody = (usage: Usage) => ({
  promptTokenCount: usage.in,
  candidatesTokenCount: usage.out - usage.reasoning,
  totalTokenCount: usage.in + usage.out,
  ...(usage.cached > 0 ? { cachedContentTokenCount: usage.cached } : {}),
  promptTokensDetails: [{ modality: 'TEXT', tokenCount: usage.in }],
  ...(usage.reasoning > 0 ? { thoughtsTokenCount: usage.reasoning } : {}),
});

function saidBy({ role, parts = [] }: Content): Said {
  const results = parts.filter((part) => part.functionResponse !== undefined);
  if (results.length > 0) {
    const said = results.map(({ functionResponse }) => JSON.stringify(functionResponse?.response));
    return { role: 'tool', text: said.join('\n') };
  }
  return { role: role === 'model' ? 'assistant' : 'user', text: textOf(parts) };
}

function read(json: Record<string, unknown>, model: string): Chat {
  const system = json.systemInstruction ?? json.system_instruction;
  return {
    model,
    said: [
      ...(system === undefined ? [] : [{ role: 'system' as const, text: textOf(system) }]),
      ...((json.contents ?? []) as Content[]).map(saidBy),
    ],
    tools: ((json.tools ?? []) as Tool[])
      .flatMap((tool) => tool.functionDeclarations ?? [])
      .flatMap((declaration) => declaration.name ?? []),
    stream: false,
    wantsUsage: false,
  };
}

function chunk({ chat, usage, id }: Turn, parts: unknown[], last: boolean) {
  return {
    candidates: [{ content: { parts, role: 'model' }, ...(last ? { finishReason: 'STOP' } : {}), index: 0 }],
    ...(usage ? { usageMetadata: usageBody(usage) } : {}),
    modelVersion: chat.model,
    responseId: id,
  };
}

const partsOf = (reply: Turn['reply']): unknown[] =>
  'text' in reply
    ? [{ text: reply.text }]
    : [{ functionCall: { name: reply.tool, args: { command: reply.command } } }];

/** Counts grow while it speaks: the last one wins. */
function chunksOf(turn: Turn): unknown[] {
  const { reply, usage } = turn;
  if (!('text' in reply)) return [chunk(turn, partsOf(reply), true)];
  const words = tokensOf(reply.text);
  return words.map((text, at) => {
    const last = at === words.length - 1;
    const sofar = usage && !last ? { ...usage, out: Math.min(usage.out, at + 1), reasoning: 0 } : usage;
    return chunk({ ...turn, usage: sofar }, [{ text }], last);
  });
}

const error = { error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } };
const pretty = (value: unknown): string => JSON.stringify(value, null, 2);

const whole = (turn: Turn): unknown => chunk(turn, partsOf(turn.reply), true);

/** `?alt=sse`. Google ends its lines with CRLF. */
export const geminiSse: Format = {
  contentType: 'text/event-stream',
  wholeType: 'application/json; charset=UTF-8',
  read: (json, model) => ({ ...read(json, model), stream: true }),
  whole,
  frames: (turn) => chunksOf(turn).map((each) => `data: ${JSON.stringify(each)}\r\n\r\n`),
  errorFrame: `data: ${JSON.stringify(error)}\r\n\r\n`,
};

/** Without `alt`: the elements of an array as they come. */
export const geminiArray: Format = {
  ...geminiSse,
  contentType: 'application/json; charset=UTF-8',
  frames(turn) {
    const all = chunksOf(turn).map((each, at) => `${at === 0 ? '[' : ',\r\n'}${pretty(each)}`);
    return [...all, '\n]'];
  },
  errorFrame: `,\r\n${pretty(error)}\n]`,
};

export const geminiWhole: Format = { ...geminiSse, read };

const states: Record<number, string> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
};

const modelBody = (name: string) => ({
  name: `models/${name}`,
  version: '001',
  displayName: name,
  inputTokenLimit: 1_048_576,
  outputTokenLimit: 65_536,
  supportedGenerationMethods: ['generateContent', 'countTokens', 'embedContent'],
});

export const gemini: Vendor = {
  errorBody: (code, message) => ({ error: { code, message, status: states[code] ?? 'UNKNOWN' } }),
  models: (names) => ({ models: names.map(modelBody) }),
  model: modelBody,
};
