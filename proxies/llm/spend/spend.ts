/** The limits of one agent at the llm door, in one place: proxy.ts asks it before a request goes out and tells it what came of it; pages and metrics read its standing. */
import type { Denial } from '../denial.ts';
import { type Budget, createBudget, type Reservation, type Sum, type Used } from './budget.ts';
import { type Clock, dayEnds, dayOf, monthEnds } from './clock.ts';
import type { Estimate } from './estimate.ts';
import type { Limits } from './limits.ts';
import { nanoPerUsd } from './money.ts';
import { type Ask, createPace } from './pace.ts';
import { boundOf, type Price } from './price.ts';
import { type Cap, capsOf, fieldText, overBudget, tooMany, usedText } from './refused.ts';

export type { Reservation } from './budget.ts';

/** One model that may answer, in the order of the chain. */
export type Bid = { provider: string; model: string; price: Price; estimate: Estimate };

export type Paid = {
  /** null: unknown, which costs the reservation. */
  usdNano: number | null;
  tokens: number | null;
  /** false: no upstream ever got it, so it costs nothing. */
  sent: boolean;
  /** A free model answered where a paid one might have: no budget counts it. */
  free?: boolean;
};

export type WindowStanding = {
  usd: number;
  reservedUsd: number;
  tokens: number;
  limitUsd: number | null;
  limitTokens: number | null;
};

export type Standing = {
  day: WindowStanding;
  month: WindowStanding;
  /** Percents that some budget has reached in its window of now. */
  warned: (50 | 80)[];
  resets: { day: string; month: string };
  audit: { bytes: number; limitBytes: number | null };
  lastMinute: { requests: number; tokens: number };
};

export type Spend = {
  /** Counts the request only when it may go on (undefined). */
  admit(ask: Ask): Denial | undefined;
  /** The most that any affordable bid may come to is reserved at once. A free bid is always affordable. */
  reserve(id: string, bids: readonly Bid[]): { affordable: boolean[]; reservation: Reservation } | Denial;
  /** Exactly once for each reservation. Returns what is charged, for the outcome line. */
  settle(reservation: Reservation, paid: Paid): Sum;
  /** Bytes that the agent made us write, now, or at a time that is only counted if it is today. */
  stored(bytes: number, at?: Date): void;
  standing(): Standing;
  /** Lines of this agent in ledger order, before the first request; see budget.ts for their form. */
  replay(line: Record<string, unknown>): void;
  /** What a new segment begins with, so that the older ones need not be read. */
  carry(): Record<string, unknown>;
  relimit(limits: Limits): void;
};

export type SpendParts = {
  agent: string;
  limits: Limits;
  clock: Pick<Clock, 'now'>;
  warn(percent: 50 | 80, what: string): void;
};

const percents = [50, 80] as const;
const bytesPerMb = 1_000_000;

export function createSpend({ agent, limits: first, clock, warn }: SpendParts): Spend {
  let limits = first;
  let caps = capsOf(limits);
  const budget: Budget = createBudget(clock);
  const pace = createPace(agent);
  const audit = { day: '', bytes: 0 };

  const nowMs = () => clock.now().getTime();
  const auditBytes = () => (audit.day === budget.day() ? audit.bytes : 0);
  const passed = (cap: Cap, { spent }: Used, percent: number) => spent[cap.of] * 100 >= cap.limit * percent;

  function auditDenial(): Denial | undefined {
    const { auditMbPerDay } = limits;
    if (auditMbPerDay === null || auditBytes() < auditMbPerDay * bytesPerMb) return undefined;
    return tooMany(
      agent,
      'audit-quota-day',
      'auditMbPerDay',
      `${agent} has made the ledger grow by ${Math.floor(auditBytes() / bytesPerMb)} of ${auditMbPerDay} MB today`,
      `It resets at ${dayEnds(budget.day())}.`,
    );
  }

  function stored(bytes: number, at?: Date): void {
    const today = budget.day();
    if (at !== undefined && dayOf(at) < today) return;
    if (audit.day !== today) Object.assign(audit, { day: today, bytes: 0 });
    audit.bytes += bytes;
  }

  /** The cap that this much more would break. */
  function broken(most: Sum, used: { day: Used; month: Used }): Cap | undefined {
    return caps.find((cap) => {
      const { spent, reserved } = used[cap.span];
      return most[cap.of] > 0 && spent[cap.of] + reserved[cap.of] + most[cap.of] > cap.limit;
    });
  }

  return {
    admit(ask) {
      const denial = auditDenial() ?? pace.refuses(ask, limits, nowMs());
      if (denial === undefined) pace.count(ask, limits, nowMs());
      return denial;
    },
    reserve(id, bids) {
      const used = budget.used();
      const mosts = bids.map(({ price, estimate }) =>
        price.free
          ? { usdNano: 0, tokens: 0 }
          : { usdNano: boundOf(price, estimate), tokens: estimate.in + estimate.out },
      );
      const affordable = mosts.map((most) => broken(most, used) === undefined);
      if (!affordable.includes(true)) return denialOf(mosts, used);
      const most = largest(mosts.filter((_, at) => affordable[at]));
      const reservation = budget.reserve(id, most);
      const seen = bids.filter((_, at) => affordable[at]).map(({ estimate }) => estimate.in + estimate.out);
      if (limits.tokensPerMinute !== null) pace.expect(id, Math.max(...seen), nowMs());
      return { affordable, reservation };
    },
    settle(reservation, { usdNano, tokens, sent, free = false }) {
      const cost =
        !sent || free || (reservation.usdNano === 0 && reservation.tokens === 0)
          ? { usdNano: 0, tokens: 0 }
          : { usdNano: known(usdNano) ?? reservation.usdNano, tokens: known(tokens) ?? reservation.tokens };
      const before = budget.used();
      budget.settle(reservation, cost);
      pace.counted(reservation.id, sent ? known(tokens) : 0);
      announce(before);
      return cost;
    },
    stored,
    standing() {
      const used = budget.used();
      const day = budget.day();
      return {
        day: windowOf(used.day, limits.usdPerDay, limits.tokensPerDay),
        month: windowOf(used.month, limits.usdPerMonth, limits.tokensPerMonth),
        warned: percents.filter((percent) => caps.some((cap) => passed(cap, used[cap.span], percent))),
        resets: { day: dayEnds(day), month: monthEnds(day) },
        audit: {
          bytes: auditBytes(),
          limitBytes: limits.auditMbPerDay === null ? null : limits.auditMbPerDay * bytesPerMb,
        },
        lastMinute: pace.lastMinute(nowMs()),
      };
    },
    replay(line) {
      budget.replay(line);
      if (typeof line.stored === 'number' && typeof line.at === 'string')
        stored(line.stored, new Date(line.at));
      if (line.kind !== 'carry') return;
      const { day, bytes } = (line.audit ?? {}) as Record<string, unknown>;
      if (typeof day === 'string' && Number.isSafeInteger(bytes)) Object.assign(audit, { day, bytes });
    },
    carry: () => ({ ...budget.carry(), agent, audit: { ...audit } }),
    relimit(next) {
      limits = next;
      caps = capsOf(limits);
    },
  };

  /** Of the bid that comes closest to being affordable. */
  function denialOf(mosts: Sum[], used: { day: Used; month: Used }): Denial {
    const cheapest = mosts.reduce((least, each) => (each.usdNano < least.usdNano ? each : least));
    const cap = broken(cheapest, used);
    if (cap === undefined) throw new Error('a bid that breaks no limit was refused');
    const { spent, reserved } = used[cap.span];
    return overBudget(agent, budget.day(), cap, spent[cap.of], reserved[cap.of], cheapest[cap.of]);
  }

  /** Only a cost that takes a budget over the line says so: once in a window, and not again after a replay. */
  function announce(before: { day: Used; month: Used }): void {
    const after = budget.used();
    for (const cap of caps)
      for (const percent of percents)
        if (passed(cap, after[cap.span], percent) && !passed(cap, before[cap.span], percent))
          warn(percent, `${usedText(cap, after[cap.span].spent[cap.of])} (${fieldText(agent, cap.field)})`);
  }
}

/** What is no count is not known. */
const known = (value: number | null): number | undefined =>
  value !== null && Number.isSafeInteger(value) && value >= 0 ? value : undefined;

const largest = (sums: Sum[]): Sum => ({
  usdNano: Math.max(...sums.map(({ usdNano }) => usdNano)),
  tokens: Math.max(...sums.map(({ tokens }) => tokens)),
});

const windowOf = (
  { spent, reserved }: Used,
  limitUsd: number | null,
  limitTokens: number | null,
): WindowStanding => ({
  usd: spent.usdNano / nanoPerUsd,
  reservedUsd: reserved.usdNano / nanoPerUsd,
  tokens: spent.tokens,
  limitUsd,
  limitTokens,
});
