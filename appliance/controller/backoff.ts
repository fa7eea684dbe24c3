/** How long to wait after wrong passwords. One count for the one operator, on disk, so that a restart does not help who guesses. operator.ts asks it. */
import type { Database } from '../database.ts';

export const backoffTable = `CREATE TABLE backoff (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  failures INTEGER NOT NULL,
  until_ms INTEGER NOT NULL
) STRICT`;

/** Five slips cost nothing; then 1, 2, 4 ... seconds, at most 5 minutes: 288 guesses a day, and the owner is never locked out for long. */
const freeFailures = 5;
const longestMs = 5 * 60_000;

export type Backoff = {
  /** Takes one try. The count rises before the password is looked at, so that many at once are no way around. */
  take(): { allowed: true } | { allowed: false; waitMs: number };
  /** The try was right. */
  clear(): void;
};

export function createBackoff(db: Database, now: () => number): Backoff {
  const read = db.prepare('SELECT failures, until_ms FROM backoff');
  const write = db.prepare('INSERT OR REPLACE INTO backoff (one, failures, until_ms) VALUES (1, ?, ?)');
  return {
    take() {
      const row = read.get();
      // A clock that was set back must not lock the owner out for longer than the longest wait.
      const waitMs = Math.min(Number(row?.until_ms ?? 0) - now(), longestMs);
      if (waitMs > 0) return { allowed: false, waitMs };
      const failures = Number(row?.failures ?? 0) + 1;
      const over = failures - freeFailures;
      const next = over < 0 ? 0 : now() + Math.min(1000 * 2 ** Math.min(over, 20), longestMs);
      write.run(failures, next);
      return { allowed: true };
    },
    clear() {
      write.run(0, 0);
    },
  };
}
