/** What an agent hears when none of its candidates answered: every step of the way, and what would help. Said by travel.ts. */
import { type Denial, deny, quoted } from '../denial.ts';
import type { Candidate } from './plan.ts';
import type { Hop } from './travel.ts';

/** The whole way in one sentence: each node, and why not. `restMs` is when the first breaker lets a try through. */
export function deadEnd(
  hops: readonly Hop[],
  candidates: readonly Candidate[],
  contextTokens: number,
  restMs: number | undefined,
): Denial {
  const way = hops
    .map(({ provider, model, why }) => `${provider}${model === null ? '' : ` ${quoted(model)}`}: ${why}`)
    .join('; ');
  const all = (why: string): boolean => hops.length > 0 && hops.every((each) => each.why === why);
  if (all('context')) {
    const most = Math.max(...candidates.map((each) => each.contextTokens ?? 0));
    return deny(
      413,
      'context-too-long',
      `the input is about ${contextTokens} tokens, and no provider of this chain takes more than ${most} (${way})`,
      'Shorten the conversation, or add a provider with more contextTokens to the alias in holdfast.yaml.',
    );
  }
  if (all('busy')) {
    return deny(
      503,
      'busy',
      `every slot stayed taken (${way})`,
      'Ask again later, or raise concurrency of the provider in holdfast.yaml if the machine bears it.',
      10,
    );
  }
  if (all('breaker-open')) {
    return deny(
      503,
      'breaker-open',
      `it failed too often just now and is left alone (${way})`,
      'It is tried again by itself; `holdfast models` shows its state.',
      Math.max(1, Math.ceil((restMs ?? 5_000) / 1000)),
    );
  }
  const asked = new Map(candidates.map(({ provider }) => [provider.name, provider.baseUrl]));
  const addresses = [...asked].map(([name, baseUrl]) => `${name} at ${baseUrl}`).join(', ');
  return deny(
    hops.length > 0 && hops.every((each) => each.why === 'UND_ERR_HEADERS_TIMEOUT') ? 504 : 502,
    'provider-unreachable',
    `no provider answered (${way})`,
    `Check that one of them runs and that its baseUrl in holdfast.yaml is right: ${addresses}.${
      hops.some(({ why }) => why === 'budget')
        ? ' `holdfast models spend` shows whose budget is used up.'
        : ''
    }`,
  );
}
