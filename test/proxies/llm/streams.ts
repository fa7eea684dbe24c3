/** The same question as a stream in each vendor's format, and the words of each answer. For the tests of bad days beside it. */
import type { KindName } from '../../../proxies/llm/kinds/kind.ts';

type Asked = { path: string; body: Record<string, unknown> };

export type Streaming = {
  kind: KindName;
  /** The name in a test's title. */
  name: string;
  ask(text: string, model?: string): Asked;
  /** The words of a whole answer, as an SDK would join them. */
  words(stream: string): string;
  /** What stands at the end of an answer that is whole, and nowhere else. */
  end: RegExp;
  /** An error in the stream's own format. */
  error: RegExp;
};

const user = (content: string) => [{ role: 'user', content }];

const events = (stream: string): Record<string, unknown>[] =>
  stream
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
    .map((line) => JSON.parse(line.slice(6)) as Record<string, unknown>);

const joined = (stream: string, pick: (event: never) => string | undefined): string =>
  events(stream)
    .map((event) => pick(event as never) ?? '')
    .join('');

type Delta = { delta?: { text?: string } };
type Choice = { choices: { delta: { content?: string } }[] };
type Candidate = { candidates: { content: { parts: { text: string }[] } }[] };
type Line = { message: { content: string } };
type ResponseEvent = { type: string; delta?: string };

export const kinds: Streaming[] = [
  {
    kind: 'openai',
    name: 'chat completions',
    ask: (text, model = 'practice') => ({
      path: '/v1/chat/completions',
      body: { model, messages: user(text), stream: true },
    }),
    words: (stream) => joined(stream, (event: Choice) => event.choices[0]?.delta.content),
    end: /\[DONE\]/,
    error: /data: \{"error":\{"message":/,
  },
  {
    kind: 'openai',
    name: 'responses',
    ask: (text, model = 'practice') => ({
      path: '/v1/responses',
      body: { model, input: text, stream: true, store: false },
    }),
    words: (stream) =>
      joined(stream, (event: ResponseEvent) =>
        event.type === 'response.output_text.delta' ? event.delta : undefined,
      ),
    end: /event: response\.completed/,
    error: /event: error\ndata: \{"type":"error"/,
  },
  {
    kind: 'anthropic',
    name: 'messages',
    ask: (text, model = 'practice') => ({
      path: '/v1/messages',
      body: { model, messages: user(text), max_tokens: 1000, stream: true },
    }),
    words: (stream) => joined(stream, (event: Delta) => event.delta?.text),
    end: /message_stop/,
    error: /event: error\ndata: \{"type":"error"/,
  },
  {
    kind: 'gemini',
    name: 'streamGenerateContent',
    ask: (text, model = 'practice') => ({
      path: `/v1beta/models/${model}:streamGenerateContent?alt=sse`,
      body: { contents: [{ role: 'user', parts: [{ text }] }] },
    }),
    words: (stream) => joined(stream, (event: Candidate) => event.candidates[0]?.content.parts[0]?.text),
    end: /"finishReason":"STOP"/,
    error: /data: \{"error":\{"code":/,
  },
  {
    kind: 'ollama',
    name: 'chat',
    ask: (text, model = 'practice') => ({ path: '/api/chat', body: { model, messages: user(text) } }),
    words: (stream) =>
      stream
        .trim()
        .split(/\r?\n/)
        .map((line) => (JSON.parse(line) as Line).message.content)
        .join(''),
    end: /"done":true/,
    error: /\{"error":"/,
  },
];

export const ask = (
  url: string,
  { path, body }: Asked,
  signal: AbortSignal | null = null,
): Promise<Response> =>
  fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });

/** What was heard before it ended, and whether it ended as it should. */
export async function heard(answer: Response): Promise<{ text: string; cut: boolean }> {
  let text = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of answer.body ?? []) text += decoder.decode(chunk, { stream: true });
    return { text, cut: false };
  } catch {
    return { text, cut: true };
  }
}

/** The first chunks, no more. */
export async function textOf(answer: Response, chunks: number): Promise<string> {
  const reader = answer.body?.getReader();
  let text = '';
  for (let read = 0; read < chunks; read++) {
    text += Buffer.from((await reader?.read())?.value ?? []).toString('utf8');
  }
  reader?.releaseLock();
  return text;
}
