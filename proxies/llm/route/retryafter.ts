/** How long an upstream asks to be left alone. Called where an answer of 429 or 5xx is judged, for travel.ts. */

/** RFC 9110 section 5.6.7: the one form that is sent, and the two old ones that must be understood. */
const dates = [
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/,
  /^[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/,
];
const asctime = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** A day. Longer is a mistake or a mockery, and means the same to us: not now. */
const longestMs = 86_400_000;

/**
 * Milliseconds from `nowMs` (wall clock), 0 or more; undefined when nothing readable is said. RFC 9110 section 10.2.3: seconds
 * or a date. `retry-after-ms` is what OpenAI and Azure send beside it.
 */
export function retryAfterMs(headers: NodeJS.Dict<string | string[]>, nowMs: number): number | undefined {
  const exact = one(headers['retry-after-ms']);
  if (exact !== undefined && /^\d{1,12}(?:\.\d{1,6})?$/.test(exact))
    return Math.min(longestMs, Number(exact));
  const said = one(headers['retry-after']);
  if (said === undefined) return undefined;
  if (/^\d{1,12}$/.test(said)) return Math.min(longestMs, Number(said) * 1000);
  const text = asctime.test(said) ? `${said} GMT` : dates.some((each) => each.test(said)) ? said : '';
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.min(longestMs, Math.max(0, at - nowMs));
}

const one = (value: string | string[] | undefined): string | undefined =>
  (Array.isArray(value) ? value[0] : value)?.trim();
