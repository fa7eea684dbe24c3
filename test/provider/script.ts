/** What the practice model says: an echo, or one call of the shell tool. Shared by the wire formats beside it. */

export type Said = { role: 'system' | 'user' | 'assistant' | 'tool'; text: string };

/** A chat request, whichever format it came in. */
export type Chat = {
  model: string;
  said: Said[];
  /** Names of the tools on offer. */
  tools: string[];
  stream: boolean;
  /** OpenAI only: `stream_options.include_usage`. */
  wantsUsage: boolean;
};

export type Reply = { text: string } | { tool: string; command: string };

/** Tokens of one exchange. `in` holds the cached and the written, `out` the reasoning; each format splits them its own way. */
export type Usage = { in: number; cached: number; cacheWrite: number; out: number; reasoning: number };

/** `run: ls -l` anywhere on a line, or a message that starts with `run `. */
const order = /(?:^run\s+|\brun:\s*)(\S[^\n]*)/i;

export function replyTo({ said, tools }: Chat): Reply {
  const last = said.at(-1);
  if (last?.role === 'tool') {
    return { text: `The tool answered:\n${last.text.trimEnd().replace(/^/gm, '> ')}` };
  }
  const text = said.findLast((each) => each.role === 'user')?.text ?? '';
  const shell = tools.find((name) => /(^|[^a-z])shell$/i.test(name));
  const command = order.exec(text.trim())?.[1];
  if (shell && command) return { tool: shell, command };
  return { text: `You said: ${text}` };
}

/** Words with the space before them, about as a tokenizer cuts. */
export const tokensOf = (text: string): string[] => text.match(/\s*\S+|\s+$/g) ?? [];

/** Of one text, with what a chat template adds around it. */
export const countOf = (text: string): number => tokensOf(text).length + 3;

/** A model whose name ends in `-cached` counts a fixed exchange of which most came from a cache: prices can be checked by hand. */
export const cachedUsage: Usage = { in: 1000, cached: 800, cacheWrite: 100, out: 50, reasoning: 20 };

export function usageOf(chat: Chat, reply: Reply): Usage {
  if (chat.model.endsWith('-cached')) return cachedUsage;
  const out = 'text' in reply ? tokensOf(reply.text).length : tokensOf(reply.command).length + 5;
  const input = chat.said.reduce((sum, each) => sum + countOf(each.text), 0);
  return { in: input, cached: 0, cacheWrite: 0, out, reasoning: 0 };
}

/** Text of a content field: a string, or the text parts of a list, however deep. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return content.map(textOf).filter(Boolean).join('\n');
  if (typeof content !== 'object' || content === null) return '';
  const part = content as Record<string, unknown>;
  return textOf(part.text ?? part.content ?? part.parts ?? '');
}

/** All that a wire format needs for its answer. `id` is a digest of what was said; `usage` is absent on a bad day. */
export type Turn = { chat: Chat; reply: Reply; usage: Usage | undefined; id: string; at: Date };

/** How one vendor says no, and lists what it has. */
export type Vendor = {
  errorBody(status: number, message: string): unknown;
  models(names: readonly string[], at: Date): unknown;
  /** Undefined where there is no such model. */
  model?(name: string, at: Date): unknown;
};

/** One chat-like wire format. A frame is what a real server writes at once. */
export type Format = {
  contentType: string;
  /** Of an answer that is not streamed, where it is not plain `application/json`. */
  wholeType?: string;
  /** `model` stands in the path of some. */
  read(json: Record<string, unknown>, model: string): Chat;
  whole(turn: Turn): unknown;
  frames(turn: Turn): string[];
  /** An error in the midst of a stream that began well. */
  errorFrame: string;
};

export const sse = (data: unknown): string =>
  `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;

/** With the name of the event before it, which is the data's type. */
export const namedSse = (data: { type: string } & Record<string, unknown>): string =>
  `event: ${data.type}\n${sse(data)}`;

/** Text in the small pieces in which arguments of a call are streamed. */
export const pieces = (text: string): string[] => text.match(/.{1,8}/gs) ?? [];
