/** Money in whole nano-USD (1e-9 USD), so that sums are exact: 2^53 of them are nine million dollars. price.ts, budget.ts and the refusals count in it. */

export const nanoPerUsd = 1_000_000_000;

/** What somebody else says a thing costs, rounded up; undefined unless it is a plain number above zero: a cost of nothing for a paid model is a mistake, not a present. */
export function nanoFromUsd(usd: string | number | undefined): number | undefined {
  if (
    usd === undefined ||
    (typeof usd === 'string' && !/^\d{1,9}(\.\d{1,30})?([eE][-+]?\d{1,2})?$/.test(usd))
  )
    return undefined;
  const nano = Math.ceil(Number(usd) * nanoPerUsd - 1e-6);
  if (!Number.isSafeInteger(nano) || !(Number(usd) > 0)) return undefined;
  return Math.max(1, nano);
}

/** For people: cents, or as many digits as a small sum needs to be seen. */
export const usdText = (nano: number): string =>
  (nano / nanoPerUsd).toFixed(nano > 0 && nano < nanoPerUsd / 100 ? 6 : 2);
