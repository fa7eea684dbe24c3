/** The circuit breakers of one agent, one for each provider: what keeps failing is left alone for a while, then asked once. Entered by travel.ts; shared with no other agent. */

export type BreakerState = 'closed' | 'open' | 'half-open';

/** `tripped`: too many failures in a row. `waited`: the backoff is over. The other two are what became of the one try in half-open. */
export type BreakerEvent = 'tripped' | 'waited' | 'answered' | 'failed';

/** Every doubtful edge keeps the provider left alone: a late answer to an open breaker is of an exchange that began before. */
const breakerTable = {
  closed: { tripped: 'open', waited: 'closed', answered: 'closed', failed: 'closed' },
  open: { tripped: 'open', waited: 'half-open', answered: 'open', failed: 'open' },
  'half-open': { tripped: 'open', waited: 'half-open', answered: 'closed', failed: 'open' },
} as const satisfies Record<BreakerState, Record<BreakerEvent, BreakerState>>;

export const nextState = (state: BreakerState, event: BreakerEvent): BreakerState =>
  breakerTable[state][event];

/** What became of a try. `answered`: it began to. `unknown`: the agent left first, so it says nothing about the provider. */
export type Became = 'answered' | 'failed' | 'unknown';

/** Given back once with what became of the try; more calls do nothing. */
export type Pass = (became: Became) => void;

export type Breaker = {
  state(): BreakerState;
  /** Milliseconds until it lets a try through; 0 when it does now, null while the one try of half-open is under way. */
  restMs(): number | null;
  /** Undefined: not now. */
  enter(): Pass | undefined;
  /** An answer that had begun is over. Whole, it ends a row of failures; cut, it counts like a failed try. */
  over(whole: boolean): void;
};

export type Breakers = {
  of(provider: string): Breaker;
  /** By provider; only those that were asked so far. */
  states(): Record<string, BreakerState>;
  /** Forgets the providers that are not configured any more. */
  keep(providers: ReadonlySet<string>): void;
};

/** Three tries of one exchange are not enough to open it, two exchanges are. */
const failuresToTrip = 5;
/** Failures farther apart are no outage. */
const windowMs = 60_000;
const firstRestMs = 5_000;
/** As the prober's slowest step at a node that is down (probe.ts), twice. */
const longestRestMs = 120_000;

/** `now` is monotonic milliseconds; `random` from 0 up to 1. */
export function createBreakers(now: () => number, random: () => number = Math.random): Breakers {
  const breakers = new Map<string, Breaker>();
  return {
    of(provider) {
      const known = breakers.get(provider);
      if (known) return known;
      const made = createBreaker(now, random);
      breakers.set(provider, made);
      return made;
    },
    states: () => Object.fromEntries([...breakers].map(([provider, breaker]) => [provider, breaker.state()])),
    keep(providers) {
      for (const name of breakers.keys()) if (!providers.has(name)) breakers.delete(name);
    },
  };
}

function createBreaker(now: () => number, random: () => number): Breaker {
  let state: BreakerState = 'closed';
  /** Grows with each change of state: a pass from before says nothing about now. */
  let epoch = 0;
  let failures: number[] = [];
  let restedAt = 0;
  let restMs = firstRestMs;
  let trying = false;

  const turn = (event: BreakerEvent): void => {
    const next = nextState(state, event);
    if (next === state) return;
    if (next === 'open') {
      restMs = state === 'half-open' ? Math.min(longestRestMs, restMs * 2) : firstRestMs;
      // Between half and all of it, so that the agents of one box do not come back in one moment.
      restedAt = now() + restMs * (0.5 + random() / 2);
    }
    state = next;
    epoch += 1;
    failures = [];
    trying = false;
  };
  const look = (): BreakerState => {
    if (state === 'open' && now() >= restedAt) turn('waited');
    return state;
  };
  const count = (): void => {
    const at = now();
    failures = [...failures.filter((each) => at - each < windowMs), at];
    if (failures.length >= failuresToTrip) turn('tripped');
  };

  return {
    state: look,
    restMs() {
      if (look() === 'open') return restedAt - now();
      return state === 'half-open' && trying ? null : 0;
    },
    enter() {
      if (look() === 'open' || (state === 'half-open' && trying)) return undefined;
      trying = state === 'half-open';
      const entered = epoch;
      let back = false;
      return (became) => {
        if (back || entered !== epoch) return;
        back = true;
        trying = false;
        if (became !== 'unknown') turn(became);
        if (became === 'failed' && entered === epoch) count();
      };
    },
    over(whole) {
      if (look() !== 'closed') return;
      if (whole) failures = [];
      else count();
    },
  };
}
