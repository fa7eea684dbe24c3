/** What a model costs at a provider, and what an exchange with it came to or may come to. proxy.ts, offers.ts and spend.ts ask. */
import type { Tokens } from '../answer/tokens.ts';
import type { KindName, OwnPrice, Provider } from '../kinds/kind.ts';
import { ollama } from '../kinds/ollama.ts';
import { bestGlob } from '../route/glob.ts';
import { dayOf } from './clock.ts';
import type { Estimate } from './estimate.ts';
import { nanoFromUsd } from './money.ts';
import { type Row, type Vendor, vendors } from './prices.ts';

/** As the provider counted them, and what a bill needs beyond: of what was written to the cache, that which is kept longer (Anthropic 1 h, OpenAI 12 h; absent with something written: nobody knows, and it costs as the longer one), and of the input, that which was spoken. */
export type Billed = Tokens & { cacheWriteLong?: number; audio?: number };

/** Nano-USD for a token; thousandths of one count. */
export type Rates = {
  inputNano: number;
  cachedNano: number;
  cacheWriteNano: number;
  cacheWriteLongNano?: number;
  audioNano?: number;
  outputNano: number;
};

export type Price =
  | { free: true; source: string }
  | ({
      free: false;
      source: string;
      dated: string;
      /** The response header that says the cost. */
      header?: string;
      /** Paid for by a login's quota: no money, but its tokens count. */
      quota?: true;
      /** The rates only bound a reservation: what it costs is what the upstream says, and else the reservation. */
      guess?: true;
      /** The rates of the whole request when its input is longer. */
      above?: { tokens: number; rates: Rates };
      contextTokens?: number;
      ceilingTokens?: number;
    } & Rates);

/** undefined: nobody knows what it costs. The owner's word goes first: a glob of `prices` (the one with the most letters), then `price`. `at` chooses between a promotion and what follows it. */
export function priceOf(provider: Provider, model: string, at = new Date()): Price | undefined {
  const own = ownPrice(provider, model);
  if (own !== undefined) return ownerPrice(own, provider.kind, at);
  if (provider.login !== undefined)
    return {
      free: false,
      quota: true,
      ...ratesOf({ usd: [0, 0, 0] }),
      source: 'login',
      dated: dayOf(at),
    };
  if (provider.kind === 'ollama') {
    const cloud = ollama.modelReachesOut(model) !== undefined || /(^|\.)ollama\.com$/.test(hostOf(provider));
    return cloud ? undefined : { free: true, source: 'a model on a machine of one’s own' };
  }
  if (model.includes('#')) return undefined;
  const list = listFor(provider);
  const listed = list?.get(model) ?? list?.get(withoutDate(model));
  return listed?.find(({ from }) => from === undefined || from <= dayOf(at))?.price;
}

const hostOf = ({ baseUrl }: Provider): string => (URL.canParse(baseUrl) ? new URL(baseUrl).hostname : '');

/** The date of a snapshot, as the table writes it. */
const withoutDate = (model: string): string =>
  model.replace(/-(?:\d{8}|\d{4}-\d\d-\d\d)$/, (date) => date.replaceAll(/\d/g, '#'));

/** By name, the latest first. */
type List = Map<string, { from: string | undefined; price: Price }[]>;

function listOf(vendor: Vendor): List {
  const list: List = new Map();
  for (const row of vendor.rows) {
    const price = priceFromRow(row, row.source ?? vendor.source, row.dated ?? vendor.dated);
    for (const name of row.models) list.set(name, [{ from: row.from, price }, ...(list.get(name) ?? [])]);
  }
  return list;
}

const lists = new Map(vendors.map((vendor) => [`${vendor.kind} https://${vendor.host}`, listOf(vendor)]));
/** A provider is one object for as long as its configuration stands. */
const known = new WeakMap<Provider, List | null>();

function listFor(provider: Provider): List | undefined {
  let list = known.get(provider);
  if (list === undefined) {
    const { baseUrl, kind } = provider;
    // The origin has the port only when it is not the usual one.
    list = lists.get(`${kind} ${URL.canParse(baseUrl) ? new URL(baseUrl).origin : ''}`) ?? null;
    known.set(provider, list);
  }
  return list ?? undefined;
}

function ownPrice({ kind, prices, price }: Provider, model: string): OwnPrice | undefined {
  // Ollama takes a name in any case, and `:latest` for granted: one model has one price, however it is spelled.
  if (kind === 'ollama' && prices) {
    const bare = (name: string): string => name.toLowerCase().replace(/:latest$/, '');
    const table = Object.fromEntries(Object.entries(prices).map(([glob, each]) => [bare(glob), each]));
    return bestGlob(table, bare(model)) ?? price;
  }
  return bestGlob(prices, model) ?? price;
}

/** About the dearest model that agents are given (2026-09-23: Claude Opus 5). A header says the true cost afterwards. */
const guessed: Row = { models: [], usd: [5, 5, 25] };

/** What an owner said is one object for as long as the configuration stands; it is dated today. */
const priced = new WeakMap<OwnPrice, { kind: KindName; day: number; price: Price }>();
const dayMs = 86_400_000;

function ownerPrice(own: OwnPrice, kind: KindName, at: Date): Price {
  const day = Math.floor(at.getTime() / dayMs);
  let known = priced.get(own);
  if (known?.kind !== kind || known.day !== day) {
    known = { kind, day, price: priceFromOwner(own, kind, at) };
    priced.set(own, known);
  }
  return known.price;
}

function priceFromOwner(own: OwnPrice, kind: KindName, at: Date): Price {
  if (own.free === true) return { free: true, source: 'holdfast.yaml' };
  const { inputUsdPerMillion: input = 0, outputUsdPerMillion: output = 0, cachedUsdPerMillion = input } = own;
  const said = own.inputUsdPerMillion !== undefined || own.outputUsdPerMillion !== undefined;
  const row: Row = { models: [], usd: [input, cachedUsdPerMillion, output] };
  // Anthropic bills what it writes to its cache 1.25 and 2 times, whoever resells it.
  const written = own.cacheWriteUsdPerMillion ?? (kind === 'anthropic' ? input * 1.25 : input);
  row.cacheWrite = written;
  if (own.cacheWriteUsdPerMillion === undefined && kind === 'anthropic') row.cacheWriteLong = input * 2;
  const header = own.costHeader?.toLowerCase();
  return {
    ...priceFromRow(said ? row : guessed, 'holdfast.yaml', dayOf(at)),
    ...(header !== undefined && { header }),
    ...(!said && { guess: true }),
  };
}

function priceFromRow(row: Row, source: string, dated: string): Exclude<Price, { free: true }> {
  const { above, context, ceiling } = row;
  return {
    free: false,
    ...ratesOf(row),
    source,
    dated,
    ...(above && { above: { tokens: above.tokens, rates: ratesOf(row, above.input, above.output) } }),
    ...(context !== undefined && { contextTokens: context }),
    ...(ceiling !== undefined && { ceilingTokens: ceiling }),
  };
}

/** A dollar for a million tokens is a thousand nano-USD for one. Kept to a millionth of a dollar, where floats are still exact. */
function perToken(usdPerMillion: number): number {
  return Math.round(usdPerMillion * 1_000_000) / 1000;
}

function ratesOf(row: Omit<Row, 'models'>, timesIn = 1, timesOut = 1): Rates {
  const [input, cached, output] = row.usd;
  const { cacheWrite = input, cacheWriteLong, audio } = row;
  return {
    inputNano: perToken(input * timesIn),
    cachedNano: perToken(cached * timesIn),
    cacheWriteNano: perToken(cacheWrite * timesIn),
    outputNano: perToken(output * timesOut),
    ...(cacheWriteLong !== undefined && { cacheWriteLongNano: perToken(cacheWriteLong * timesIn) }),
    ...(audio !== undefined && { audioNano: perToken(audio * timesIn) }),
  };
}

/** More than any context holds; a larger number is not a count. */
const maxTokens = 1_000_000_000;
const isCount = (count: number | undefined): count is number =>
  count !== undefined && Number.isSafeInteger(count) && count >= 0 && count <= maxTokens;

/** Nano-USD, rounded up; a paid model costs one at least. undefined: what was counted is not enough to know. */
export function costOf(price: Price, tokens: Billed): number | undefined {
  if (price.free || price.quota) return 0;
  if (price.guess) return undefined;
  const { in: input = price.inputNano === 0 ? 0 : undefined, out = price.outputNano === 0 ? 0 : undefined } =
    tokens;
  const { cached = 0, cacheWrite = 0, cacheWriteLong = cacheWrite, audio = 0 } = tokens;
  if (
    ![input, out, cached, cacheWrite, cacheWriteLong, audio].every(isCount) ||
    !isCount(input) ||
    !isCount(out)
  )
    return undefined;
  const rates = price.above && input > price.above.tokens ? price.above.rates : price;
  const longer = Math.min(cacheWriteLong, cacheWrite);
  const spoken =
    rates.audioNano === undefined ? 0 : Math.min(audio, Math.max(0, input - cached - cacheWrite));
  // Parts that are larger than their whole: the parts are billed.
  const plain = Math.max(0, input - cached - cacheWrite - spoken);
  return sum([
    [plain, rates.inputNano],
    [spoken, rates.audioNano ?? 0],
    [cached, rates.cachedNano],
    [cacheWrite - longer, rates.cacheWriteNano],
    [longer, rates.cacheWriteLongNano ?? rates.cacheWriteNano],
    [out, rates.outputNano],
  ]);
}

/** What a request may cost as far as it can be known before: all of its input at the dearest of the usual rates. */
export function boundOf(price: Price, estimate: Estimate): number {
  if (price.free || price.quota) return 0;
  const rates = price.above && estimate.in > price.above.tokens ? price.above.rates : price;
  const { inputNano, cachedNano, cacheWriteNano, cacheWriteLongNano = 0, audioNano = 0 } = rates;
  const input = Math.max(inputNano, cachedNano, cacheWriteNano, cacheWriteLongNano, audioNano);
  return sum([
    [Math.min(estimate.in, maxTokens), input],
    [Math.min(estimate.out, maxTokens), rates.outputNano],
  ]);
}

/** What the upstream itself says (a cost header, OpenRouter's `usage.cost`) goes before our own sum. undefined: unknown, and so the reservation. */
export function billOf(
  price: Price,
  told: { tokens?: Billed | undefined; costUsd?: number | string | undefined },
): number | undefined {
  if (price.free || price.quota) return 0;
  return nanoFromUsd(told.costUsd) ?? (told.tokens === undefined ? undefined : costOf(price, told.tokens));
}

/** In whole numbers: rates have three decimals at most, and a product may be larger than 2^53. */
function sum(items: [tokens: number, nano: number][]): number {
  const up = items.reduce((all, [tokens, nano]) => all + tokens * Math.round(nano * 1000), 999);
  // Exact: a term or a sum that was rounded is larger than any safe integer.
  if (Number.isSafeInteger(up)) return Math.max(1, (up - (up % 1000)) / 1000);
  const thousandths = items.reduce(
    (all, [tokens, nano]) => all + BigInt(tokens) * BigInt(Math.round(nano * 1000)),
    0n,
  );
  return Math.max(1, Number((thousandths + 999n) / 1000n));
}
