/** A clock and a lease that are turned by hand, for the tests of routing and logins. */
import type { Armed } from '../../../proxies/armed.ts';
import type { Timer } from '../../../proxies/llm/route/timer.ts';

export type HandClock = {
  now(): number;
  wait: Timer;
  /** Goes on by `ms`, each wait at its own time, and lets what follows from it happen. */
  turn(ms: number): Promise<void>;
  /** Waits that stand. */
  pending(): number;
};

export function handClock(start = 1_000_000): HandClock {
  let now = start;
  const waits = new Set<{ at: number; then: () => void }>();
  return {
    now: () => now,
    wait(ms, then) {
      const own = { at: now + ms, then };
      waits.add(own);
      return () => waits.delete(own);
    },
    async turn(ms) {
      const end = now + ms;
      await settled();
      for (;;) {
        const [next] = [...waits].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
        if (!next) break;
        waits.delete(next);
        now = Math.max(now, next.at);
        next.then();
        await settled();
      }
      now = end;
    },
    pending: () => waits.size,
  };
}

/** Until promises that wait for nothing outside have run out, however many stand behind each other. */
export const settled = (): Promise<void> => new Promise((done) => setImmediate(() => setImmediate(done)));

export type HandLease = Armed & { lose(): void; restore(): void };

export function handLease(armed = true): HandLease {
  let state: ReturnType<Armed['state']> = armed ? 'armed' : 'closed';
  const losers = new Set<() => void>();
  return {
    now: () => state === 'armed',
    state: () => state,
    onLost(lost) {
      losers.add(lost);
      return () => void losers.delete(lost);
    },
    lose() {
      state = 'closed';
      for (const lost of losers) lost();
    },
    restore() {
      state = 'armed';
    },
  };
}
