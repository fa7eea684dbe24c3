/** Times, counts and commands in words a person reads at a glance. Pages and refusals use it. */

/** 5 s, 14 min, 3 h, 2 days: one unit, rounded down for what is left, so that it never promises more than there is. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h`;
  return `${Math.floor(hours / 24)} days`;
}

/** 14:03:22 today, 2026-02-03 14:03 on another day, in the machine's own time zone. */
export function clockTime(ms: number, nowMs: number): string {
  if (!Number.isFinite(ms)) return '';
  const day = (at: Date): string => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const at = new Date(ms);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return day(at) === day(new Date(nowMs)) ? `${time}:${two(at.getSeconds())}` : `${day(at)} ${time}`;
}

const two = (value: number): string => String(value).padStart(2, '0');

/** As it can be typed in the checkout, where nothing puts a bare `holdfast` on the PATH. */
export const command = (words: string): string => `npm run -s holdfast -- ${words}`;

/** A step of the kill receipt: the launcher's own steps stand beside it, so its name is that of their sum. */
export const stepWords = (name: string): string => (name === 'launcher' ? 'launcher: all of its part' : name);

/** 1 request, 2 requests. */
export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** Six digits: a call may cost a hundredth of a cent. */
export const usd = (given: number | null | undefined): string =>
  given === null || given === undefined ? '' : given.toFixed(given !== 0 && Math.abs(given) < 0.01 ? 6 : 4);
