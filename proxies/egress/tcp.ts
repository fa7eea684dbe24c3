/** The TCP door of one agent: a client that knows no proxy dials the address that names.ts gave it, and the name is read from that address. Made by egress.ts. */
import { createServer, type Server, type Socket } from 'node:net';
import type { Sockets } from '../sockets.ts';
import { refuse } from '../verdict/verdict.ts';
import { type Denial, denialBytes, deny, fault } from './denial.ts';
import type { Exchanges } from './exchange.ts';
import type { Names } from './names.ts';
import { pump } from './pump.ts';
import type { Log } from './record.ts';

export type TcpParts = {
  /** The port as the world sees it, which is the port that is dialled outside. */
  port: number;
  exchanges: Exchanges;
  names: Names;
  sockets: Sockets;
  log: Log;
  limits: { maxConnections: number };
};

/** RFC 8446 section 6.2: a fatal alert, access_denied. What a TLS client can be told before a handshake. */
const accessDenied = Buffer.from([21, 3, 3, 0, 2, 2, 49]);

export function createTcp({ port, exchanges, names, sockets, log, limits }: TcpParts): Server {
  async function serve(client: Socket): Promise<void> {
    const host = names.nameAt(client.localAddress ?? '');
    const exchange =
      host === undefined
        ? unknownAddress
        : await exchanges.open({ door: 'tcp', method: 'TCP', host, port, gone: () => client.destroyed });
    if ('allow' in exchange) return hangUp(client, exchange, port);
    pump(client, exchange);
  }

  // Paused: not a byte is read before the verdict.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
    sockets.add(client);
    client.on('error', () => client.destroy());
    serve(client).catch((error: unknown) => {
      log('a fault in an exchange', { stack: error instanceof Error ? error.stack : String(error) });
      hangUp(client, fault, port);
    });
  });
  server.maxConnections = limits.maxConnections;
  return server;
}

const unknownAddress = deny(
  'not-listed',
  refuse('this address was given to no name', 'Ask the name server of this world for the name first.'),
);

/** In the language that the port suggests. */
function hangUp(client: Socket, denial: Denial, port: number): void {
  client.end(port === 443 ? accessDenied : denialBytes(denial));
  client.resume();
  const timer = setTimeout(() => client.destroy(), 2000);
  client.once('close', () => clearTimeout(timer));
}
