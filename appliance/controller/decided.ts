/** The operator's last yes or no on the page, for the line that says it took effect. pages/asked.ts notes it, the overview shows it for a minute. */

export type Decided = { answer: 'yes' | 'no'; script: string; atMs: number };

export type LastDecided = {
  note(answer: 'yes' | 'no', script: string): void;
  /** Undefined once it is older than a minute. */
  read(): Decided | undefined;
};

const shownMs = 60_000; // long enough to read; after that it would look like news

export function createLastDecided(now: () => number): LastDecided {
  let last: Decided | undefined;
  return {
    note(answer, script) {
      last = { answer, script, atMs: now() };
    },
    read: () => (last && now() - last.atMs < shownMs ? last : undefined),
  };
}
