/** The HTTP server of a llm door: limits, and an answer even to what is no request. Listening is the caller's: processes/llm.ts gives it a descriptor. */
import { createServer, type Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Llm } from './proxy.ts';

/** A 32 MiB body from a guest on the same machine takes seconds; a stalled one must not stay for ever. */
const requestMs = 300_000;
/** What waits for a reader that is slow, in each direction. Node's 64 KiB are 8 MB for 64 streams. */
const bufferBytes = 16 * 1024;
/** The descriptors of this process are shared by all agents: one guest may not use them up. More connections are closed at once. */
const maxConnections = 256;

export function createDoor(llm: Llm): Server {
  const server = createServer(
    { requestTimeout: requestMs, headersTimeout: 30_000, highWaterMark: bufferBytes },
    llm.handler,
  );
  server.maxConnections = maxConnections;
  server.on('connection', llm.connection);
  server.on('clientError', (_error, socket) => {
    say(socket, 400, 'Bad Request', 'this is not an HTTP request');
  });
  server.on('connect', (_req, socket) => {
    say(socket, 405, 'Method Not Allowed', 'this door serves models; the HTTP proxy is the egress door');
  });
  return server;
}

function say(socket: Duplex, status: number, phrase: string, reason: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify({ error: { message: `Holdfast (not-http): ${reason}`, code: 'not-http' } });
  socket.end(
    `HTTP/1.1 ${status} ${phrase}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
