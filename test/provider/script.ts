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

export const countOf = (chat: Chat): number =>
  chat.said.reduce((sum, each) => sum + tokensOf(each.text).length + 3, 0);

export const replyCount = (reply: Reply): number =>
  'text' in reply ? tokensOf(reply.text).length : tokensOf(reply.command).length + 5;

/** Text of a content field: a string, or the text parts of a list, however deep. */
export function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) return content.map(textOf).filter(Boolean).join('\n');
  if (typeof content !== 'object' || content === null) return '';
  const part = content as Record<string, unknown>;
  return textOf(part.text ?? part.content ?? '');
}

/** One wire format. A frame is what a real server writes at once. */
export type Format = {
  contentType: string;
  read(json: Record<string, unknown>): Chat;
  whole(chat: Chat, reply: Reply, id: string, at: Date): unknown;
  frames(chat: Chat, reply: Reply, id: string, at: Date): string[];
  /** An error in the midst of a stream that began well. */
  errorFrame: string;
  errorBody(status: number, message: string): unknown;
  models(names: readonly string[], at: Date): unknown;
};
