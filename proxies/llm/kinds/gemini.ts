/** The Gemini kind: generate, count, embed and models, and its OpenAI-compatible paths: paths, key, error shape. Listed in paths.ts. */
import { denialText } from '../denial.ts';
import type { FormatName, Kind, Route } from './kind.ts';

/** The key goes into the header, also where the client put its own into the query: a URL ends up in logs. */
const own = { speaks: 'gemini', query: [], keyIn: 'x-goog-api-key' } as const;
const compatible = { speaks: 'openai', query: [], keyIn: 'authorization' } as const;

const calls: readonly [string, FormatName][] = [
  ['generateContent', 'gemini-generate'],
  ['countTokens', 'gemini-count'],
  ['embedContent', 'gemini-embed'],
  ['batchEmbedContents', 'gemini-embed'],
];

const compatibleCalls: readonly Omit<Route, keyof typeof compatible>[] = [
  { method: 'POST', path: '/chat/completions', format: 'openai-chat' },
  { method: 'POST', path: '/embeddings', format: 'openai-embeddings' },
  { method: 'GET', path: '/models', format: 'listing' },
  { method: 'GET', path: '/models/{model}', format: 'listing' },
];

/** google.rpc.Code by HTTP status. */
const statuses: Record<number, string> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  402: 'RESOURCE_EXHAUSTED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  413: 'INVALID_ARGUMENT',
  429: 'RESOURCE_EXHAUSTED',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

export const gemini: Kind = {
  name: 'gemini',
  routes: [
    ...['/v1beta', '/v1'].flatMap((version): Route[] => [
      ...calls.map(
        ([call, format]): Route => ({
          ...own,
          method: 'POST',
          path: `${version}/models/{model}:${call}`,
          format,
        }),
      ),
      {
        ...own,
        method: 'POST',
        path: `${version}/models/{model}:streamGenerateContent`,
        format: 'gemini-generate',
        query: ['alt'],
      },
    ]),
    { ...own, method: 'GET', path: '/v1beta/models', format: 'listing', query: ['pageSize', 'pageToken'] },
    { ...own, method: 'GET', path: '/v1beta/models/{model}', format: 'listing' },
    // As Google documents it, and as an OpenAI client asks that was given the door's /v1. So the lists of /v1 are OpenAI's here.
    ...compatibleCalls.flatMap((call): Route[] => [
      { ...compatible, ...call, path: `/v1beta/openai${call.path}` },
      { ...compatible, ...call, path: `/v1${call.path}` },
    ]),
  ],
  upstreamPath(basePath, path) {
    const compatiblePath = /^\/v1(\/(?:chat\/completions|embeddings|models(?:\/[^:]*)?))$/.exec(path)?.[1];
    const asked = compatiblePath === undefined ? path : `/v1beta/openai${compatiblePath}`;
    return basePath.replace(/\/v1(beta)?(\/openai)?$/, '') + asked;
  },
  ownModels: () => ['gemini-*', 'gemma-*', 'learnlm-*', 'text-embedding-00*', 'embedding-001'],
  modelReachesOut: (model) =>
    /deep-research/i.test(model) ? 'this model searches the web by itself' : undefined,
  errorBody: (denial) => ({
    error: {
      code: denial.status,
      message: denialText(denial),
      status: statuses[denial.status] ?? 'INTERNAL',
      details: [
        { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: denial.rule, domain: 'holdfast' },
      ],
    },
  }),
};
