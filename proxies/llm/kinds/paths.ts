/** Which request this is, and at which address a provider answers it. A closed list: what is not on it is refused before anything is read. Called by proxy.ts, plan.ts and keyring.ts. */
import { type Denial, deny, quoted } from '../denial.ts';
import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import type { Kind, KindName, Provider, Route } from './kind.ts';
import { ollama } from './ollama.ts';
import { openai } from './openai.ts';

export const kinds: Readonly<Record<KindName, Kind>> = { openai, anthropic, gemini, ollama };

/** What was asked for, before anybody was chosen to answer. */
export type Place = {
  route: Route;
  /** The path as asked, after the prefix. */
  asked: string;
  /** The one provider that may answer, where the path begins with it. */
  prefix: string | null;
  /** From the path. */
  model: string | null;
  /** '' or '?...', credentials taken away. */
  query: string;
  /** Where the path says it. */
  stream: boolean | null;
};

/** The same at one provider. `route` is of its kind: it says where the key goes. */
export type Target = {
  provider: Provider;
  route: Route;
  origin: string;
  /** The whole path, the base URL's first, without the query. */
  path: string;
  query: string;
};

/** Query parameters that are credentials in some API: taken away without a word, as credential headers are. */
const credentials = new Set(['key', 'api_key', 'api-key', 'apikey', 'access_token', 'token']);

/** A model's name within a path: letters, and no way up. Longer than any in use. */
const modelName = /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[\w.:@/+-]{1,200}$/;

const allRoutes = Object.values(kinds).flatMap((kind) => kind.routes);
const served = [...new Set(allRoutes.map(({ method, path }) => `${method} ${path}`))];
/** By method and path; those with a model in it are tried one by one. */
const exact = Map.groupBy(
  allRoutes.filter(({ path }) => !path.includes('{model}')),
  ({ method, path }) => `${method} ${path}`,
);
const templates = allRoutes.flatMap((route) => {
  const [before = '', after] = route.path.split('{model}');
  return after === undefined ? [] : [{ route, before, after }];
});

type Match = { route: Route; model: string | null };

function matchesOf(method: string, path: string): Match[] {
  const routes = exact.get(`${method} ${path}`);
  if (routes) return routes.map((route) => ({ route, model: null }));
  return templates.flatMap(({ route, before, after }) => {
    if (route.method !== method || !path.startsWith(before) || !path.endsWith(after)) return [];
    const model = decoded(path.slice(before.length, path.length - after.length));
    return model !== undefined && modelName.test(model) ? [{ route, model }] : [];
  });
}

function decoded(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

/** `/NAME/...`: a provider of that name, else the first of that kind. */
function prefixOf(
  path: string,
  providers: readonly Provider[],
): { prefix: string; rest: string; provider: Provider | undefined } | undefined {
  const [, prefix = '', rest = ''] = /^\/([^/]+)(\/.*)$/.exec(path) ?? [];
  const provider =
    providers.find(({ name }) => name === prefix) ?? providers.find(({ kind }) => kind === prefix);
  return provider || Object.hasOwn(kinds, prefix) ? { prefix, rest, provider } : undefined;
}

export function place(method: string, url: string, providers: readonly Provider[]): Place | Denial {
  const mark = url.indexOf('?');
  const path = mark === -1 ? url : url.slice(0, mark);
  let found = matchesOf(method, path);
  const named = found.length === 0 ? prefixOf(path, providers) : undefined;
  const asked = named ? named.rest : path;
  if (named) found = matchesOf(method, asked);
  if (found.length === 0) {
    return deny(
      404,
      'path-not-listed',
      `${method} ${quoted(path)} is not on this door's list`,
      `It serves: ${served.join(', ')}.`,
    );
  }
  if (providers.length === 0) return noProvider;
  if (named && !named.provider) return noneOfKind(named.prefix);
  const spoken = named?.provider ? [named.provider] : providers;
  const spokenRoutes = spoken.flatMap(({ kind }) =>
    found.filter(({ route }) => kinds[kind].routes.includes(route)),
  );
  const routes = spokenRoutes.map(({ route }) => route);
  const [first] = spokenRoutes;
  if (!first) {
    return deny(
      404,
      'path-not-spoken',
      `no provider that may be asked speaks ${method} ${asked.slice(0, 200)}`,
      `Configured: ${providers.map((each) => `${each.name} (${each.kind})`).join(', ')}. Add one in holdfast.yaml.`,
    );
  }
  const query = allowedQuery(mark === -1 ? '' : url.slice(mark + 1), routes);
  if (typeof query !== 'string') return query;
  const { route, model } = first;
  const streams = route.path.endsWith(':streamGenerateContent');
  if (streams && query !== '?alt=sse') return notEvents;
  return {
    route,
    asked,
    prefix: named?.provider?.name ?? null,
    model,
    query,
    stream: route.format === 'gemini-generate' ? streams : null,
  };
}

/** Undefined: this provider's kind does not speak what is asked. `model` is the real one; it goes into a path that names one. */
export function targetOf(place: Place, provider: Provider, model: string | null): Target | undefined {
  const { method, path: asked, format } = place.route;
  const route = kinds[provider.kind].routes.find(
    (each) => each.method === method && each.path === asked && each.format === format,
  );
  if (!route) return undefined;
  if (place.query !== '') {
    const names = [...new URLSearchParams(place.query).keys()];
    if (names.some((name) => !route.query.includes(name))) return undefined;
  }
  const path = upstreamPath(provider, route, model ?? place.model);
  return { provider, route, origin: baseOf(provider).origin, path, query: place.query };
}

type Base = { origin: string; hostname: string; path: string };
const bases = new WeakMap<Provider, Base>();

/** A base URL is read once: a provider's settings are replaced by a change, not changed. */
function baseOf(provider: Provider): Base {
  const known = bases.get(provider);
  if (known) return known;
  const { origin, hostname, pathname } = new URL(provider.baseUrl);
  const base = { origin, hostname, path: pathname.replace(/\/+$/, '') };
  bases.set(provider, base);
  return base;
}

/** The models that a provider of this kind at this host has; undefined where it may have any. */
export const ownModelsOf = (provider: Provider): readonly string[] | undefined =>
  kinds[provider.kind].ownModels(baseOf(provider).hostname);

/** Without a model, `{model}` stays where it would stand. */
export function upstreamPath(provider: Provider, route: Route, model: string | null = null): string {
  const path = model === null ? route.path : route.path.replace('{model}', () => encodeURIComponent(model));
  return kinds[provider.kind].upstreamPath(baseOf(provider).path, path);
}

/** The format in which an unroutable request would like to hear a no. */
export function formatOf(path: string, headers: Readonly<Record<string, unknown>>): KindName {
  if (/^(\/[^/]+)?\/api\//.test(path)) return 'ollama';
  if (path.includes('/v1beta/openai/')) return 'openai';
  if (path.includes('/v1beta/') || 'x-goog-api-key' in headers) return 'gemini';
  return 'anthropic-version' in headers || /\/v1\/messages(\/|$)/.test(path) ? 'anthropic' : 'openai';
}

const noProvider = deny(
  503,
  'no-provider',
  'no model provider is connected',
  "Add one to holdfast.yaml, then run `holdfast config apply`. A local Ollama: providers: { local: { kind: ollama, baseUrl: 'http://ADDRESS:11434' } }. " +
    'A vendor: put the key into the file secrets/llm/NAME and add providers: { NAME: { kind: openai, baseUrl: https://api.openai.com/v1, key: NAME } } ' +
    '(kind: anthropic, baseUrl: https://api.anthropic.com; kind: gemini, baseUrl: https://generativelanguage.googleapis.com).',
);

const noneOfKind = (kind: string): Denial =>
  deny(
    404,
    'path-not-spoken',
    `no provider is named ${kind} or of that kind`,
    'Add one to `providers` in holdfast.yaml, then run `holdfast config apply`.',
  );

const notEvents = deny(
  400,
  'stream-not-sse',
  'a stream is served as events only',
  'Ask with ?alt=sse, as the Gemini SDKs do.',
);

/** What one of the routes takes. Which of them answers is decided later, and it must take all of it. */
function allowedQuery(query: string, routes: readonly Route[]): string | Denial {
  if (query === '') return '';
  const passed = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(query)) {
    if (credentials.has(name.toLowerCase())) continue;
    if (passed.has(name) || !routes.some((route) => route.query.includes(name))) {
      return deny(
        403,
        'query-not-listed',
        `the query parameter ${quoted(name)} is not on this door's list, or given twice`,
        `${routes[0]?.path} takes: ${[...new Set(routes.flatMap((route) => route.query))].join(', ') || 'none'}.`,
      );
    }
    passed.append(name, value);
  }
  return passed.size === 0 ? '' : `?${passed}`;
}
