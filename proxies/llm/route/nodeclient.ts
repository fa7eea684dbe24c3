/** A client of one Ollama node: the `ollama` package over a fetch of ours, which goes to that node or nowhere and never holds more than a line. Used by pull.ts. */
import { Ollama } from 'ollama/browser';
import { type Dispatcher, fetch as undiciFetch } from 'undici';
import { type Denial, deny, quoted } from '../denial.ts';
import type { Provider } from '../kinds/kind.ts';
import { ollama } from '../kinds/ollama.ts';

/** Thrown by what a node does wrong; the denial is for people. */
export class NodeFault extends Error {
  readonly denial: Denial;
  constructor(denial: Denial) {
    super(denial.reason);
    this.name = 'NodeFault';
    this.denial = denial;
  }
}

/** Some 600 bytes for each model. */
const maxListBytes = 4 * 1024 * 1024;
/** A line of progress has some 200 bytes. */
const maxLineBytes = 64 * 1024;
const maxErrorBytes = 16 * 1024;

/** What it is used for. */
const paths = new Set(['/api/tags', '/api/pull']);

/** Ends with the signal. Rejects with NodeFault for what the node says, with another error for what the connection does. */
export function createClient(provider: Provider, dispatcher: Dispatcher, signal: AbortSignal): Ollama {
  const { origin, pathname } = new URL(provider.baseUrl);
  const base = ollama.upstreamPath(pathname.replace(/\/+$/, ''), '');
  const fetch = async (input: unknown, init: { method?: string; body?: unknown } = {}): Promise<Response> => {
    const asked = new URL(String(input));
    const path = asked.pathname.slice(base.length);
    if (asked.origin !== origin || asked.pathname !== base + path || !paths.has(path)) {
      throw new NodeFault(fault(provider, 'another address was asked for'));
    }
    const answer = await undiciFetch(asked, {
      method: init.method ?? 'GET',
      // What the package would send names the machine; a node needs none of it.
      headers: { 'content-type': 'application/json', accept: 'application/json', 'user-agent': 'holdfast' },
      body: typeof init.body === 'string' ? init.body : null,
      redirect: 'error',
      signal,
      dispatcher,
    });
    if (!answer.ok) throw new NodeFault(refusal(provider, answer.status, await beginning(answer.body)));
    const bounded = path === '/api/tags' ? upTo(provider, maxListBytes) : lines(provider);
    const body = answer.body?.pipeThrough(bounded) ?? null;
    return new Response(body as ConstructorParameters<typeof Response>[0], {
      headers: { 'content-type': 'application/json' },
    });
  };
  return new Ollama({ host: origin + base, fetch: fetch as typeof globalThis.fetch });
}

/** Each line is one JSON object of bounded length. The package would keep an endless line in memory, and log one that it cannot read. */
function lines(provider: Provider): TransformStream<Uint8Array, Uint8Array> {
  let held = Buffer.alloc(0);
  const pass = (line: Buffer, to: TransformStreamDefaultController<Uint8Array>): void => {
    const text = line.toString('utf8').trim();
    if (text === '') return;
    const step = objectOf(text);
    if (!step) throw new NodeFault(fault(provider, 'a line is no JSON object'));
    if (Object.hasOwn(step, 'error')) throw new NodeFault(refusal(provider, 200, text));
    to.enqueue(Buffer.from(`${text}\n`));
  };
  return new TransformStream({
    transform(chunk, to) {
      held = Buffer.concat([held, chunk]);
      for (let end = held.indexOf(10); end >= 0; end = held.indexOf(10)) {
        pass(held.subarray(0, end), to);
        held = held.subarray(end + 1);
      }
      if (held.length > maxLineBytes) throw new NodeFault(fault(provider, 'a line has no end'));
    },
    flush: (to) => pass(held, to),
  });
}

function upTo(provider: Provider, maxBytes: number): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  return new TransformStream({
    transform(chunk, to) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new NodeFault(fault(provider, 'its list is too long'));
      to.enqueue(chunk);
    },
  });
}

async function beginning(body: AsyncIterable<Uint8Array> | null): Promise<string> {
  const held: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes > maxErrorBytes) break;
  }
  return Buffer.concat(held).toString('utf8').slice(0, maxErrorBytes);
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Hostile text that is shown: one line, short, nothing that hides or turns. */
export const shown = (value: unknown): string =>
  typeof value === 'string' ? value.slice(0, 200).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '?') : '';

export const fault = ({ name, baseUrl }: Provider, why: string): Denial =>
  deny(
    502,
    'node-fault',
    `${name} at ${baseUrl} did not do it (${why})`,
    'Check that Ollama runs there and that its baseUrl in holdfast.yaml is right.',
  );

const refusal = ({ name }: Provider, status: number, body: string): Denial =>
  deny(
    502,
    'node-refused',
    `${name} said no (${status}): ${quoted(shown(objectOf(body)?.error) || 'nothing more')}`,
    'The name of the model may be wrong, or the node may not reach its registry.',
  );
