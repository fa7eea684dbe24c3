/** The time by which budgets are counted: it starts at the wall clock and goes on by the monotonic one, so that no step of the wall clock opens a new day. processes/llm.ts makes one for all agents. */
import { readFileSync } from 'node:fs';

/** Where the trusted time stood at a moment of one boot: kept in the ledger, it carries the time over a restart of the process. */
export type Anchor = { at: string; uptimeMs: number; boot: string };

export type Clock = {
  /** Only forward, and never faster than the monotonic clock. */
  now(): Date;
  /** How far the wall clock is ahead of it; negative when behind. A restart after a reboot takes over what is ahead. */
  behindMs(): number;
  anchor(): Anchor;
};

export type ClockParts = {
  /** Milliseconds of the epoch, as Date.now says them. */
  wall(): number;
  monotonicMs(): number;
  /** The latest time that is on record: a machine without a battery clock wakes up in the past. */
  floor?: Date | undefined;
  /** The kernel's boot id; the monotonic clock means nothing in another boot. */
  boot?: string | undefined;
  anchor?: Anchor | undefined;
};

export function createClock({ wall, monotonicMs, floor, boot = '', anchor }: ClockParts): Clock {
  const started = monotonicMs();
  const from = carriedOn() ?? Math.max(wall(), floor?.getTime() ?? 0);
  let last = from;

  /** In the same boot a new process must not take over a wall clock that the old one did not believe. */
  function carriedOn(): number | undefined {
    if (anchor === undefined || boot === '' || anchor.boot !== boot) return undefined;
    const passedMs = started - anchor.uptimeMs;
    const at = Date.parse(anchor.at) + Math.max(0, passedMs);
    return Number.isFinite(at) && passedMs >= -coarseMs ? at : undefined;
  }
  const nowMs = () => {
    last = Math.max(last, from + Math.floor(monotonicMs() - started));
    return last;
  };
  return {
    now: () => new Date(nowMs()),
    behindMs: () => wall() - nowMs(),
    anchor: () => ({ at: new Date(nowMs()).toISOString(), uptimeMs: Math.floor(monotonicMs()), boot }),
  };
}

const rereadMs = 1000;
/** proc_uptime(5) has hundredths of a second, between which we go on by another clock: a restart at once may read a little less than was noted. */
const coarseMs = 1000;

/** Milliseconds since boot, the time asleep included (CLOCK_BOOTTIME, proc_uptime(5)): a laptop's night must not be missing from the budget's day. Read from the kernel once a second, in between by the process's own clock. */
export function createUptime(
  read = () => readFileSync('/proc/uptime', 'latin1'),
  steadyMs = () => performance.now(),
): () => number {
  let base = 0;
  let at = Number.NEGATIVE_INFINITY;
  return () => {
    const steady = steadyMs();
    if (steady - at >= rereadMs) {
      const seconds = Number(read().split(' ', 1)[0]);
      if (!Number.isFinite(seconds)) throw new Error('/proc/uptime has no number');
      base = Math.max(seconds * 1000, Number.isFinite(at) ? base + (steady - at) : 0);
      at = steady;
    }
    return base + (steady - at);
  };
}

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();

/** `2026-11-21`: text of one length, so that days compare as text. */
export const dayOf = (date: Date): string => date.toISOString().slice(0, 10);
export const monthOf = (day: string): string => day.slice(0, 7);

/** When the day, and when the month of that day, is over: `2026-11-22T00:00:00Z`. */
export const dayEnds = (day: string): string =>
  `${dayOf(new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000))}T00:00:00Z`;
export const monthEnds = (day: string): string =>
  `${dayOf(new Date(Date.UTC(Number(day.slice(0, 4)), Number(day.slice(5, 7)), 1)))}T00:00:00Z`;
