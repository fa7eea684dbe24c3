/** JSON over HTTP on unix sockets: the control plane between our own processes. Everyone serves and calls through here; `node:` only, because the keeper and the launcher do too. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createInterface } from 'node:readline';
import { asProblemJson, fromProblemJson, Problem } from './problem.ts';

export type Question = {
  params: Record<string, string>;
  query: URLSearchParams;
  body: unknown;
  /** Aborts when the caller goes away. */
  signal: AbortSignal;
};

/** An answer that is not JSON: what a scraper of others reads. */
export class Text {
  readonly type: string;
  readonly body: string;

  constructor(type: string, body: string) {
    this.type = type;
    this.body = body;
  }
}

/** Answers JSON, or the Text that a route returns; an async iterable is streamed as NDJSON, one value a line. Keys look like `'POST /approvals/:id'`. */
export type Routes = Record<string, (question: Question) => unknown>;

const maxBodyBytes = 1024 * 1024; // control messages are small; the largest is a configuration

type Route = { method: string; parts: string[]; answer: Routes[string] };

export function serve(where: { fd: number } | { path: string }, routes: Routes): Promise<Server> {
  const table = Object.entries(routes).map(([key, answer]): Route => {
    const [method = '', path = ''] = key.split(' ');
    return { method, parts: path.split('/'), answer };
  });
  const server = createServer((req, res) => {
    answer(table, req, res).catch((error: unknown) => fail(res, error));
  });
  server.requestTimeout = 30_000;
  server.headersTimeout = 5_000;
  server.keepAliveTimeout = 5_000;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => resolve(server));
  });
}

async function answer(table: Route[], req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = URL.parse(req.url ?? '/', 'http://socket');
  if (!url) throw new Problem('bad-path', 400, 'the path cannot be read', 'Ask for one of the routes.');
  const parts = url.pathname.split('/');
  const found = table.find((route) => route.method === req.method && fits(route.parts, parts));
  if (!found) throw new Problem('no-route', 404, `no ${req.method} ${url.pathname} on this socket`, '');
  const gone = new AbortController();
  res.on('close', () => {
    if (!res.writableFinished) gone.abort();
  });
  const result = await found.answer({
    params: Object.fromEntries(
      found.parts.flatMap((part, at) => (part.startsWith(':') ? [[part.slice(1), decode(parts[at])]] : [])),
    ),
    query: url.searchParams,
    body: await readJson(req),
    signal: gone.signal,
  });
  if (isStream(result)) return sendLines(res, result, gone.signal);
  if (result instanceof Text) {
    res.writeHead(200, { 'content-type': result.type }).end(result.body);
    return;
  }
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result ?? {}));
}

const fits = (route: string[], parts: string[]): boolean =>
  route.length === parts.length &&
  route.every((part, at) => (part.startsWith(':') ? parts[at] !== '' : part === parts[at]));

function decode(part: string | undefined): string {
  try {
    return decodeURIComponent(part ?? '');
  } catch {
    throw new Problem('bad-path', 400, 'the path has a broken percent sequence', 'Encode it again.');
  }
}

async function readJson(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes)
      throw new Problem('too-large', 413, `the body is over ${maxBodyBytes} bytes`, '');
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Problem('bad-json', 400, 'the body is not JSON', 'Send one JSON value.');
  }
}

const isStream = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

async function sendLines(
  res: ServerResponse,
  lines: AsyncIterable<unknown>,
  gone: AbortSignal,
): Promise<void> {
  res.writeHead(200, { 'content-type': 'application/x-ndjson' });
  try {
    for await (const line of lines) {
      if (gone.aborted) return;
      if (!res.write(`${JSON.stringify(line)}\n`)) await drained(res);
    }
  } catch (error) {
    res.write(`${JSON.stringify({ problem: asProblemJson(error) })}\n`);
  }
  res.end();
}

const drained = (res: ServerResponse): Promise<void> =>
  new Promise((resolve) => {
    res.once('drain', resolve);
    res.once('close', resolve);
  });

function fail(res: ServerResponse, error: unknown): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  if (!(error instanceof Problem)) process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  const json = asProblemJson(error);
  res.writeHead(json.status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(json));
}

export type CallOptions = { timeoutMs?: number; signal?: AbortSignal };

/** One question, one JSON answer. Throws the Problem that the other side threw, or `unreachable`. */
export async function call(
  socketPath: string,
  route: string,
  body?: unknown,
  options: CallOptions = {},
): Promise<unknown> {
  const res = await send(socketPath, route, body, options);
  const chunks: Buffer[] = [];
  for await (const chunk of res as AsyncIterable<Buffer>) chunks.push(chunk);
  const json = parse(Buffer.concat(chunks).toString('utf8'));
  if ((res.statusCode ?? 500) >= 400) throw fromProblemJson(json, res.statusCode ?? 500);
  return json;
}

/** The lines of an NDJSON answer as they come. Leaving the loop ends the request, which the other side sees. */
export async function* stream(
  socketPath: string,
  route: string,
  body?: unknown,
  options: CallOptions = {},
): AsyncGenerator<unknown> {
  const res = await send(socketPath, route, body, options);
  if ((res.statusCode ?? 500) >= 400) {
    const chunks: Buffer[] = [];
    for await (const chunk of res as AsyncIterable<Buffer>) chunks.push(chunk);
    throw fromProblemJson(parse(Buffer.concat(chunks).toString('utf8')), res.statusCode ?? 500);
  }
  let broken: unknown;
  res.on('error', (error) => {
    broken = error;
  });
  try {
    for await (const line of createInterface({ input: res, crlfDelay: Number.POSITIVE_INFINITY })) {
      const value = parse(line);
      const problem = (value as { problem?: unknown } | null)?.problem;
      if (problem !== undefined) throw fromProblemJson(problem, 500);
      yield value;
    }
    if (!res.complete) throw cut(broken);
  } catch (error) {
    throw error === broken || (error as NodeJS.ErrnoException).code === 'ECONNRESET' ? cut(error) : error;
  } finally {
    res.destroy();
  }
}

const cut = (cause?: unknown): Problem =>
  new Problem('cut', 502, 'the answer was cut off', 'The other process ended; try again.', cause);

function send(
  socketPath: string,
  route: string,
  body: unknown,
  options: CallOptions,
): Promise<IncomingMessage> {
  const [method = 'GET', path = '/'] = route.split(' ');
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const unreachable = (cause: unknown): void =>
      reject(
        new Problem(
          'unreachable',
          503,
          `nothing answers at ${socketPath}`,
          'Is Holdfast running? See `holdfast status`.',
          cause,
        ),
      );
    const req = request(
      {
        socketPath,
        method,
        path,
        agent: false,
        headers: {
          host: 'socket',
          // With its length: Node frames no body for DELETE by itself.
          ...(text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        },
        ...(options.signal ? { signal: options.signal } : {}),
      },
      (res) => {
        res.on('error', () => {}); // the reader of the body sees it too
        resolve(res);
      },
    );
    // Somebody was there and ended before the first word: that is no empty place.
    req.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' && req.socket?.connecting === false
        ? reject(cut(error))
        : unreachable(error),
    );
    if (options.timeoutMs !== undefined) {
      req.setTimeout(options.timeoutMs, () =>
        req.destroy(new Error(`no answer within ${options.timeoutMs} ms`)),
      );
    }
    req.end(text);
  });
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    throw new Problem('bad-json', 502, 'the answer is not JSON', 'The other process is broken; see its log.');
  }
}
