/** The candidates of a plan that may really be asked: their key is there, their price is known, and URLs in the body are theirs to fetch. Called by proxy.ts before the record. */
import { type Denial, deny, unpriced } from '../denial.ts';
import type { Keyring, Placed } from '../keys/keyring.ts';
import type { FormatName, Provider } from '../kinds/kind.ts';
import { type Price, priceOf } from '../spend/price.ts';
import { bestGlob } from './glob.ts';
import type { Candidate } from './plan.ts';

/** `price` is null where nothing is billed: lists, and counting tokens. */
export type Offer = Candidate & Placed & { price: Price | null };

/** A candidate that was passed over, as it stands among the hops. */
export type Passed = { provider: string; model: string | null; why: string };

/** No tokens are made there. */
const unbilled = new Set<FormatName>(['listing', 'ollama-show', 'anthropic-count', 'gemini-count']);

export const isBilled = (format: FormatName): boolean => !unbilled.has(format);

/** Numbers come out of these, and no tokens. */
const textless = new Set<FormatName>(['openai-embeddings', 'gemini-embed', 'ollama-embed']);

export const makesText = (format: FormatName): boolean => isBilled(format) && !textless.has(format);

type OfferParts = {
  keyring: Keyring;
  headers: NodeJS.Dict<string | string[]>;
  contentType: string | null;
  /** The body names URLs that the provider would fetch; the agent's policy has said yes to each. */
  hasUrls: boolean;
  /** Told of each model that nobody has priced. */
  onUnpriced(provider: string, model: string): void;
};

/** When none is left, the first reason is the answer: it is the owner's first choice that failed. */
export async function offersOf(
  candidates: readonly Candidate[],
  { keyring, headers, contentType, hasUrls, onUnpriced }: OfferParts,
): Promise<{ offers: Offer[]; passed: Passed[] } | Denial> {
  const offers: Offer[] = [];
  const passed: Passed[] = [];
  let first: Denial | undefined;
  const over = ({ provider, model }: Candidate, denial: Denial): void => {
    first ??= denial;
    passed.push({ provider: provider.name, model, why: denial.rule });
  };
  for (const candidate of candidates) {
    const { provider, model, target } = candidate;
    if (hasUrls && !provider.urls) {
      over(candidate, urlsNotAllowed(provider.name));
      continue;
    }
    const price = isBilled(target.route.format) ? priceOf(provider, model ?? '') : null;
    if (price === undefined) {
      onUnpriced(provider.name, model ?? '');
      over(candidate, unpriced(provider.name, model ?? ''));
      continue;
    }
    const given = keyring.place(target, headers, contentType);
    const placed = given instanceof Promise ? await given : given;
    if ('allow' in placed) over(candidate, placed);
    else offers.push({ ...candidate, ...placed, price, contextTokens: contextOf(provider, model, price) });
  }
  return offers.length > 0 || !first ? { offers, passed } : first;
}

/** The owner's word for the model, then for the provider, then the price table's. */
const contextOf = (provider: Provider, model: string | null, price: Price | null): number | undefined =>
  bestGlob(provider.modelContextTokens, model ?? '') ??
  provider.contextTokens ??
  (price && 'contextTokens' in price ? price.contextTokens : undefined);

const urlsNotAllowed = (provider: string): Denial =>
  deny(
    403,
    'url-content',
    `a URL in the body would make ${provider} fetch it`,
    'Send the bytes inline (base64 or a data: URL): the agent fetches by its egress door. The owner can allow it with `urls: true` at the provider.',
  );
