/** The practice provider: a small server that speaks the OpenAI, Anthropic, Gemini and Ollama APIs, and has bad days on request. Tests and serve.ts start it. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { anthropic } from './anthropic.ts';
import { type Endpoint, endpointOf, vendorOf } from './endpoints.ts';
import { gemini } from './gemini.ts';
import {
  bigText,
  echoed,
  type Misbehaviour,
  misbehaviours,
  reset,
  slowMs,
  writeStream,
} from './misbehaviour.ts';
import { type Chat, replyTo, usageOf } from './script.ts';

export { misbehaviours };

export type Recorded = {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** The body's bytes, where they are no text. */
  raw: Buffer;
  /** The client's port: two requests with the same one shared a connection. */
  port: number;
  /** performance.now() when the client went away before the answer's end. */
  goneAt?: number;
};

export type Provider = {
  url: string;
  requests: Recorded[];
  misbehave(how: Misbehaviour | undefined): void;
  /** Lets every silent answer go on. */
  speak(): void;
  close(): Promise<void>;
};

export type ProviderOptions = {
  port?: number;
  /** Answers 401 to any other key. */
  requireKey?: string;
  /** Where `-redirect` points to. */
  redirectTo?: string;
  /** How often `-flaky` answers 503 before it is well. */
  failures?: number;
  /** What `-rate-limited` says in Retry-After. */
  retryAfterS?: number;
  now?: () => Date;
  /** PEM texts; with `clientCa`, only who shows a certificate of that authority is heard. */
  tls?: { cert: string; key: string; clientCa?: string };
};

const modelNames = ['practice', ...misbehaviours.map((how) => `practice-${how}`)];

export async function createProvider(options: ProviderOptions = {}): Promise<Provider> {
  const { requireKey, now = () => new Date(), tls } = options;
  const requests: Recorded[] = [];
  let forced: Misbehaviour | undefined;
  let failed = 0;
  let told = Promise.withResolvers<void>();

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const recorded: Recorded = {
      method: req.method ?? '',
      url: req.url ?? '',
      headers: req.headers,
      body: '',
      raw: Buffer.alloc(0),
      port: req.socket.remotePort ?? 0,
    };
    requests.push(recorded);
    res.once('close', () => {
      if (!res.writableFinished) recorded.goneAt = performance.now();
    });
    recorded.raw = await bytesOf(req);
    recorded.body = recorded.raw.toString('utf8');

    const path = recorded.url.split('?', 1)[0] ?? '';
    const endpoint = endpointOf(recorded.method, recorded.url, req.headers);
    const no = (status: number, message: string): void =>
      json(res, status, (endpoint?.vendor ?? vendorOf(path)).errorBody(status, message));
    if (!endpoint) return no(404, `Unknown request URL: ${recorded.method} ${path}`);
    const key = keyOf(req);
    if (requireKey !== undefined && key !== requireKey) {
      // Google calls a wrong key a bad request.
      if (endpoint.vendor === gemini) return no(400, 'API key not valid. Please pass a valid API key.');
      return no(401, 'Incorrect API key provided');
    }

    const parsed = parse(recorded, endpoint);
    if (typeof parsed === 'string' && forced === undefined) return no(400, parsed);
    const body = typeof parsed === 'string' ? {} : parsed;
    const model =
      endpoint.model ?? String(body.model ?? /name="model"\r\n\r\n([^\r]*)/.exec(recorded.body)?.[1]);
    const how = forced ?? misbehaviours.find((each) => model.endsWith(`-${each}`));
    if (refuses(res, how, no)) return;
    if (endpoint.chat) return chat(res, endpoint, body, model, how, key);

    const call = {
      json: body,
      raw: recorded.raw,
      contentType: req.headers['content-type'] ?? '',
      names: modelNames,
      at: now(),
    };
    const said = await endpoint.answer?.(call);
    if (!said) return no(404, 'The model does not exist');
    if ('bytes' in said) return sendWhole(res, said.contentType, said.bytes, how, 0);
    return writeStream(res, { ...said, how, splitAt: '', told: told.promise });
  }

  /** The bad days on which there is no answer at all. True: it was dealt with here. */
  function refuses(
    res: ServerResponse,
    how: Misbehaviour | undefined,
    no: (status: number, message: string) => void,
  ): boolean {
    if (how === 'hang') return true;
    if (how === 'redirect') res.writeHead(302, { location: options.redirectTo ?? '/elsewhere' }).end();
    else if (how === 'unauthorized') no(401, 'Incorrect API key provided');
    // As LiteLLM says it of a key that may not use the model.
    else if (how === 'no-access')
      no(401, 'Key not allowed to access model. This key can only access models=[]');
    else if (how === 'rate-limited') {
      res.setHeader('retry-after', String(options.retryAfterS ?? 1));
      no(429, 'Rate limit reached');
    } else if (how === 'flaky' && failed < (options.failures ?? 2)) {
      failed += 1;
      no(503, 'The server is overloaded or not ready yet');
    } else return false;
    return true;
  }

  async function chat(
    res: ServerResponse,
    { chat: format, vendor }: Endpoint,
    body: Record<string, unknown>,
    model: string,
    how: Misbehaviour | undefined,
    key: string,
  ): Promise<void> {
    if (!format) return;
    const read = format.read(body, model);
    const shown = how?.startsWith('echo-key') ? echoed(how, key) : '';
    const reply =
      shown !== '' ? { text: `Your key is ${shown}` } : how === 'big' ? { text: bigText } : replyTo(read);
    const usage = how === 'usage-missing' ? undefined : usageOf(read, reply);
    const turn = { chat: read, reply, usage, id: idOf(read), at: now() };
    if (!read.stream) {
      if (how === 'error' || how === 'overloaded') {
        return json(res, 200, vendor.errorBody(500, 'The server had an error'));
      }
      const text = JSON.stringify(format.whole(turn), null, vendor === gemini ? 2 : undefined);
      const slow = how === 'slow' ? format.frames(turn).length : 0;
      if (how === 'silent') await told.promise;
      const contentType = format.wholeType ?? 'application/json';
      return sendWhole(res, contentType, Buffer.from(text), how, slow);
    }
    const { contentType, errorFrame } = format;
    const frames = format.frames(turn);
    return writeStream(res, { contentType, errorFrame, frames, how, splitAt: shown, told: told.promise });
  }

  async function sendWhole(
    res: ServerResponse,
    contentType: string,
    whole: Buffer,
    how: Misbehaviour | undefined,
    slow: number,
  ): Promise<void> {
    if (slow > 0) await wait(slowMs * slow);
    const plain = how === 'malformed' ? whole.subarray(0, -5) : whole;
    const bytes = how === 'gzip' ? gzipSync(plain) : plain;
    res.writeHead(200, {
      'content-type': contentType,
      'content-length': bytes.length,
      ...(how === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
    });
    if (how !== 'cut' && how !== 'reset') return void res.end(bytes);
    res.write(bytes.subarray(0, bytes.length / 2));
    await wait(slowMs);
    if (how === 'reset') reset(res);
    else res.destroy();
  }

  const listener = (req: IncomingMessage, res: ServerResponse): void => {
    answer(req, res).catch((error: unknown) => {
      // A client that went away is no fault of this server; anything else is one of the test's.
      if (!res.destroyed && !req.destroyed) throw error;
    });
  };
  const server = tls
    ? createTlsServer(
        {
          cert: tls.cert,
          key: tls.key,
          ...(tls.clientCa === undefined
            ? {}
            : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
        },
        listener,
      )
    : createServer(listener);
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    requests,
    misbehave(how) {
      forced = how;
      failed = 0;
    },
    speak() {
      told.resolve();
      told = Promise.withResolvers();
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

const keyOf = (req: IncomingMessage): string =>
  String(
    req.headers['x-api-key'] ??
      req.headers['x-goog-api-key'] ??
      req.headers.authorization ??
      queryKey(req) ??
      '',
  ).replace(/^Bearer /, '');

const queryKey = (req: IncomingMessage): string | null =>
  new URLSearchParams((req.url ?? '').split('?')[1]).get('key');

/** Of what was said and offered alone: what a proxy adds to a request (a tag, a wish for usage) does not change an answer's id. */
const idOf = ({ said, tools }: Chat): string =>
  createHash('sha256')
    .update(JSON.stringify([said, tools]))
    .digest('hex')
    .slice(0, 24);

/** The body, or what a real server of this kind would say against it. */
function parse(recorded: Recorded, endpoint: Endpoint): Record<string, unknown> | string {
  if (recorded.method === 'GET' || /^multipart\//.test(recorded.headers['content-type'] ?? '')) return {};
  let body: Record<string, unknown>;
  try {
    body = JSON.parse(recorded.body) as Record<string, unknown>;
  } catch {
    return 'We could not parse the JSON body of your request.';
  }
  if (typeof (body.model ?? body.name) !== 'string' && endpoint.model === undefined) {
    return 'you must provide a model parameter';
  }
  if (endpoint.vendor !== anthropic) return body;
  if (!recorded.headers['anthropic-version']) return 'anthropic-version: header is required';
  return endpoint.chat && typeof body.max_tokens !== 'number' ? 'max_tokens: Field required' : body;
}

async function bytesOf(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function json(res: ServerResponse, status: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  res.end(bytes);
}
