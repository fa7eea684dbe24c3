/** An agent's limits with a clock that the test moves and a ledger that it can read. */
import { defaultLimits, type Limits } from '../../../../proxies/llm/spend/limits.ts';
import type { Price } from '../../../../proxies/llm/spend/price.ts';
import {
  type Bid,
  createSpend,
  type Paid,
  type Reservation,
  type Spend,
} from '../../../../proxies/llm/spend/spend.ts';

export type Line = Record<string, unknown>;

export const usd = 1_000_000_000;

/** A thousand nano-USD for a token, in and out. */
export const paidPrice: Price = {
  free: false,
  inputNano: 1000,
  cachedNano: 1000,
  cacheWriteNano: 1000,
  outputNano: 1000,
  source: 'test',
  dated: '2026-11-21',
};

/** May come to so many USD: a million tokens for each. */
export const bid = (cost: number, price: Price = paidPrice): Bid => ({
  provider: 'p',
  model: 'm',
  price,
  estimate: { in: 0, out: Math.round(cost * 1_000_000) },
});
export const freeBid: Bid = { ...bid(1), price: { free: true, source: 'test' } };

export const paid = (nano: number | null, more: Partial<Paid> = {}): Paid => ({
  usdNano: nano,
  tokens: nano === null ? null : nano / 1000,
  sent: true,
  ...more,
});

const open: Limits = {
  ...defaultLimits,
  usdPerDay: null,
  requestsPerMinute: null,
  roundsPerTurn: null,
  repeats: null,
  auditMbPerDay: null,
};

export type Rig = {
  spend: Spend;
  lines: Line[];
  warned: string[];
  /** Sets or moves the trusted time. */
  set(iso: string): void;
  pass(ms: number): void;
  /** Reserves and writes the request line, as proxy.ts does; throws what was refused. */
  ask(id: string, ...bids: Bid[]): Reservation;
  tryAsk(id: string, ...bids: Bid[]): ReturnType<Spend['reserve']>;
  /** Settles and writes the outcome line. */
  tell(reservation: Reservation, paid: Paid): void;
  /** A new process that reads the ledger. */
  restart(from?: Line[]): Spend;
};

export function createRig(limits: Partial<Limits>, at = '2026-11-21T12:00:00Z'): Rig {
  let now = Date.parse(at);
  const warned: string[] = [];
  const lines: Line[] = [];
  const start = () =>
    createSpend({
      agent: 'scout',
      limits: { ...open, ...limits },
      clock: { now: () => new Date(now) },
      warn: (percent, what) => void warned.push(`${percent}: ${what}`),
    });
  const rig: Rig = {
    spend: start(),
    lines,
    warned,
    set(iso) {
      now = Date.parse(iso);
    },
    pass(ms) {
      now += ms;
    },
    tryAsk(id, ...bids) {
      const got = rig.spend.reserve(id, bids);
      if ('allow' in got) return got;
      const { usdNano, tokens, window } = got.reservation;
      lines.push({ kind: 'request', id, reserved: { usdNano, tokens, ...window } });
      return got;
    },
    ask(id, ...bids) {
      const got = rig.tryAsk(id, ...bids);
      if ('allow' in got) throw new Error(got.reason);
      return got.reservation;
    },
    tell(reservation, came) {
      const cost = rig.spend.settle(reservation, came);
      lines.push({ kind: 'outcome', id: reservation.id, cost });
    },
    restart(from = lines) {
      rig.spend = start();
      for (const line of from) rig.spend.replay(JSON.parse(JSON.stringify(line)));
      return rig.spend;
    },
  };
  return rig;
}
