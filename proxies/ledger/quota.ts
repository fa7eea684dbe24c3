/** How many lines of a ledger one agent may cause in a minute without anything coming of them: a guest in a loop must not fill the disk. llm/proxy.ts and sandbox/shell.ts ask. */

export type Quota = {
  /** How many went without since the last one that did not; null when this one goes without too. */
  take(): number | null;
};

/** `clock` in milliseconds. */
export function createQuota(perMinute: number, clock: () => number): Quota {
  let minute = -1;
  let taken = 0;
  let missed = 0;
  return {
    take() {
      const now = Math.floor(clock() / 60_000);
      if (now !== minute) [minute, taken] = [now, 0];
      if (taken >= perMinute) {
        missed++;
        return null;
      }
      taken++;
      const before = missed;
      missed = 0;
      return before;
    },
  };
}
