/** What an agent's `allow` holds, against what is configured: entries that permit nothing, and a model of its own that it forbids. crosscheck.ts asks. */
import { chainOf, linkOf } from '../../proxies/llm/route/chain.ts';
import { globMatches } from '../../proxies/llm/route/glob.ts';
import type { Config } from '../settings.ts';
import { got } from './expected.ts';
import type { Crossed, Path } from './mistake.ts';
import { nearest } from './nearest.ts';

export function permitted(config: Config, agent: string): Crossed[] {
  const allow = config.agents[agent]?.allow;
  if (allow === undefined) return [];
  const entries = allow.flatMap((entry, at) => allowed(config, agent, entry, ['agents', agent, 'allow', at]));
  return entries.length > 0 ? entries : own(config, agent, allow);
}

/** Without a star it is one name; with one, the provider is a name where the star comes after the slash. */
function allowed(config: Config, agent: string, entry: string, path: Path): Crossed[] {
  const aliases = [...Object.keys(config.agents[agent]?.aliases ?? {}), ...Object.keys(config.models)];
  const providers = Object.keys(config.providers);
  const link = linkOf(entry);
  const wrong = (expected: string, near: string | undefined): Crossed[] => [
    { path, got: got(entry, path), expected, ...(near === undefined ? {} : { nearest: near }) },
  ];
  if (link) {
    const { provider, model } = link;
    if (provider.includes('*') || providers.includes(provider)) return [];
    const near = nearest(provider, providers);
    const some =
      providers.length > 0
        ? `one of the providers: ${providers.join(', ')}`
        : 'a provider; none is configured';
    return wrong(some, near && `${near}/${model}`);
  }
  if (entry.includes('*') || aliases.includes(entry)) return [];
  if (providers.includes(entry)) return wrong('an alias, or provider/model', `${entry}/*`);
  return wrong(
    'an alias, or provider/model',
    nearest(entry, [...aliases, ...providers.map((each) => `${each}/*`)]),
  );
}

/** As plan.ts judges: an alias is allowed by its name, or by one model that it leads to. */
function own(config: Config, agent: string, allow: readonly string[]): Crossed[] {
  const of = config.agents[agent];
  if (of?.model === undefined) return [];
  const { provider, name } = of.model;
  const chain = chainOf(name, of.aliases, config.models);
  const names = [
    ...(chain ? [name, ...chain] : []),
    ...(provider === undefined ? [] : [`${provider}/${name}`]),
  ];
  if (names.length === 0 || names.some((each) => allow.some((glob) => globMatches(glob, each)))) return [];
  const path = ['agents', agent, 'model', 'name'];
  const entry = provider === undefined ? name : `${provider}/${name}`;
  return [
    {
      path,
      got: `${got(name, path)}, which its own allow refuses`,
      expected: `a model that allow permits, or ${got(entry, path)} in allow`,
    },
  ];
}
