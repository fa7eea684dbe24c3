/** Who still waits for an answer: a yes is only for a call that is there to take it. inbox.ts asks before it signs. */

/** Between two long polls of one asker. */
const betweenPollsMs = 5_000;
/** An asker that died has this long to come back before its question is withdrawn. */
const goneAfterMs = 15_000;

type Asker = { polls: number; lastMs: number; waits: boolean; wake: Set<() => void> };

export type Askers = {
  /** `waits: false` for a question read from the disk: nobody has come back for it yet. */
  seen(id: string, options?: { waits: boolean }): void;
  waits(id: string): boolean;
  gone(id: string): boolean;
  wait(id: string, forMs: number, signal: AbortSignal): Promise<void>;
  /** The question is decided: whoever waits looks, and it is forgotten. */
  wake(id: string): void;
};

export function createAskers(now: () => number): Askers {
  const askers = new Map<string, Asker>();
  const of = (id: string): Asker => {
    const known = askers.get(id) ?? { polls: 0, lastMs: now(), waits: false, wake: new Set() };
    askers.set(id, known);
    return known;
  };
  return {
    seen(id, { waits } = { waits: true }) {
      Object.assign(of(id), { lastMs: now(), waits });
    },
    waits(id) {
      const asker = askers.get(id);
      return (
        asker !== undefined && (asker.polls > 0 || (asker.waits && now() - asker.lastMs < betweenPollsMs))
      );
    },
    gone(id) {
      const asker = of(id);
      return asker.polls === 0 && now() - asker.lastMs >= goneAfterMs;
    },
    wait(id, forMs, signal) {
      if (signal.aborted || forMs <= 0) return Promise.resolve();
      const asker = of(id);
      asker.polls += 1;
      return new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          asker.wake.delete(done);
          asker.polls -= 1;
          Object.assign(asker, { lastMs: now(), waits: true });
          resolve();
        };
        const timer = setTimeout(done, forMs);
        signal.addEventListener('abort', done);
        asker.wake.add(done);
      });
    },
    wake(id) {
      const asker = askers.get(id);
      askers.delete(id);
      for (const each of asker?.wake ?? []) each();
    },
  };
}
