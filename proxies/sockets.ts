/** Every socket a proxy has open, accepted and dialled, so that losing the lease can end all of them at once. */
import type { Duplex } from 'node:stream';

export type Sockets = {
  add<S extends Duplex>(socket: S): S;
  destroyAll(): void;
  size(): number;
};

/** `server.closeAllConnections()` forgets upgraded and CONNECT sockets, hence this set of our own. */
export function createSockets(): Sockets {
  const open = new Set<Duplex>();
  return {
    add(socket) {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
      return socket;
    },
    destroyAll() {
      for (const socket of open) socket.destroy();
    },
    size: () => open.size,
  };
}
