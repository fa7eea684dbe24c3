/** What one field of holdfast.yaml alone cannot know: names that stand elsewhere, ports that must differ. config.ts asks after the schema has said yes. */
import { kinds } from '../../proxies/llm/kinds/paths.ts';
import { chainOf, type Link, linkOf } from '../../proxies/llm/route/chain.ts';
import { anyGlob } from '../../proxies/llm/route/glob.ts';
import type { Config } from '../settings.ts';
import { got } from './expected.ts';
import type { Crossed, Path } from './mistake.ts';
import { nearest } from './nearest.ts';
import { permitted } from './permitted.ts';

export function crossChecks(config: Config): Crossed[] {
  const agents = Object.entries(config.agents);
  return [
    ...ports(config),
    ...providers(config),
    ...chains(config, ['models'], config.models, {}),
    ...agents.flatMap(([name, agent]) => [
      ...chains(config, ['agents', name, 'aliases'], agent.aliases, config.models),
      ...model(config, name),
      ...permitted(config, name),
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

/** What the door's own paths begin with; `/NAME/...` is a provider's. */
const pathWords = new Set(
  Object.values(kinds).flatMap(({ routes }) => routes.map(({ path }) => path.split('/')[1] ?? '')),
);

function providers(config: Config): Crossed[] {
  return Object.keys(config.providers)
    .filter((name) => pathWords.has(name))
    .map((name) => ({
      path: ['providers', name],
      got: `“${name}”, with which paths of the llm door begin`,
      expected: 'another name',
      nearest: `my-${name}`,
    }));
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
      if (read) {
        const unknown = known(config, read.provider, path, entry);
        return unknown.length > 0 ? unknown : listed(config, read, path, entry);
      }
      const isAlias = Object.hasOwn(aliases, entry) || Object.hasOwn(others, entry);
      const expected = isAlias
        ? 'provider/model: an alias does not lead to an alias'
        : `provider/model${Object.hasOwn(config.providers, entry) ? `, such as ${entry}/NAME` : ''}`;
      return [{ path, got: got(entry, path), expected }];
    }),
  );
}

/** A provider that lists its models is asked for no other. */
function listed(config: Config, { provider, model: name }: Link, path: Path, written: string): Crossed[] {
  const { models } = config.providers[provider] ?? {};
  if (models === undefined || anyGlob(models, name)) return [];
  const near = nearest(
    name,
    models.filter((each) => !each.includes('*')),
  );
  return [
    {
      path,
      got: got(written, path),
      expected: `one of the models that ${provider} lists: ${models.join(', ')}`,
      ...(near === undefined ? {} : { nearest: `${provider}/${near}` }),
    },
  ];
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
