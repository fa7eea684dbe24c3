/** The armed lease, as seen by a proxy: a value that expires. Fed by the keeper's beats over a held-open socket; every serving process makes one. */
import { connect } from 'node:net';
import type { Armed } from '../../proxies/armed.ts';

/** Design section 3: a beat every 200 ms, valid for 700 ms from its stamp: three may be late before a door closes. */
export const beatEveryMs = 200;
const leaseMs = 700;

/** The keeper writes these, one JSON value a line. `at` is CLOCK_MONOTONIC in ns, which all processes of a machine share. */
export type Beat = { at: string; state: 'armed' | 'killed' };

const sweepEveryMs = 50; // open streams end at most this much after the lease does
const maxLineBytes = 4096;

export function createLease(
  socketPath: string,
  clock: () => bigint = () => process.hrtime.bigint(),
): Armed & { close(): void } {
  let validUntil = 0n;
  let killed = false;
  let held = false;
  let closing = false;
  const losers = new Set<() => void>();

  const now = (): boolean => !killed && clock() < validUntil;

  const sweep = (): void => {
    if (now()) {
      held = true;
    } else if (held) {
      held = false;
      for (const lost of losers) lost();
    }
  };

  const take = (line: string): void => {
    sweep(); // a lapse is a loss, even where the next beat ends it before the timer has looked
    try {
      const beat = JSON.parse(line) as Beat;
      const stamp = BigInt(beat.at);
      if (beat.state !== 'armed' && beat.state !== 'killed') throw new Error('not a beat');
      killed = beat.state === 'killed';
      if (killed) validUntil = 0n;
      // A beat that waited in a buffer while this process was stuck is as old as its stamp says.
      else if (stamp <= clock()) validUntil = stamp + BigInt(leaseMs) * 1_000_000n;
    } catch {
      validUntil = 0n;
    }
    sweep();
  };

  const dial = (): void => {
    if (closing) return;
    const socket = connect(socketPath);
    let rest = '';
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > maxLineBytes) socket.destroy();
      for (const line of lines) take(line);
    });
    socket.on('error', () => {}); // its close follows, and is a lost lease
    socket.on('close', () => {
      // A closed socket is a lost lease at once, not after 700 ms.
      validUntil = 0n;
      sweep();
      setTimeout(dial, 100).unref();
    });
    socket.unref();
    current = socket;
  };

  let current: ReturnType<typeof connect> | undefined;
  const timer = setInterval(sweep, sweepEveryMs);
  timer.unref();
  dial();

  return {
    now,
    state: () => (killed ? 'killed' : now() ? 'armed' : 'closed'),
    onLost(lost) {
      losers.add(lost);
      return () => losers.delete(lost);
    },
    close() {
      closing = true;
      clearInterval(timer);
      current?.destroy();
    },
  };
}
