/** The same request again and again: a guest in a loop. pace.ts asks before each request. */

/** Slower than this it may be a question that is asked every few minutes on purpose. */
const windowMs = 3_600_000;

export type Repeats = {
  /** When the digest may come again, if it has come `limit` times in a row within the hour. */
  until(digest: string, limit: number, nowMs: number): number | undefined;
  count(digest: string, limit: number, nowMs: number): void;
};

export function createRepeats(): Repeats {
  let last: string | undefined;
  let times: number[] = [];
  return {
    until(digest, limit, nowMs) {
      if (digest !== last || times.length < limit) return undefined;
      const oldest = times[times.length - limit];
      return oldest !== undefined && oldest + windowMs > nowMs ? oldest + windowMs : undefined;
    },
    count(digest, limit, nowMs) {
      if (digest !== last) [last, times] = [digest, []];
      times.push(nowMs);
      if (times.length > limit) times = times.slice(-limit);
    },
  };
}
