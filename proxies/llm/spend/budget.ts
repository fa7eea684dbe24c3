/** What one agent has spent and has reserved, by UTC day and month: counted before a request goes out, set right when its usage is known, rebuilt from the ledger. spend.ts holds one. */
import { type Clock, dayEnds, dayOf, monthOf } from './clock.ts';

export type Sum = { usdNano: number; tokens: number };

export type Reservation = Sum & {
  id: string;
  /** Whatever it comes to belongs here, however late it is known. */
  window: { day: string; month: string };
};

/** In the windows of now. `spent` with what a crash has left undecided, `reserved` what is under way. */
export type Used = { spent: Sum; reserved: Sum };

export type Budget = {
  day(): string;
  used(): { day: Used; month: Used };
  reserve(id: string, most: Sum): Reservation;
  /** The cost instead of the reservation, in the reservation's window. Throws when it was settled before. */
  settle(reservation: Reservation, cost: Sum): void;
  /** FORMAT, in the order of the ledger: {kind: request, id, reserved: {usdNano, tokens, day}}, {kind: outcome, id, cost: {usdNano, tokens}}, {kind: carry, ...carry()}. A request without an outcome costs its reservation. Others are passed over; a number that is none throws. */
  replay(line: Record<string, unknown>): void;
  carry(): Record<string, unknown>;
};

type Open = Sum & { day: string; replayed: boolean };

const nothing = (): Sum => ({ usdNano: 0, tokens: 0 });
/** What a provider claims may be absurd, twice over: a sum that is not exact any more could not be read back, and nothing would be served. */
const add = (to: Sum, { usdNano, tokens }: Sum): void => {
  to.usdNano = Math.min(Number.MAX_SAFE_INTEGER, to.usdNano + usdNano);
  to.tokens = Math.min(Number.MAX_SAFE_INTEGER, to.tokens + tokens);
};

export function createBudget(clock: Pick<Clock, 'now'>): Budget {
  /** How far the record is ahead of the clock. */
  let aheadMs = 0;
  let today = dayOf(clock.now());
  let endsMs = Date.parse(dayEnds(today));
  let inDay = nothing();
  let inMonth = nothing();
  const open = new Map<string, Open>();
  /** Something was replayed since the last reservation. */
  let undecided = false;

  /** Windows only move forward. */
  function turnTo(day: string): void {
    if (day <= today) return;
    inDay = nothing();
    if (monthOf(day) !== monthOf(today)) inMonth = nothing();
    today = day;
    endsMs = Date.parse(dayEnds(day));
  }
  function turn(): void {
    const nowMs = clock.now().getTime() + aheadMs;
    if (nowMs >= endsMs) turnTo(dayOf(new Date(nowMs)));
  }

  /** A day of the record later than ours: the clock was set back. It goes on from there; else the window would stand still for as long as the clock was wrong. */
  function recordedOn(day: string): void {
    turn();
    if (day <= today) return;
    aheadMs = Date.parse(`${day}T00:00:00Z`) - clock.now().getTime();
    turnTo(day);
  }

  function charge(day: string, sum: Sum): void {
    if (day === today) add(inDay, sum);
    if (monthOf(day) === monthOf(today)) add(inMonth, sum);
  }

  /** Nobody will ever say what they came to: they are spent, and no carry need hold them for ever. */
  function decideReplayed(): void {
    if (!undecided) return;
    undecided = false;
    for (const [id, each] of open) {
      if (!each.replayed) continue;
      charge(each.day, each);
      open.delete(id);
    }
  }

  return {
    day() {
      turn();
      return today;
    },
    used() {
      turn();
      const month: Used = { spent: { ...inMonth }, reserved: nothing() };
      const day: Used = { spent: { ...inDay }, reserved: nothing() };
      const thisMonth = monthOf(today);
      for (const each of open.values()) {
        const of = each.replayed ? 'spent' : 'reserved';
        if (each.day.startsWith(thisMonth)) add(month[of], each);
        if (each.day === today) add(day[of], each);
      }
      return { day, month };
    },
    reserve(id, { usdNano, tokens }) {
      turn();
      decideReplayed();
      if (open.has(id)) throw new Error(`the reservation ${id} is open already`);
      open.set(id, { usdNano, tokens, day: today, replayed: false });
      return { id, usdNano, tokens, window: { day: today, month: monthOf(today) } };
    },
    settle({ id, window }, cost) {
      turn();
      if (!open.delete(id)) throw new Error(`the reservation ${id} is not open`);
      charge(window.day, cost);
    },
    replay(line) {
      turn();
      undecided = true;
      const id = typeof line.id === 'string' ? line.id : undefined;
      if (line.kind === 'carry') load(line);
      else if (line.kind === 'request' && id !== undefined && line.reserved !== undefined) {
        const { day, ...sum } = reservedOf(line.reserved);
        recordedOn(day);
        open.set(id, { ...sum, day, replayed: true });
      } else if (line.kind === 'outcome' && id !== undefined && line.cost !== undefined) {
        // A carry that was made between the settling and this line has it already.
        const asked = open.get(id);
        if (asked === undefined) return;
        open.delete(id);
        charge(asked.day, sumOf(line.cost));
      }
    },
    carry() {
      turn();
      return {
        kind: 'carry',
        day: today,
        inDay: { ...inDay },
        inMonth: { ...inMonth },
        open: [...open].map(([id, { usdNano, tokens, day }]) => ({ id, usdNano, tokens, day })),
      };
    },
  };

  /** All that was known when the segment began; what stands in older segments is in it. */
  function load(line: Record<string, unknown>): void {
    const day = text(line.day, 'day');
    recordedOn(day);
    open.clear();
    [today, endsMs] = [day, Date.parse(dayEnds(day))];
    inDay = sumOf(line.inDay);
    inMonth = sumOf(line.inMonth);
    for (const each of list(line.open)) {
      const id = text(record(each).id, 'id', /^.{1,200}$/);
      open.set(id, { ...reservedOf(each), replayed: true });
    }
  }
}

function reservedOf(value: unknown): Sum & { day: string } {
  return { ...sumOf(value), day: text(record(value).day, 'day') };
}

function sumOf(value: unknown): Sum {
  const { usdNano, tokens } = record(value);
  return { usdNano: count(usdNano), tokens: count(tokens) };
}

const wrong = (what: string): Error => new Error(`a ledger line of the llm door has no ${what}`);

function count(value: unknown): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0) throw wrong('sum in whole numbers');
  return Number(value);
}

function text(value: unknown, what: string, form = /^\d{4}-\d{2}-\d{2}$/): string {
  if (typeof value !== 'string' || !form.test(value)) throw wrong(what);
  return value;
}

function record(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw wrong('object where one belongs');
  return value as Record<string, unknown>;
}

function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw wrong('list where one belongs');
  return value;
}
