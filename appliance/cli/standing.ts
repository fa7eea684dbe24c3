/** How models stand, as tables for a terminal: providers, aliases, prices, spend. models.ts prints them. */
import type { Price } from '../../proxies/llm/spend/price.ts';
import type { ModelsStanding, ProviderStanding } from '../models/standing.ts';
import type { Config } from '../settings.ts';
import { usd } from '../view/words.ts';
import { type Facts, list, words } from './facts.ts';
import { note, say, table } from './print.ts';

export type Priced = { model: string; price: string; source: string };

/** Of every model that has a name here: in a chain, of an agent, with a price, on a node. */
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
      Object.keys(prices).flatMap((model) => (model.includes('*') ? [] : [`${name}/${model}`])),
    ),
    ...nodes.flatMap((node) =>
      list(node.models).map((model) => `${words(node.provider)}/${words(model.name)}`),
    ),
    ...(standing?.unpriced ?? []).map((each) => `${each.provider}/${each.model}`),
  ];
  return [...new Set(named)].sort().map((entry) => {
    const link = linkOf(entry);
    const provider = link && config.providers[link.provider];
    const price = provider && priceOf({ name: link.provider, ...provider }, link.model);
    return { model: entry, ...said(price) };
  });
}

function said(price: Price | undefined): { price: string; source: string } {
  if (!price) return { price: 'unknown: refused until you say one', source: '' };
  if (price.free) return { price: 'free', source: price.source };
  const source = `${price.source}, ${price.dated}`;
  if (price.quota) return { price: 'by quota', source: price.source };
  if (price.header !== undefined) return { price: `as ${price.header} says`, source };
  const perMillion = (nano: number): string => String(Number((nano / 1000).toPrecision(6)));
  return { price: `${perMillion(price.inputNano)} in, ${perMillion(price.outputNano)} out`, source };
}

export function printModels(
  config: Config,
  standing: ModelsStanding | undefined,
  nodes: Facts[],
  prices: Priced[],
): void {
  const names = Object.keys(config.providers);
  if (names.length === 0) {
    note('No provider is configured. `holdfast config example` shows how.');
    return;
  }
  sayTable(
    ['PROVIDER', 'KIND', 'STATE', 'KEY', 'BUSY', 'MODELS'],
    names.map((name) => {
      const live = standing?.providers.find((each) => each.name === name);
      const node = nodes.find((each) => each.provider === name);
      const held = list(node?.models).map((model) => words(model.name));
      return [
        name,
        config.providers[name]?.kind,
        stateOf(live),
        keyOf(live),
        busyOf(live),
        node?.why ?? held.join(', '),
      ];
    }),
  );
  const agents = Object.entries(config.agents);
  const aliases = [
    ...Object.entries(config.models).map(([name, chain]) => [name, 'all', chain.join(' -> ')]),
    ...agents.flatMap(([agent, { aliases: own }]) =>
      Object.entries(own).map(([name, chain]) => [name, agent, chain.join(' -> ')]),
    ),
  ];
  if (aliases.length > 0) sayTable(['\nALIAS', 'FOR', 'LEADS TO'], aliases);
  if (prices.length > 0)
    sayTable(
      ['\nMODEL', 'USD PER MILLION TOKENS', 'SOURCE'],
      prices.map((each) => [each.model, each.price, each.source]),
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
  if (!of || of.up === null) return 'not known';
  const open = Object.entries(of.breakers).filter(([, state]) => state !== 'closed');
  const rests = open.length > 0 ? `, rests for ${open.map(([agent]) => agent).join(', ')}` : '';
  return `${of.up ? 'up' : 'down'}${rests}`;
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
