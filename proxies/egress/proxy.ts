/** The egress door of one agent: an HTTP proxy that speaks CONNECT and absolute-form requests. Made by egress.ts; listening is the caller's, who has the descriptor. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Sockets } from '../sockets.ts';
import { refuse } from '../verdict/verdict.ts';
import { badRequest, type Denial, denialAnswer, denialBytes, deny, fault } from './denial.ts';
import type { Exchanges } from './exchange.ts';
import { forward } from './forward.ts';
import { pump } from './pump.ts';
import type { Log } from './record.ts';
import type { Refusals } from './refusals.ts';
import { absoluteTarget, connectTarget } from './target.ts';

export type ProxyParts = {
  exchanges: Exchanges;
  refusals: Refusals;
  sockets: Sockets;
  log: Log;
  limits: { headersMs: number; idleMs: number; maxConnections: number };
};

/** As curl and browsers send at most; node's default is the same. */
const maxHeaderBytes = 16 * 1024;
/** How long a refused client may go on sending before it is cut. A close with unread bytes would be a reset that eats the answer. */
const lingerMs = 2000;

export function createProxy({ exchanges, refusals, sockets, log, limits }: ProxyParts): Server {
  const server = createServer({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: limits.headersMs,
    connectionsCheckingInterval: Math.min(1000, limits.headersMs),
    requestTimeout: 0, // an upload takes its time; silence is bounded by idleMs
    keepAliveTimeout: 10_000,
  });
  server.timeout = limits.idleMs;
  server.maxConnections = limits.maxConnections;

  const noteBad = (method: string, denial: Denial): void =>
    refusals.note({ door: 'egress', method, host: '', denial });

  const failed = (error: unknown): Denial => {
    log('a fault in an exchange', { stack: error instanceof Error ? error.stack : String(error) });
    return fault;
  };

  async function tunnel(req: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    const target = connectTarget(req.url ?? '');
    if ('allow' in target) {
      noteBad('CONNECT', target);
      return hangUp(client, target);
    }
    const { host, port } = target;
    const exchange = await exchanges.open({
      door: 'egress',
      method: 'CONNECT',
      host,
      port,
      gone: () => client.destroyed,
    });
    if ('allow' in exchange) return hangUp(client, exchange);
    exchange.answered(200);
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    // What the client sent along with its CONNECT waited for the verdict like everything else.
    if (head.length > 0) exchange.socket.write(head);
    pump(client, exchange);
  }

  async function absolute(req: IncomingMessage, res: ServerResponse, expects: boolean): Promise<void> {
    const method = req.method ?? '';
    const target = absoluteTarget(req.url ?? '');
    if ('allow' in target) {
      noteBad(method, target);
      return send(req, res, target);
    }
    const codings = req.headers['transfer-encoding'];
    if (codings !== undefined && codings.toLowerCase() !== 'chunked') {
      const denial = badRequest('the only transfer-encoding is chunked', 'Send the content as it is.');
      noteBad(method, denial);
      return send(req, res, denial);
    }
    const { host, port, path } = target;
    const bare = path.split('?', 1)[0] ?? '';
    const exchange = await exchanges.open({
      door: 'egress',
      method,
      host,
      port,
      path: bare,
      gone: () => res.destroyed,
    });
    if ('allow' in exchange) return send(req, res, exchange);
    if (expects) res.writeContinue();
    const denial = await forward(req, res, exchange, path);
    if (denial) send(req, res, denial);
    else linger(req);
  }

  const onRequest = (req: IncomingMessage, res: ServerResponse, expects: boolean): void => {
    absolute(req, res, expects).catch((error: unknown) => send(req, res, failed(error)));
  };

  server.on('connection', (socket) => {
    sockets.add(socket);
    // CONNECT takes the socket from node's server, and its error listener with it.
    socket.on('error', () => socket.destroy());
  });
  server.on('request', (req, res) => onRequest(req, res, false));
  server.on('checkContinue', (req, res) => onRequest(req, res, true));
  server.on('connect', (req, client, head) => {
    tunnel(req, client, head).catch((error: unknown) => hangUp(client, failed(error)));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, client) =>
    hangUp(client, clientDenial(error.code)),
  );
  return server;
}

/** What node's parser refuses before there is a request. */
function clientDenial(code: string | undefined): Denial {
  if (code === 'HPE_HEADER_OVERFLOW') {
    return deny(
      'header-too-large',
      refuse(`the header is larger than ${maxHeaderBytes} bytes`, 'Send a smaller one.'),
    );
  }
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return deny('header-too-slow', refuse('the header did not come in time', 'Send it at once.'));
  }
  return badRequest('this is not an HTTP request', 'This is an HTTP proxy: see the variable HTTP_PROXY.');
}

function send(req: IncomingMessage, res: ServerResponse, denial: Denial): void {
  if (res.headersSent || res.destroyed) {
    res.destroy();
    return;
  }
  const { phrase, headers, body } = denialAnswer(denial);
  res.writeHead(denial.status, phrase, headers).end(body);
  linger(req);
}

/** An answer came before the request's content had ended: what still comes has no taker. */
function linger(req: IncomingMessage): void {
  if (req.complete || req.destroyed) return;
  req.unpipe();
  req.resume();
  const timer = setTimeout(() => req.destroy(), lingerMs);
  req.once('close', () => clearTimeout(timer));
}

function hangUp(client: Duplex, denial: Denial): void {
  if (!client.writable) {
    client.destroy();
    return;
  }
  client.end(denialBytes(denial));
  client.resume();
  const timer = setTimeout(() => client.destroy(), lingerMs);
  client.once('close', () => clearTimeout(timer));
}
