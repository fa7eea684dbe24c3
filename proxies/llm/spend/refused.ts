/** How a limit says no: the rule, how much is used of how much, when it ends and the field that says otherwise. spend.ts sends them. */
import { type Denial, deny } from '../denial.ts';
import type { Sum } from './budget.ts';
import { dayEnds, monthEnds } from './clock.ts';
import type { Limits } from './limits.ts';
import { usdText } from './money.ts';

/** One budget: a limit on money or on tokens, for a day or a month. */
export type Cap = {
  field: 'usdPerDay' | 'usdPerMonth' | 'tokensPerDay' | 'tokensPerMonth';
  rule: string;
  span: 'day' | 'month';
  of: keyof Sum;
  limit: number;
};

/** Those that are set, the longest first: it is the one worth naming. */
export function capsOf(limits: Limits): Cap[] {
  const all: [Cap['field'], string, Cap['span'], keyof Sum, number | null][] = [
    ['usdPerMonth', 'budget-usd-month', 'month', 'usdNano', limits.usdPerMonth],
    ['usdPerDay', 'budget-usd-day', 'day', 'usdNano', limits.usdPerDay],
    ['tokensPerMonth', 'budget-tokens-month', 'month', 'tokens', limits.tokensPerMonth],
    ['tokensPerDay', 'budget-tokens-day', 'day', 'tokens', limits.tokensPerDay],
  ];
  return all.flatMap(([field, rule, span, of, limit]) =>
    limit === null
      ? []
      : [{ field, rule, span, of, limit: of === 'usdNano' ? Math.round(limit * 1e9) : limit }],
  );
}

const amountText = (cap: Cap, amount: number): string =>
  cap.of === 'usdNano' ? `${usdText(amount)} USD` : `${amount} tokens`;

/** `2.61 of 5.00 USD today` */
export const usedText = (cap: Cap, amount: number): string =>
  `${cap.of === 'usdNano' ? usdText(amount) : amount} of ${amountText(cap, cap.limit)} ${cap.span === 'day' ? 'today' : 'this month'}`;

export const fieldText = (agent: string, field: keyof Limits): string => `agents.${agent}.limits.${field}`;

/** 402 Payment Required, which no SDK asks again. */
export function overBudget(
  agent: string,
  day: string,
  cap: Cap,
  spent: number,
  reserved: number,
  most: number,
): Denial {
  const under = reserved > 0 ? ` and reserved ${amountText(cap, reserved)} for requests under way` : '';
  const ends = cap.span === 'day' ? dayEnds(day) : monthEnds(day);
  const raise = `raise ${fieldText(agent, cap.field)} in holdfast.yaml, or ask a model that is free`;
  return deny(
    402,
    cap.rule,
    `${agent} has spent ${usedText(cap, spent)}${under}, and this request may come to ${amountText(cap, most)}`,
    most > cap.limit
      ? `It is more than the whole limit: ask for fewer output tokens, ${raise}.`
      : `It resets at ${ends}. Ask for fewer output tokens, ${raise}.`,
  );
}

/** 429 without Retry-After: the SDKs are told to leave it. */
export const tooMany = (
  agent: string,
  rule: string,
  field: keyof Limits,
  reason: string,
  resets: string,
): Denial => deny(429, rule, reason, `${resets} The limit is ${fieldText(agent, field)} in holdfast.yaml.`);

export const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
