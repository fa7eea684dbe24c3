/** Stands between an unmodified SDK and a server and writes down what both said, byte for byte; then asks another server the same thing. For the tests that compare a door with its provider. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Heard = { status: number; headers: IncomingMessage['headers']; body: Buffer };

export type Exchange = {
  method: string;
  path: string;
  headers: string[];
  body: Buffer;
  heard?: Heard;
};

export type Recorder = { url: string; exchanges: Exchange[]; close(): Promise<void> };

/** Forwards to `target` as things come, and keeps both sides. */
export async function createRecorder(target: string): Promise<Recorder> {
  const exchanges: Exchange[] = [];
  const server = createServer(async (req, res) => {
    const body = await bytesOf(req);
    const exchange: Exchange = {
      method: req.method ?? '',
      path: req.url ?? '',
      headers: req.rawHeaders,
      body,
    };
    exchanges.push(exchange);
    const answer = await send(target, exchange);
    res.writeHead(answer.statusCode ?? 0, answer.rawHeaders);
    const chunks: Buffer[] = [];
    answer.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      res.write(chunk);
    });
    answer.on('error', () => res.destroy());
    answer.on('end', () => {
      exchange.heard = {
        status: answer.statusCode ?? 0,
        headers: answer.headers,
        body: Buffer.concat(chunks),
      };
      res.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function send(
  target: string,
  { method, path, headers, body }: Pick<Exchange, 'method' | 'path' | 'headers' | 'body'>,
): Promise<IncomingMessage> {
  const kept: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? '';
    // Of the old connection; the body is sent with its length.
    if (/^(host|connection|transfer-encoding|content-length)$/i.test(name)) continue;
    kept.push(name, headers[at + 1] ?? '');
  }
  if (body.length > 0) kept.push('content-length', String(body.length));
  const sent = request(`${target}${path}`, { method, headers: ['host', new URL(target).host, ...kept] });
  sent.end(body);
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return answer;
}

/** Asks `target` the same again, with other credentials and, where given, another path. */
export async function replay(
  target: string,
  exchange: Exchange,
  credentials: Record<string, string>,
  path = exchange.path,
): Promise<Heard> {
  const headers = [...exchange.headers, ...Object.entries(credentials).flat()];
  const known = new Set(Object.keys(credentials));
  const kept = headers.filter((_, at) => {
    const name = (headers[at - (at % 2)] ?? '').toLowerCase();
    return at >= exchange.headers.length || !(known.has(name) || /^(authorization|.*api-key)$/.test(name));
  });
  const answer = await send(target, { ...exchange, path, headers: kept });
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: await bytesOf(answer) };
}

async function bytesOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
