/** A small faithful model provider for tests and newcomers: OpenAI, Anthropic and Ollama on one port, answering from script.ts and misbehaving on request. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { anthropic } from './anthropic.ts';
import { ollama } from './ollama.ts';
import { openai } from './openai.ts';
import { type Chat, type Format, type Reply, replyTo } from './script.ts';

/** Asked for by the end of the model's name (`practice-cut`), or for all requests by `misbehave()`. */
export const misbehaviours = [
  'slow',
  'cut',
  'malformed',
  'error',
  'redirect',
  'echo-key',
  'hang',
  'gzip',
] as const;
export type Misbehaviour = (typeof misbehaviours)[number];

export type Recorded = {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** The client's port: two requests with the same one shared a connection. */
  port: number;
  /** performance.now() when the client went away before the answer's end. */
  goneAt?: number;
};

export type Provider = {
  url: string;
  requests: Recorded[];
  misbehave(how: Misbehaviour | undefined): void;
  close(): Promise<void>;
};

export type ProviderOptions = {
  port?: number;
  /** Answers 401 to any other key. */
  requireKey?: string;
  /** Where `-redirect` points to. */
  redirectTo?: string;
  now?: () => Date;
};

const formats: Record<string, Format> = {
  'POST /v1/chat/completions': openai,
  'POST /v1/messages': anthropic,
  'POST /api/chat': ollama,
  'GET /api/tags': ollama,
};

const modelNames = ['practice', ...misbehaviours.map((how) => `practice-${how}`)];
const slowMs = 50;

export async function createProvider(options: ProviderOptions = {}): Promise<Provider> {
  const { requireKey, now = () => new Date() } = options;
  const requests: Recorded[] = [];
  let forced: Misbehaviour | undefined;

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const recorded: Recorded = {
      method: req.method ?? '',
      url: req.url ?? '',
      headers: req.headers,
      body: '',
      port: req.socket.remotePort ?? 0,
    };
    requests.push(recorded);
    res.once('close', () => {
      if (!res.writableFinished) recorded.goneAt = performance.now();
    });
    recorded.body = await textOfBody(req);

    const asked = `${recorded.method} ${recorded.url.split('?')[0]}`;
    const models = asked === 'GET /v1/models';
    const format = models ? (req.headers['anthropic-version'] ? anthropic : openai) : formats[asked];
    if (!format) return json(res, 404, openai.errorBody(404, `Unknown request URL: ${asked}`));
    const key = keyOf(req);
    if (requireKey !== undefined && key !== requireKey) {
      return json(res, 401, format.errorBody(401, 'Incorrect API key provided'));
    }
    if (forced === 'redirect') return redirect(res);
    if (recorded.method === 'GET') return json(res, 200, format.models(modelNames, now()));

    const problem = problemOf(format, req, recorded.body);
    if (problem) return json(res, 400, format.errorBody(400, problem));
    const chat = format.read(JSON.parse(recorded.body) as Record<string, unknown>);
    const how = forced ?? misbehaviours.find((each) => chat.model.endsWith(`-${each}`));
    if (how === 'hang') return;
    if (how === 'redirect') return redirect(res);
    const reply = how === 'echo-key' ? { text: `Your key is ${key}` } : replyTo(chat);
    const id = createHash('sha256').update(recorded.body).digest('hex').slice(0, 24);
    if (chat.stream) await sendStream(res, format, chat, reply, id, how, key);
    else await sendWhole(res, format, chat, reply, id, how);
  }

  const redirect = (res: ServerResponse): void => {
    res.writeHead(302, { location: options.redirectTo ?? '/elsewhere' });
    res.end();
  };

  async function sendWhole(
    res: ServerResponse,
    format: Format,
    chat: Chat,
    reply: Reply,
    id: string,
    how: Misbehaviour | undefined,
  ): Promise<void> {
    if (how === 'error') return json(res, 200, format.errorBody(500, 'The server had an error'));
    const text = JSON.stringify(format.whole(chat, reply, id, now()));
    if (how === 'slow') await wait(slowMs * format.frames(chat, reply, id, now()).length);
    const plain = Buffer.from(how === 'malformed' ? text.slice(0, -5) : text);
    const bytes = how === 'gzip' ? gzipSync(plain) : plain;
    res.writeHead(200, {
      'content-type': 'application/json',
      'content-length': bytes.length,
      ...(how === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
    });
    if (how !== 'cut') return void res.end(bytes);
    res.write(bytes.subarray(0, bytes.length / 2));
    await wait(slowMs);
    res.destroy();
  }

  async function sendStream(
    res: ServerResponse,
    format: Format,
    chat: Chat,
    reply: Reply,
    id: string,
    how: Misbehaviour | undefined,
    key: string,
  ): Promise<void> {
    const frames = format.frames(chat, reply, id, now());
    if (how === 'malformed') frames[1] = (frames[1] ?? '').replace(/\}(?=\n)/, '');
    if (how === 'error') frames.splice(2, frames.length, format.errorFrame);
    const headers = { 'content-type': format.contentType, 'cache-control': 'no-cache' };
    if (how === 'gzip') {
      res.writeHead(200, { ...headers, 'content-encoding': 'gzip' });
      return void res.end(gzipSync(frames.join('')));
    }
    res.writeHead(200, headers);
    for (const [at, frame] of frames.entries()) {
      if (res.destroyed) return;
      if (how === 'cut' && at === 3) return void res.destroy();
      const found = how === 'echo-key' && key !== '' ? frame.indexOf(key) : -1;
      const middle = found < 0 ? 0 : found + Math.floor(key.length / 2);
      res.write(frame.slice(0, middle));
      if (how === 'slow' || how === 'cut' || middle > 0) await wait(slowMs);
      if (!res.write(frame.slice(middle))) await room(res);
    }
    res.end();
  }

  const server = createServer((req, res) => {
    answer(req, res).catch((error: unknown) => {
      // A client that went away is no fault of this server; anything else is one of the test's.
      if (!res.destroyed && !req.destroyed) throw error;
    });
  });
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    misbehave(how) {
      forced = how;
    },
    async close() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** When the client reads on, or has gone. */
function room(res: ServerResponse): Promise<void> {
  return new Promise((done) => {
    const settle = (): void => {
      res.off('drain', settle);
      res.off('close', settle);
      done();
    };
    res.once('drain', settle);
    res.once('close', settle);
  });
}

const keyOf = (req: IncomingMessage): string =>
  String(req.headers['x-api-key'] ?? req.headers.authorization ?? '').replace(/^Bearer /, '');

/** What a real server of this kind would refuse in a body. */
function problemOf(format: Format, req: IncomingMessage, body: string): string | undefined {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(body) as Record<string, unknown>;
  } catch {
    return 'We could not parse the JSON body of your request.';
  }
  if (typeof json.model !== 'string') return 'you must provide a model parameter';
  if (format !== anthropic) return undefined;
  if (!req.headers['anthropic-version']) return 'anthropic-version: header is required';
  return typeof json.max_tokens === 'number' ? undefined : 'max_tokens: Field required';
}

async function textOfBody(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function json(res: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  res.end(bytes);
}
