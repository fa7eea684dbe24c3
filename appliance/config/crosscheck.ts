/** What one field of holdfast.yaml alone cannot know: names that stand elsewhere, ports that must differ. config.ts asks after the schema has said yes. */
import { chainOf, linkOf } from '../../proxies/llm/route/chain.ts';
import type { Config } from '../settings.ts';
import { got } from './expected.ts';
import type { Mistake, Path } from './mistake.ts';
import { nearest } from './nearest.ts';

export type Crossed = Omit<Mistake, 'path' | 'line' | 'column'> & { path: Path };

export function crossChecks(config: Config): Crossed[] {
  const agents = Object.entries(config.agents);
  return [
    ...ports(config),
    ...chains(config, ['models'], config.models, {}),
    ...agents.flatMap(([name, agent]) => [
      ...chains(config, ['agents', name, 'aliases'], agent.aliases, config.models),
      ...model(config, name),
    ]),
  ];
}

function ports(config: Config): Crossed[] {
  const all = [
    ['controller', config.controller.port],
    ['chat', config.chat.port],
    ['metrics', config.metrics.port],
  ] as const;
  return all.flatMap(([name, port], at) => {
    const first = all.slice(0, at).find(([, other]) => port !== undefined && other === port);
    if (!first) return [];
    return [{ path: [name, 'port'], got: String(port), expected: `another port than ${first[0]}.port` }];
  });
}

function chains(
  config: Config,
  at: Path,
  aliases: Record<string, string[]>,
  others: Record<string, string[]>,
): Crossed[] {
  return Object.entries(aliases).flatMap(([alias, chain]) =>
    chain.flatMap((entry, index) => {
      const path = [...at, alias, index];
      const read = linkOf(entry);
      if (read) return known(config, read.provider, path, entry);
      const isAlias = Object.hasOwn(aliases, entry) || Object.hasOwn(others, entry);
      const expected = isAlias
        ? 'provider/model: an alias does not lead to an alias'
        : `provider/model${Object.hasOwn(config.providers, entry) ? `, such as ${entry}/NAME` : ''}`;
      return [{ path, got: got(entry, path), expected }];
    }),
  );
}

function model(config: Config, agent: string): Crossed[] {
  const of = config.agents[agent];
  if (of?.model === undefined) return [];
  const { provider, name } = of.model;
  const path = ['agents', agent, 'model', 'provider'];
  if (provider !== undefined) return known(config, provider, path, provider);
  if (chainOf(name, of.aliases, config.models)) return [];
  const aliases = [...Object.keys(of.aliases), ...Object.keys(config.models)];
  const near = nearest(name, aliases);
  return [
    {
      path,
      got: 'nothing',
      expected: `a provider, because ${got(name, path)} is no alias`,
      ...(near === undefined ? {} : { nearest: near }),
    },
  ];
}

function known(config: Config, provider: string, path: Path, written: string): Crossed[] {
  if (Object.hasOwn(config.providers, provider)) return [];
  const providers = Object.keys(config.providers);
  const near = nearest(provider, providers);
  return [
    {
      path,
      got: got(written, path),
      expected:
        providers.length > 0
          ? `one of the providers: ${providers.join(', ')}`
          : 'a provider; none is configured',
      ...(near === undefined ? {} : { nearest: near }),
    },
  ];
}
