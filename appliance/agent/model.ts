/** One call of a model through the llm door, in the OpenAI wire format. The turn calls it once a round. */
import { createParser } from 'eventsource-parser';
import { Failure, plain } from './failure.ts';

export type ToolCall = { id: string; type: 'function'; function: { name: string; arguments: string } };

export type Message =
  | { role: 'system' | 'user'; content: string }
  | { role: 'assistant'; content: string | null; tool_calls?: ToolCall[] }
  | { role: 'tool'; tool_call_id: string; content: string };

export type Tool = {
  type: 'function';
  function: { name: string; description: string; parameters: Record<string, unknown> };
};

export type Model = { baseUrl: string; key: string; name: string };

export type Reply = { text: string; toolCalls: ToolCall[]; finish: string };

export type Ask = {
  messages: Message[];
  tools: Tool[];
  signal: AbortSignal;
  onText: (text: string) => void;
};

// One event holds one delta; a provider that sends more than this in one is broken.
const maxEventChars = 1024 * 1024;
const maxToolCalls = 64;

/**
 * Gives the reply when the model has ended it, and throws a Failure when it was cut, malformed or refused: a reply is
 * complete with a `finish_reason` or `[DONE]`, never because the connection closed.
 */
export async function callModel(model: Model, ask: Ask): Promise<Reply> {
  const response = await post(model, ask);
  if (!response.ok || !response.body) throw await refusal(response);
  const reply: Reply = { text: '', toolCalls: [], finish: '' };
  let failure: Failure | undefined;
  let done = false;
  const parser = createParser({
    maxBufferSize: maxEventChars,
    onEvent: ({ data }) => {
      if (failure) return;
      if (data === '[DONE]') {
        done = true;
        return;
      }
      try {
        take(reply, data, ask.onText);
      } catch (error) {
        failure = asFailure(error);
      }
    },
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded')
        failure = malformed('an event of over a million characters');
    },
  });
  const decoder = new TextDecoder();
  try {
    for await (const bytes of response.body) {
      parser.feed(decoder.decode(bytes, { stream: true }));
      if (failure || done) break;
    }
  } catch (error) {
    ask.signal.throwIfAborted();
    if (!failure)
      throw new Failure('model-cut', 502, `the model's answer was cut off (${plain(error)})`, error);
  }
  if (failure) throw failure;
  if (!done && reply.finish === '')
    throw new Failure('model-cut', 502, "the model's answer was cut off before its end");
  return reply;
}

async function post(model: Model, ask: Ask): Promise<Response> {
  try {
    return await fetch(`${model.baseUrl}/chat/completions`, {
      method: 'POST',
      redirect: 'error',
      signal: ask.signal,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${model.key}` },
      body: JSON.stringify({
        model: model.name,
        stream: true,
        messages: ask.messages,
        ...(ask.tools.length > 0 ? { tools: ask.tools } : {}),
      }),
    });
  } catch (error) {
    ask.signal.throwIfAborted();
    throw new Failure('model-unreachable', 502, `the llm door does not answer (${plain(error)})`, error);
  }
}

type Chunk = {
  error?: unknown;
  choices?: {
    delta?: {
      content?: unknown;
      tool_calls?: { index?: number; id?: string; function?: { name?: string; arguments?: string } }[];
    };
    finish_reason?: string | null;
  }[];
};

function take(reply: Reply, data: string, onText: (text: string) => void): void {
  let chunk: Chunk;
  try {
    chunk = JSON.parse(data) as Chunk;
  } catch {
    throw malformed('an event that is not JSON');
  }
  // Providers report a failure inside a 200 stream: it must not look like an end.
  if (chunk?.error)
    throw new Failure('model-error', 502, `the model failed: ${words(chunk) ?? 'no reason given'}`);
  const choice = chunk?.choices?.[0];
  if (!choice) return; // a usage chunk has none
  const text = choice.delta?.content;
  if (typeof text === 'string' && text !== '') {
    reply.text += text;
    onText(text);
  }
  for (const part of choice.delta?.tool_calls ?? []) {
    // Some servers leave the index out: a new id is then a new call, no id goes on with the last one.
    const at = part.index ?? (part.id ? reply.toolCalls.length : Math.max(0, reply.toolCalls.length - 1));
    if (!Number.isInteger(at) || at < 0 || at >= maxToolCalls) throw malformed('a tool call out of range');
    const call = reply.toolCalls[at] ?? newCall(part.id);
    reply.toolCalls[at] = call;
    call.function.name += part.function?.name ?? '';
    call.function.arguments += part.function?.arguments ?? '';
  }
  if (typeof choice.finish_reason === 'string') reply.finish = choice.finish_reason;
}

const newCall = (id: string | undefined): ToolCall => ({
  id: id || `call_${crypto.randomUUID()}`,
  type: 'function',
  function: { name: '', arguments: '' },
});

const asFailure = (error: unknown): Failure =>
  error instanceof Failure ? error : malformed('an event of another shape');

const malformed = (what: string): Failure =>
  new Failure('model-malformed', 502, `the model's answer is malformed: ${what}`);

/** The door refuses with a reason and a hint; both are what the operator needs to read. */
async function refusal(response: Response): Promise<Failure> {
  const body = (await response.text().catch(() => '')).slice(0, 16_384);
  let said: string | undefined;
  try {
    said = words(JSON.parse(body));
  } catch {
    said = body.trim().slice(0, 500);
  }
  return new Failure(
    'model-refused',
    response.status >= 400 ? response.status : 502,
    said || `the llm door answered ${response.status} without a reason`,
  );
}

/** OpenAI's `{error:{message}}`, Ollama's `{error:"text"}` and problem+json's `{title, hint}`, with Holdfast's hint where there is one. */
function words(json: unknown): string | undefined {
  const outer = (typeof json === 'object' && json !== null ? json : {}) as Record<string, unknown>;
  if (typeof outer.error === 'string') return outer.error;
  const inner = (typeof outer.error === 'object' && outer.error ? outer.error : outer) as Record<
    string,
    unknown
  >;
  const message = [inner.message, inner.reason, inner.title].find(
    (each) => typeof each === 'string' && each !== '',
  ) as string | undefined;
  const hint = [inner.hint, outer.hint].find((each) => typeof each === 'string' && each !== '') as
    | string
    | undefined;
  if (!message) return hint;
  return hint && !message.includes(hint) ? `${message.replace(/[.\s]+$/, '')}. ${hint}` : message;
}
