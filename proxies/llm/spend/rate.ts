/** How much in the last minute, and how many rounds in a turn. pace.ts asks. */

const windowMs = 60_000;
/** The gateway has one turn open at a time; more than this were never open together. */
const maxTurns = 64;

type Use = { atMs: number; amount: number };

/** A sum over the last minute, by a clock that only goes forward. */
export type Sliding = {
  total(nowMs: number): number;
  /** The entry may be set right later: what was reserved becomes what it came to. */
  add(amount: number, nowMs: number): Use;
  correct(use: Use, amount: number): void;
  /** When the oldest of it is forgotten. */
  frees(nowMs: number): number;
};

export function createSliding(): Sliding {
  let uses: Use[] = [];
  let first = 0;
  let total = 0;
  const forget = (nowMs: number) => {
    for (let use = uses[first]; use !== undefined && use.atMs + windowMs <= nowMs; use = uses[first]) {
      total -= use.amount;
      use.atMs = Number.NEGATIVE_INFINITY;
      first += 1;
    }
    // In one go and seldom, so that forgetting stays cheap.
    if (first > 1024 && first * 2 > uses.length) [uses, first] = [uses.slice(first), 0];
  };
  return {
    total(nowMs) {
      forget(nowMs);
      return total;
    },
    add(amount, nowMs) {
      forget(nowMs);
      const use = { atMs: nowMs, amount };
      uses.push(use);
      total += amount;
      return use;
    },
    correct(use, amount) {
      if (use.atMs !== Number.NEGATIVE_INFINITY) total += amount - use.amount;
      use.amount = amount;
    },
    frees: (nowMs) => (uses[first]?.atMs ?? nowMs) + windowMs,
  };
}

export type Rounds = { of(turn: string): number; count(turn: string): void };

export function createRounds(): Rounds {
  const turns = new Map<string, number>();
  return {
    of: (turn) => turns.get(turn) ?? 0,
    count(turn) {
      const rounds = (turns.get(turn) ?? 0) + 1;
      turns.delete(turn);
      turns.set(turn, rounds);
      const oldest = turns.keys().next().value;
      if (turns.size > maxTurns && oldest !== undefined) turns.delete(oldest);
    },
  };
}
