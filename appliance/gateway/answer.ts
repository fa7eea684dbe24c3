/** What a guest sent, read as what a liar may have written: bounded, and nothing but text comes through. guest.ts hands it the response. */
import type { IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';
import { Problem } from '../problem.ts';
import type { GuestLimits } from './limits.ts';
import { createPlaintext, plainLine } from './plaintext.ts';

/** Throws what cannot be read as a stream of events, a refusal in the guest's own words included. */
export async function mustBeStream(res: IncomingMessage, limits: GuestLimits): Promise<void> {
  const status = res.statusCode ?? 0;
  if (status >= 300 && status < 400) throw broken(`it answered ${status} and would send us elsewhere`);
  if (status !== 200) throw refused(status, await readText(res, 64 * 1024));
  const type = res.headers['content-type'] ?? '';
  if (!/^text\/event-stream\b/i.test(type))
    throw broken(`it answered ${plainLine(type, 60) || 'no type'}, not an event stream`);
  const encoding = res.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw broken('it compressed the answer, which was not asked for');
  const length = Number(res.headers['content-length'] ?? 0);
  if (length > limits.bytes) throw broken(`it announced ${length} bytes`);
}

/** Yields cleaned text; returns at `[DONE]` and throws at anything else that ends. */
export async function* readStream(
  res: IncomingMessage,
  limits: GuestLimits,
  progressed: () => void,
): AsyncGenerator<string> {
  const plain = createPlaintext();
  const decoder = new TextDecoder();
  let texts: string[] = [];
  let failure: Problem | undefined;
  let done = false;
  let bytes = 0;
  let chars = 0;
  const parser = createParser({
    maxBufferSize: limits.eventChars,
    onComment: progressed,
    onEvent: ({ data }) => {
      progressed();
      if (done || failure) return;
      if (data === '[DONE]') {
        done = true;
        return;
      }
      const taken = contentOf(data, limits);
      if (typeof taken === 'string') texts.push(taken);
      else failure = taken;
    },
    onError: (error) => {
      // Other complaints are about lines that say nothing to us.
      if (error.type === 'max-buffer-size-exceeded')
        failure ??= broken(`it sent an event of over ${limits.eventChars} characters`);
    },
  });
  for await (const chunk of res as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.bytes) throw broken(`it sent over ${limits.bytes} bytes`);
    parser.feed(decoder.decode(chunk, { stream: true }));
    const text = plain.feed(texts.join(''));
    texts = [];
    chars += text.length;
    if (text !== '') yield text;
    if (failure) throw failure;
    if (chars > limits.textChars) throw broken(`it said over ${limits.textChars} characters`);
    if (done) return;
  }
  throw new Problem(
    'guest-cut',
    502,
    'the answer was cut off before its end',
    'What came until then is shown. Say it again, or look at the state with /status.',
  );
}

type Chunk = { error?: unknown; choices?: { delta?: { content?: unknown } | null }[] };

/** Nothing but `delta.content` is taken: claimed tool calls, roles, names and links are the guest's own business. */
function contentOf(data: string, limits: GuestLimits): string | Problem {
  if (depth(data) > limits.jsonDepth) return broken('it sent JSON nested too deep');
  let chunk: Chunk | null;
  try {
    chunk = JSON.parse(data) as Chunk | null;
  } catch {
    return broken('it sent an event that is not JSON');
  }
  if (chunk?.error) return refused(502, data);
  const choice = Array.isArray(chunk?.choices) ? chunk.choices[0] : undefined;
  const content = choice?.delta?.content;
  return typeof content === 'string' ? content : '';
}

/** How deep brackets nest, without parsing. One pass over the text: a pattern with quotes in it could be made to backtrack. */
function depth(json: string): number {
  let deepest = 0;
  let now = 0;
  let inString = false;
  for (let at = 0; at < json.length; at += 1) {
    const character = json[at];
    if (inString) {
      if (character === '\\') at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '[' || character === '{') {
      now += 1;
      deepest = Math.max(deepest, now);
    } else if (character === ']' || character === '}') now -= 1;
  }
  return deepest;
}

async function readText(res: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of res as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The guest's own words about why it failed, as OpenAI error object; they are shown as its words, not as ours. */
function refused(status: number, body: string): Problem {
  let said: unknown;
  try {
    const { error } = (depth(body) > 32 ? {} : JSON.parse(body)) as {
      error?: { message?: unknown } | string;
    };
    said = typeof error === 'string' ? error : error?.message;
  } catch {
    said = undefined;
  }
  const words = typeof said === 'string' ? plainLine(said, 1000) : '';
  return new Problem('guest-failed', 502, words || `the agent answered ${status} without a reason`, '');
}

export const broken = (what: string): Problem =>
  new Problem(
    'guest-broken',
    502,
    `the agent's answer was refused: ${what}`,
    'The program in this world does not keep the guest contract, or was taken over.',
  );
