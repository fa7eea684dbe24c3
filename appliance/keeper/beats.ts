/** The keeper's side of the lease: a stamped beat every 200 ms to everyone who holds the lease socket open, and the word killed at once. */
import { createServer, type Socket } from 'node:net';
import { type Beat, beatEveryMs } from './lease.ts';

export type Beats = {
  /** At once, to all: waits for nothing. */
  announce(state: Beat['state']): void;
};

const maxHolders = 256;

export async function createBeats(fd: number, state: () => Beat['state'] | null): Promise<Beats> {
  const holders = new Set<Socket>();
  const line = (beat: Beat['state']): string =>
    `${JSON.stringify({ at: String(process.hrtime.bigint()), state: beat } satisfies Beat)}\n`;
  const announce = (beat: Beat['state']): void => {
    const text = line(beat);
    for (const holder of holders) {
      // A holder that does not read is stuck: its beats would be stale anyway.
      if (holder.writableLength > 4096) holder.destroy();
      else holder.write(text);
    }
  };
  const server = createServer((socket) => {
    if (holders.size >= maxHolders) {
      socket.destroy();
      return;
    }
    holders.add(socket);
    socket.on('error', () => {}); // its close says the same
    socket.on('close', () => holders.delete(socket));
    socket.resume();
    const now = state();
    if (now !== null) socket.write(line(now));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd }, () => resolve());
  });
  setInterval(() => {
    const now = state();
    if (now !== null) announce(now);
  }, beatEveryMs);
  return { announce };
}
