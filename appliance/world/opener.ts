/** Opens listening sockets in the namespace it was started in and hands the raw handles to the launcher, then ends. Run by world/door.ts only. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer } from 'node:net';

// The raw handle, never the server: a sent server stays live at both ends and races its new owner for accept().
const send = (handle: unknown, name: string): Promise<void> =>
  new Promise((resolve, reject) => {
    process.send?.({ opened: name }, handle as never, {}, (error) => (error ? reject(error) : resolve()));
  });

/** dgram keeps its handle behind a symbol of its own (Node 26: `Symbol(state symbol)`). */
function handleOf(socket: Socket): unknown {
  for (const symbol of Object.getOwnPropertySymbols(socket)) {
    const state = (socket as unknown as Record<symbol, { handle?: unknown }>)[symbol];
    if (state?.handle) return state.handle;
  }
  throw new Error('this Node hides the handle of a datagram socket elsewhere');
}

async function open(name: string, listen: string): Promise<void> {
  if (listen.startsWith('udp:')) {
    const [, host = '', port = '0'] = listen.split(':');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ port: Number(port), address: host, exclusive: true }, () => resolve());
    });
    return send(handleOf(socket), name);
  }
  const server = createServer();
  const [host = '', port = '0'] = listen.split(':');
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (listen.startsWith('/')) server.listen({ path: listen, backlog: 128 }, () => resolve());
    else server.listen({ host, port: Number(port), backlog: 128, exclusive: true }, () => resolve());
  });
  return send((server as unknown as { _handle: unknown })._handle, name);
}

const wanted = JSON.parse(process.argv[2] ?? '[]') as { name: string; listen: string }[];
for (const { name, listen } of wanted) {
  try {
    await open(name, listen);
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    process.send?.({ failed: name, listen, code, message });
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.exit(1);
  }
}
process.exit(0);
