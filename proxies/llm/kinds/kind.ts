/** What a provider kind declares about itself: its paths, where its key goes, what a body may hold, how it says no. One file per kind implements it. */
import type { Denial } from '../denial.ts';

export type KindName = 'openai' | 'anthropic' | 'gemini' | 'ollama';

/** What an owner says a model costs there. Exactly one of free, costHeader or the two rates. */
export type OwnPrice = {
  /** Costs nothing: a model on a machine of one's own. */
  free?: boolean | undefined;
  /** The response header in which the upstream says the cost in USD (LiteLLM: `x-litellm-response-cost`). */
  costHeader?: string | undefined;
  inputUsdPerMillion?: number | undefined;
  cachedUsdPerMillion?: number | undefined;
  cacheWriteUsdPerMillion?: number | undefined;
  outputUsdPerMillion?: number | undefined;
};

/** An OAuth login instead of a key: device code (RFC 8628) and refresh. */
export type LoginSettings = {
  deviceUrl: string;
  tokenUrl: string;
  clientId: string;
  scope?: string | undefined;
};

/** A provider as the owner configured it. Its base URL is permission for exactly that host and port. */
export type Provider = {
  name: string;
  kind: KindName;
  baseUrl: string;
  /** Name of the key file in secrets/llm/, not the key. */
  key?: string | undefined;
  login?: LoginSettings | undefined;
  /** Names of PEM files in secrets/llm/: the authority that signed its certificate, and our own certificate and key. */
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  /** Globs (`*`) of the models it is asked for when a model names no provider. Absent: any. */
  models?: readonly string[] | undefined;
  /** Exchanges at once, over all agents. */
  concurrency?: number | undefined;
  price?: OwnPrice | undefined;
  /** By glob over its model names; goes before `price`. */
  prices?: Readonly<Record<string, OwnPrice>> | undefined;
  /** The longest input that its models take, in tokens; by glob over their names where they differ. */
  contextTokens?: number | undefined;
  modelContextTokens?: Readonly<Record<string, number>> | undefined;
  /** URL-typed content may pass, each host judged by the agent's egress policy. */
  urls?: boolean | undefined;
};

/** A wire format: the grammar of one kind of request and of its answer. */
export type FormatName =
  | 'openai-chat'
  | 'openai-responses'
  | 'openai-embeddings'
  | 'openai-speech'
  | 'openai-transcription'
  | 'anthropic-messages'
  | 'anthropic-count'
  | 'gemini-generate'
  | 'gemini-embed'
  | 'gemini-count'
  | 'ollama-chat'
  | 'ollama-generate'
  | 'ollama-embed'
  | 'ollama-show'
  /** A GET without a body: lists of models. */
  | 'listing';

export type Route = {
  method: 'GET' | 'POST';
  /** As the client asks for it, compared byte by byte: nothing is decoded or normalised. `{model}` stands for one model name. */
  path: string;
  /** It decides how the body is scanned and how the answer is read. */
  format: FormatName;
  /** In whose error shape a refusal is said. */
  speaks: KindName;
  /** Query parameters that may be passed on. */
  query: readonly string[];
  keyIn: 'authorization' | 'x-api-key' | 'x-goog-api-key';
  /** Sent where the client said nothing, e.g. the API version that a foreign client does not know of. */
  defaults?: Readonly<Record<string, string>>;
};

export type Kind = {
  name: KindName;
  routes: readonly Route[];
  /** The path to ask of the provider, given the path of its base URL. */
  upstreamPath(basePath: string, path: string): string;
  /** Globs of the models that such a provider has when its owner listed none; undefined: it may have any. */
  ownModels(host: string): readonly string[] | undefined;
  /** A word about a model name that reaches out by itself, or undefined. */
  modelReachesOut(model: string): string | undefined;
  /** A denial in this wire format, so that its SDKs show the reason. */
  errorBody(denial: Denial): unknown;
};
