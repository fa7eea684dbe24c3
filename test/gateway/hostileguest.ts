/** A guest in a hostile program's hands: raw bytes on a unix socket, whatever the test writes. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type HostileGuest = { socketPath: string; connections: Socket[]; close(): Promise<void> };

/** `answer` is called with the whole request of each connection, when its head and body have come. */
export async function hostileGuest(answer: (socket: Socket, request: string) => void): Promise<HostileGuest> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-guest-'));
  const socketPath = join(folder, 'sock');
  const connections: Socket[] = [];
  const server = createServer((socket) => {
    connections.push(socket);
    let request = '';
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      request += bytes.toString('latin1');
      const [head, body = ''] = request.split('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(head ?? '')?.[1] ?? 0);
      if (request.includes('\r\n\r\n') && body.length >= length) {
        answer(socket, request);
        request = '';
      }
    });
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    socketPath,
    connections,
    async close() {
      for (const socket of connections) socket.destroy();
      const closed = once(server, 'close');
      server.close();
      await closed;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const streamHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n';

export const delta = (content: unknown): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;

export const done = 'data: [DONE]\n\n';
