/** How models stand, as tables for a terminal: providers, aliases, prices, spend. models.ts prints them. */
import type { Price } from '../../proxies/llm/spend/price.ts';
import { breakerWords, type ModelsStanding, type ProviderStanding } from '../models/standing.ts';
import type { Config } from '../settings.ts';
import { faultWords } from '../view/fault.ts';
import { usd } from '../view/words.ts';
import { type Facts, list, words } from './facts.ts';
import { note, say, table } from './print.ts';

/** `price` undefined: nobody knows. `listed`: a person wants to read it; not what is free by default, nor what a node just holds. */
export type Priced = { model: string; price: Price | undefined; listed: boolean };

/** Of every model that has a name here: in a chain, of an agent, with a price, on a node. Patterns of `prices` are among them. */
export async function pricesOf(
  config: Config,
  standing: ModelsStanding | undefined,
  nodes: Facts[],
): Promise<Priced[]> {
  const [{ priceOf }, { linkOf }] = await Promise.all([
    import('../../proxies/llm/spend/price.ts'),
    import('../../proxies/llm/route/chain.ts'),
  ]);
  const agents = Object.values(config.agents);
  const named = [
    ...[config.models, ...agents.map((agent) => agent.aliases)].flatMap((aliases) =>
      Object.values(aliases).flat(),
    ),
    ...agents.flatMap(({ model }) =>
      model?.provider === undefined ? [] : [`${model.provider}/${model.name}`],
    ),
    ...Object.entries(config.providers).flatMap(([name, { prices = {} }]) =>
      Object.keys(prices).map((model) => `${name}/${model}`),
    ),
    ...(standing?.unpriced ?? []).map((each) => `${each.provider}/${each.model}`),
  ];
  const held = nodes.flatMap((node) =>
    list(node.models).map((model) => `${words(node.provider)}/${words(model.name)}`),
  );
  return [...new Set([...named, ...held])].sort().map((entry) => {
    const link = linkOf(entry);
    const provider = link && config.providers[link.provider];
    const price = provider && priceOf({ name: link.provider, ...provider }, link.model);
    const byDefault = price?.free === true && price.source !== 'holdfast.yaml';
    return { model: entry, price, listed: named.includes(entry) && !byDefault };
  });
}

/** Of all models of a provider that has no word for one of them. */
async function ownPriceOf(
  name: string,
  { prices: _, ...provider }: Config['providers'][string],
): Promise<string> {
  if (provider.price === undefined) return '';
  const { priceOf } = await import('../../proxies/llm/spend/price.ts');
  return said(priceOf({ name, ...provider }, '*')).price;
}

const usdPerMillion = (nano: number): number => Number((nano / 1000).toPrecision(6));

/** For a script: null where nobody knows, or only the upstream does. */
export function priceJson({ model, price }: Priced): Record<string, unknown> {
  const none = { inputUsdPerMillion: null, cachedUsdPerMillion: null, outputUsdPerMillion: null };
  if (!price) return { model, free: false, ...none, source: null, dated: null };
  if (price.free)
    return {
      model,
      free: true,
      inputUsdPerMillion: 0,
      cachedUsdPerMillion: 0,
      outputUsdPerMillion: 0,
      source: price.source,
      dated: null,
    };
  const rates = {
    inputUsdPerMillion: usdPerMillion(price.inputNano),
    cachedUsdPerMillion: usdPerMillion(price.cachedNano),
    outputUsdPerMillion: usdPerMillion(price.outputNano),
  };
  return {
    model,
    free: false,
    ...(price.guess ? none : rates),
    source: price.source,
    dated: price.dated,
    ...(price.quota ? { byQuota: true } : {}),
    ...(price.header === undefined ? {} : { costHeader: price.header }),
  };
}

function said(price: Price | undefined): { price: string; source: string } {
  if (!price) return { price: 'unknown: refused until you say one', source: '' };
  if (price.free) return { price: 'free', source: price.source };
  const source = `${price.source}, ${price.dated}`;
  if (price.quota) return { price: 'by quota', source: price.source };
  if (price.header !== undefined) return { price: `as ${price.header} says`, source };
  return { price: `${usdPerMillion(price.inputNano)} in, ${usdPerMillion(price.outputNano)} out`, source };
}

/** What a row has room for. */
const modelsShown = 5;

function held(node: Facts | undefined, patterns: readonly string[] = []): string {
  // As nodeclient.ts says it: the address stands in holdfast.yaml, the reason is what is news.
  const [, code] = /did not do it \(([\w-]+)\)/.exec(words(node?.why)) ?? [];
  if (code !== undefined) return `does not answer: ${faultWords(code)}`;
  if (words(node?.why) !== '') return words(node?.why);
  const names = list(node?.models).map((model) => words(model.name));
  const shown = names.length > 0 ? names : patterns;
  const more = shown.length - modelsShown;
  return [...shown.slice(0, modelsShown), ...(more > 0 ? [`+${more} more`] : [])].join(', ');
}

export async function printModels(
  config: Config,
  standing: ModelsStanding | undefined,
  nodes: Facts[],
  prices: Priced[],
): Promise<void> {
  if (Object.keys(config.providers).length === 0) {
    note('No provider is configured. `holdfast config example` shows how.');
    return;
  }
  sayTable(
    ['PROVIDER', 'KIND', 'STATE', 'KEY', 'BUSY', 'PRICE', 'MODELS'],
    await Promise.all(
      Object.entries(config.providers).map(async ([name, provider]) => {
        const live = standing?.providers.find((each) => each.name === name);
        const node = nodes.find((each) => each.provider === name);
        return [
          name,
          provider.kind,
          stateOf(live),
          keyOf(live),
          busyOf(live),
          await ownPriceOf(name, provider),
          held(node, provider.models),
        ];
      }),
    ),
  );
  const agents = Object.entries(config.agents);
  const aliases = [
    ...Object.entries(config.models).map(([name, chain]) => [name, 'all', chain.join(' -> ')]),
    ...agents.flatMap(([agent, { aliases: own }]) =>
      Object.entries(own).map(([name, chain]) => [name, agent, chain.join(' -> ')]),
    ),
  ];
  if (aliases.length > 0) sayTable(['\nALIAS', 'FOR', 'LEADS TO'], aliases);
  const told = prices.filter((each) => each.listed);
  if (told.length > 0)
    sayTable(
      ['\nMODEL', 'USD PER MILLION TOKENS', 'SOURCE'],
      told.map((each) => [each.model, said(each.price).price, said(each.price).source]),
    );
  for (const each of standing?.unpriced ?? []) {
    note(
      `${each.agent} asked for ${each.provider}/${each.model}, and nobody has said what it costs: holdfast models price ${each.provider}/${each.model} --input USD --output USD`,
    );
  }
  for (const each of standing?.keyRefused ?? [])
    note(
      `${each.provider} answered ${each.status}: its key is wrong, or may not use ${each.model ?? 'that'}.`,
    );
  if (!standing) note('Holdfast does not run, so what the providers hold is not known.');
}

const sayTable = (titles: string[], rows: unknown[][]): void => {
  const [first = '', ...rest] = titles;
  if (first.startsWith('\n')) say('');
  say(table([first.trimStart(), ...rest], rows));
};

const stateOf = (of: ProviderStanding | undefined): string => {
  const up = { true: 'up', false: 'down', null: 'not known' }[`${of?.up ?? null}`];
  return [up, of ? breakerWords(of) : ''].filter((part) => part !== '').join(', ');
};

const keyOf = (of: ProviderStanding | undefined): string => {
  if (!of) return '';
  if (!of.login) return of.keyState;
  return `login ${of.login.state}${of.login.warn ? `: ${of.login.warn}` : ''}`;
};

const busyOf = (of: ProviderStanding | undefined): string => {
  if (!of?.slots) return '';
  return `${of.slots.busy} of ${of.slots.of}${of.slots.waiting > 0 ? `, ${of.slots.waiting} wait` : ''}`;
};

export const spendTable = ({ agents }: ModelsStanding): string =>
  table(
    ['AGENT', 'WINDOW', 'USD', 'OF', 'TOKENS', 'OF', 'BEGINS ANEW'],
    agents.flatMap(({ agent, spend }) =>
      (['day', 'month'] as const).map((window) => [
        window === 'day' ? agent : '',
        window,
        usd(spend[window].usd),
        spend[window].limitUsd ?? 'no limit',
        spend[window].tokens,
        spend[window].limitTokens ?? 'no limit',
        spend.resets[window],
      ]),
    ),
  );
