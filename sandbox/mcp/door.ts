/** The tools door of one agent: MCP over Streamable HTTP at /mcp, both eras, on a listening socket that was made for it. processes/tools.ts opens one per agent. */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  hostHeaderValidation,
  type NodeIncomingMessageLike,
  NodeStreamableHTTPServerTransport,
  originValidation,
  toNodeHandler,
  toWebRequest,
} from '@modelcontextprotocol/node';
import { createMcpHandler, isLegacyRequest } from '@modelcontextprotocol/server';
import type { Armed } from '../../proxies/armed.ts';
import { createSockets } from '../../proxies/sockets.ts';
import type { Calls } from './calls.ts';
import { createMcpServer } from './server.ts';

/** A script has at most 64 KiB; JSON may double it and wraps it in little. */
const maxBodyBytes = 256 * 1024;
/** Clients of one agent, and those that forgot to say goodbye: the least recently used goes. */
const maxSessions = 32;
const names = ['127.0.0.1', 'localhost'];
const methods = ['GET', 'POST', 'DELETE']; // MCP 2025-11-25, Streamable HTTP

export type DoorParts = { calls: Calls; armed: Armed; report: (text: string, error: unknown) => void };

export function createToolsDoor({ calls, armed, report }: DoorParts): Server {
  const sockets = createSockets();
  armed.onLost(sockets.destroyAll);
  const hostIsOurs = hostHeaderValidation(names);
  const originIsOurs = originValidation(names);
  const limits = { maxRequestBodySize: maxBodyBytes };
  const newer = toNodeHandler(
    createMcpHandler(() => createMcpServer(calls), {
      legacy: 'reject',
      onerror: (error) => report('mcp', error),
      ...limits,
    }),
    limits,
  );
  const older = createSessions(calls, report);

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (!hostIsOurs(req, res) || !originIsOurs(req, res)) return;
    if (!armed.now()) return refuse(res, 503, `Holdfast is ${armed.state()}: no tool can be called`);
    const [path] = (req.url ?? '').split('?');
    if (!methods.includes(req.method ?? ''))
      return refuse(res, 405, `MCP is served by ${methods.join(', ')}`);
    if (path !== '/mcp') return refuse(res, 404, 'MCP is served at /mcp');
    const body = await bodyOf(req);
    if (body.state === 'too-large') return refuse(res, 413, `a request has at most ${maxBodyBytes} bytes`);
    if (body.state === 'no-json') return refuse(res, 400, 'the body is not JSON', -32700);
    // From what was parsed, so that nothing is read twice; the SDK's own classification decides.
    const like = req as NodeIncomingMessageLike; // the SDK's type allows no undefined
    const probe = await toWebRequest(like, body.value);
    if (await isLegacyRequest(probe, body.value)) return older(req, res, body.value);
    await newer(like, res, body.value);
  }

  const server = createServer((req, res) => {
    answer(req, res).catch((error: unknown) => {
      report('a request at the tools door failed', error);
      if (res.headersSent) res.destroy();
      else refuse(res, 500, 'an internal fault', -32603);
    });
  });
  server.headersTimeout = 5_000;
  server.requestTimeout = 15_000; // to send it; the answer may take as long as an approval waits
  server.maxConnections = 256;
  server.on('connection', (socket) => sockets.add(socket));
  // Without a listener Node closes such a connection in silence.
  server.on('connect', (_req, socket) =>
    socket.end('HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n'),
  );
  server.on('close', calls.close);
  return server;
}

type Older = (req: IncomingMessage, res: ServerResponse, body: unknown) => Promise<void>;

/** 2025-era sessions: a transport each, found by the session id that the client repeats. */
function createSessions(calls: Calls, report: DoorParts['report']): Older {
  const sessions = new Map<string, NodeStreamableHTTPServerTransport>();

  const end = (id: string): void => {
    const transport = sessions.get(id);
    sessions.delete(id);
    calls.sessionGone(id);
    transport?.close().catch((error: unknown) => report('closing a session', error));
  };

  async function open(): Promise<NodeStreamableHTTPServerTransport> {
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        const [oldest] = sessions.keys();
        if (sessions.size >= maxSessions && oldest !== undefined) end(oldest);
        sessions.set(id, transport);
      },
      onsessionclosed: end,
    });
    transport.onerror = (error) => report('mcp session', error);
    await createMcpServer(calls).connect(transport);
    return transport;
  }

  return async (req, res, body) => {
    const id = req.headers['mcp-session-id'];
    if (typeof id !== 'string') return (await open()).handleRequest(req, res, body);
    const transport = sessions.get(id);
    // 404 tells a client to begin anew (MCP 2025-11-25, Session Management).
    if (!transport) return refuse(res, 404, 'there is no such session', -32001);
    sessions.delete(id);
    sessions.set(id, transport); // now the most recently used
    await transport.handleRequest(req, res, body);
  };
}

type Body = { state: 'read'; value: unknown } | { state: 'too-large' | 'no-json'; value?: undefined };

async function bodyOf(req: IncomingMessage): Promise<Body> {
  if (req.method !== 'POST') return { state: 'read', value: undefined };
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return { state: 'too-large' };
    chunks.push(chunk);
  }
  try {
    return { state: 'read', value: JSON.parse(Buffer.concat(chunks).toString('utf8')) };
  } catch {
    return { state: 'no-json' };
  }
}

function refuse(res: ServerResponse, status: number, message: string, code = -32000): void {
  const answer = { jsonrpc: '2.0', error: { code, message }, id: null };
  // Whatever was not read of the request is not worth reading.
  res.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  res.end(JSON.stringify(answer));
}
