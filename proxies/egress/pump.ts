/** Moves bytes between a client and an exchange, with backpressure and half-close, until either ends. proxy.ts (CONNECT) and tcp.ts call it. */
import type { Duplex } from 'node:stream';
import type { Exchange } from './exchange.ts';

export function pump(client: Duplex, exchange: Exchange): void {
  const upstream = exchange.socket;
  client.once('close', () => {
    if (client.readableEnded && upstream.readableEnded) return;
    // Gone in the middle: what is left on the way has no reader, or no honest end.
    exchange.cut('agent-gone');
  });
  upstream.once('close', () => {
    // After a clean end pipe() has ended the client, which still drains what it was sent.
    if (!upstream.readableEnded) client.destroy();
  });
  client.pipe(upstream);
  upstream.pipe(client);
}
