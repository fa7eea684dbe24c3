/** What a provider kind declares about itself: its paths, where its key goes, what a body may hold, how it says no. One file per kind implements it. */
import type { Denial } from '../denial.ts';

export type KindName = 'openai' | 'anthropic' | 'ollama';

/** A provider as the owner configured it. Its base URL is permission for exactly that host and port. */
export type Provider = {
  name: string;
  kind: KindName;
  baseUrl: string;
  /** Name of the key file, not the key. */
  key?: string | undefined;
};

export type Route = {
  method: 'GET' | 'POST';
  /** As the client asks for it, compared byte by byte: nothing is decoded or normalised. */
  path: string;
  /** The wire format spoken there: it decides how the body is scanned and how a refusal looks. */
  speaks: KindName;
  /** Query parameters that may be passed on. */
  query: readonly string[];
  keyIn: 'authorization' | 'x-api-key';
  /** Sent where the client said nothing, e.g. the API version that a foreign client does not know of. */
  defaults?: Readonly<Record<string, string>>;
};

/** What a request in one wire format may hold. Everything else is refused: a vendor's next feature may be a way out. */
export type BodyRules = {
  /** The top-level fields, spelled exactly so. */
  fields: ReadonlySet<string>;
  /** Types of content parts. */
  parts: ReadonlySet<string>;
  /** Types of tools that the client executes itself; null where a tool has no type. */
  toolTypes: ReadonlySet<unknown>;
  /** Fields whose content is the client's own data: the vendor never reads a URL there. */
  opaque: ReadonlySet<string>;
};

export type Kind = {
  name: KindName;
  routes: readonly Route[];
  body: BodyRules;
  /** The path to ask of the provider, given the path of its base URL. */
  upstreamPath(basePath: string, path: string): string;
  /** A word about a model name that reaches out by itself, or undefined. */
  modelReachesOut(model: string): string | undefined;
  /** A denial in this wire format, so that its SDKs show the reason. */
  errorBody(denial: Denial): unknown;
};
