/** Connects to addresses that were judged, and to nothing else. Called by exchange.ts after the record. */
import { connect, type Socket } from 'node:net';
import type { Sockets } from '../sockets.ts';
import { canonicalHost, type Host } from '../verdict/host.ts';

export type Dial = {
  /** Judged, canonical, in the order to try. */
  addresses: readonly Host[];
  port: number;
  /** For each address. */
  timeoutMs: number;
  sockets: Sockets;
  /** Asked before each attempt: the lease, the agent's presence, the rules as they are now. */
  wanted: () => boolean;
};

export type Dialled = { socket: Socket; address: Host } | { failed: string };

/** A name with many dead addresses must not hold an exchange for minutes. */
const maxAttempts = 4;

export async function dial({ addresses, port, timeoutMs, sockets, wanted }: Dial): Promise<Dialled> {
  let failed = 'no address';
  for (const address of addresses.slice(0, maxAttempts)) {
    if (!wanted()) return { failed: 'no longer wanted' };
    const socket = sockets.add(
      connect({
        host: address.text,
        port,
        family: address.kind === 'v6' ? 6 : 4,
        autoSelectFamily: false, // Happy Eyeballs would choose for us
        lookup: noLookup,
        allowHalfOpen: true,
        noDelay: true,
      }),
    );
    const outcome = await connected(socket, timeoutMs);
    if (outcome === 'connected' && isAt(socket, address)) return { socket, address };
    socket.destroy();
    failed = outcome === 'connected' ? 'EADDRCHANGED' : outcome;
  }
  return { failed };
}

/** An address needs none, so whoever comes here was about to dial something that was not judged. */
function noLookup(): never {
  throw new Error('a lookup after the verdict');
}

function isAt(socket: Socket, address: Host): boolean {
  const seen = canonicalHost(socket.remoteAddress ?? '');
  return seen.ok && seen.host.text === address.text;
}

function connected(socket: Socket, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs, 'ETIMEDOUT');
    const settle = (outcome: string): void => {
      clearTimeout(timer);
      resolve(outcome);
    };
    socket.once('connect', () => settle('connected'));
    socket.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? 'fault'));
    // Losing the lease destroys it without an error.
    socket.once('close', () => settle('closed'));
  });
}
