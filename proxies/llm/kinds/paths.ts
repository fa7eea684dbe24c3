/** Which provider answers a request, and at which address. A closed list: what is not on it is refused before anything is read. Called by proxy.ts. */

import { type Denial, deny, quoted } from '../denial.ts';
import { anthropic } from './anthropic.ts';
import type { Kind, KindName, Provider, Route } from './kind.ts';
import { ollama } from './ollama.ts';
import { openai } from './openai.ts';

export const kinds: Record<KindName, Kind> = { openai, anthropic, ollama };

export type Target = {
  provider: Provider;
  route: Route;
  origin: string;
  /** The path below the provider's base URL, without the query. */
  path: string;
  /** '' or '?...': listed parameters only. */
  query: string;
};

/** Query parameters that are credentials in some API: taken away without a word, as credential headers are. */
const credentials = new Set(['key', 'api_key', 'api-key', 'apikey', 'access_token', 'token']);

const allRoutes = Object.values(kinds).flatMap((kind) => kind.routes);

/**
 * `preferred` is the agent's configured provider: asked first, then the others in the order of the configuration.
 * `/<providerName>/...` asks one provider by name.
 */
export function findTarget(
  method: string,
  url: string,
  providers: readonly Provider[],
  preferred?: string,
): Target | Denial {
  const [path = '', ...rest] = url.split('?');
  const named = providers.find((each) => path.startsWith(`/${each.name}/`));
  const native = allRoutes.some((route) => route.path === path);
  const asked = native || !named ? path : path.slice(named.name.length + 1);
  if (!allRoutes.some((route) => route.path === asked && route.method === method)) {
    return deny(
      404,
      'path-not-listed',
      `${method} ${quoted(path)} is not on this door's list`,
      `It serves: ${[...new Set(allRoutes.map((route) => `${route.method} ${route.path}`))].join(', ')}.`,
    );
  }
  const first = providers.filter((each) => each.name === preferred);
  const candidates = native || !named ? [...first, ...providers] : [named];
  for (const provider of candidates) {
    const kind = kinds[provider.kind];
    const route = kind.routes.find((each) => each.path === asked && each.method === method);
    if (!route) continue;
    const query = allowedQuery(rest.join('?'), route);
    if (typeof query !== 'string') return query;
    const base = new URL(provider.baseUrl);
    return {
      provider,
      route,
      origin: base.origin,
      path: upstreamPath(provider, route),
      query,
    };
  }
  if (providers.length === 0) return noProvider;
  return deny(
    404,
    'path-not-spoken',
    `no provider that may be asked speaks ${method} ${asked}`,
    `Configured: ${providers.map((each) => `${each.name} (${each.kind})`).join(', ')}. Add one in holdfast.yaml.`,
  );
}

export const upstreamPath = (provider: Provider, route: Route): string =>
  kinds[provider.kind].upstreamPath(new URL(provider.baseUrl).pathname.replace(/\/+$/, ''), route.path);

/** The format in which an unroutable request would like to hear a no. */
export function formatOf(path: string, headers: Readonly<Record<string, unknown>>): KindName {
  if (path.startsWith('/api/')) return 'ollama';
  return 'anthropic-version' in headers || path.endsWith('/v1/messages') ? 'anthropic' : 'openai';
}

const noProvider = deny(
  503,
  'no-provider',
  'no model provider is connected',
  "Add one to holdfast.yaml, then run `holdfast config apply`. A local Ollama: providers: { local: { kind: ollama, baseUrl: 'http://ADDRESS:11434' } }. " +
    'A vendor: put the key into the file secrets/llm/NAME and add providers: { NAME: { kind: openai, baseUrl: https://api.openai.com/v1, key: NAME } } (kind: anthropic, baseUrl: https://api.anthropic.com).',
);

function allowedQuery(query: string, route: Route): string | Denial {
  const passed = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(query)) {
    if (credentials.has(name.toLowerCase())) continue;
    if (!route.query.includes(name)) {
      return deny(
        403,
        'query-not-listed',
        `the query parameter ${quoted(name)} is not on this door's list`,
        `${route.path} takes: ${route.query.join(', ') || 'none'}.`,
      );
    }
    passed.append(name, value);
  }
  return passed.size === 0 ? '' : `?${passed}`;
}
