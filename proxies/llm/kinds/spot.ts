/** How a body's grammar is written down: a format is a table of fields, a spot says what may stand in one place. Filled in by formats/*.ts, compiled by asked/grammar.ts. */

/**
 * What a place tells the door besides being judged: the model, the number of tokens asked for, a piece for the record, ...
 * `part` is one content-addressable piece; `long` is one when it is longer than a digest is worth.
 */
export type Take =
  | 'model'
  | 'innerModel'
  | 'stream'
  | 'streamFormat'
  | 'maxTokens'
  | 'answers'
  | 'user'
  | 'metadata'
  | 'streamOptions'
  | 'includeUsage'
  | 'store'
  | 'part'
  | 'long';

/** Why something may not stand in a place, and so under which rule it is refused. */
export type Fault =
  | 'field'
  | 'part'
  | 'item'
  | 'tool'
  | 'reaching'
  | 'stored'
  | 'source'
  | 'tier'
  | 'malformed';

/** One kind of place in a body. Names are of other spots in the same format or of the shared ones; lists are words with blanks between. */
export type Spot = {
  /** Takes over everything from that spot that is not said here. */
  like?: string;
  /** Kinds of values, of: string number flag false list object. Absent: all. null means "not given" and passes everywhere but in a list that must be empty. */
  may?: string;
  /**
   * What a string is. text: never read as anything else. word (default): refused where it looks like an address. url: an address
   * that the provider would fetch. ref: of a JSON schema, and only within it. label: an address only where `labels` says that it is none.
   */
  string?: 'text' | 'word' | 'url' | 'ref' | 'label';
  /** The only strings that pass. */
  words?: string;
  /** The client's own data: names mean nothing in it, and nothing is read in it but `keys`. */
  free?: true;
  /** Spot -> the keys that lead there. They go before the shared ones. */
  keys?: Readonly<Record<string, string>>;
  /** Only `keys` may stand here, spelled exactly so. */
  closed?: true;
  /** The spot of any other key. Absent: word, or the same spot where it is free. */
  rest?: string;
  /** Of each element of a list. Absent: the same spot. */
  each?: string;
  /** Of an object standing here. Absent: the same spot. */
  object?: string;
  /** What an object's `type` may be. */
  types?: string;
  /** Types that make the provider fetch: they pass only where URLs may pass. */
  fetchingTypes?: string;
  /** An object without a type is refused, or passes with one of these keys. Absent: it passes. */
  untyped?: 'refused' | 'with role';
  /** Keys that may stand only beside these types. */
  beside?: Readonly<Record<string, string>>;
  /** Types beside which a `label` may look like an address. */
  labels?: string;
  take?: Take;
  fault?: Fault;
};

export type Format = {
  /** Spot -> the top-level fields that are judged as that spot. No other field passes. */
  fields: Readonly<Record<string, string>>;
  /** Types of content parts. */
  parts?: string;
  /** Spots of this format alone. */
  spots?: Readonly<Record<string, Spot>>;
  /** The body must name a model. */
  model: 'required' | 'in the path' | 'none';
  /** It streams unless told not to. */
  streams?: true;
  /** Each key may also be written in snake_case (protobuf's JSON). */
  snake?: true;
  /** The body is a form. */
  form?: true;
};

/** Spots that every format has. */
export const sharedSpots: Readonly<Record<string, Spot>> = {
  word: {},
  text: { string: 'text' },
  /** Settings whose keys the client chose, and data that goes back to it. */
  free: { free: true, string: 'text' },
  /** A JSON schema. Its properties are the client's; a reference out of it would have to be fetched. */
  schema: { free: true, string: 'text', keys: { ref: '$ref $dynamicRef $recursiveRef' } },
  ref: {
    free: true,
    string: 'ref',
    rest: 'schema',
    each: 'schema',
    keys: { ref: '$ref $dynamicRef $recursiveRef' },
  },
  url: { string: 'url' },
  /** Null, false and [] switch it off, and nothing else may be said. */
  off: { may: 'false list', each: 'never', fault: 'reaching' },
  store: { may: 'false', take: 'store', fault: 'reaching' },
  stored: { may: 'false list', each: 'neverStored', fault: 'stored' },
  never: { may: '', fault: 'reaching' },
  neverStored: { may: '', fault: 'stored' },
  flag: { may: 'flag' },
  number: { may: 'number' },
  model: { may: 'string', string: 'text', take: 'model' },
  stream: { may: 'flag', take: 'stream' },
  maxTokens: { may: 'number', take: 'maxTokens' },
  answers: { may: 'number', take: 'answers' },
  user: { may: 'string', string: 'text', take: 'user' },
  /** A metadata object whose keys are the client's. */
  metadata: { free: true, string: 'text', take: 'metadata' },
  /** Content: text, or a list of parts, or one part. */
  content: { string: 'text', each: 'part', object: 'part' },
  longText: { string: 'text', take: 'long' },
  longContent: { like: 'content', take: 'long' },
  messages: { may: 'list', each: 'message' },
  message: { may: 'object', take: 'part' },
  /** Where a part's bytes come from. As a string it is the title of a search result and nothing to fetch. */
  source: {
    string: 'label',
    types: 'base64 text content',
    fetchingTypes: 'url',
    untyped: 'refused',
    keys: { text: 'data' },
    fault: 'source',
  },
  part: { may: 'string object', string: 'text', untyped: 'refused', fault: 'part' },
  /** A tool that the client runs itself. Closed: a vendor's next switch inside a tool may be a way out. */
  tools: { may: 'list', each: 'tool', take: 'long', fault: 'tool' },
  tool: { may: '', fault: 'tool' },
  /** What was heard or is to be said: settings, or an earlier answer by its id. */
  heard: { keys: { stored: 'id', heard: 'voice' } },
  /** Only what the client itself may call a tool: an agent's own or, at the provider, nobody's. */
  callers: { may: 'list', words: 'direct', fault: 'tool' },
  /** Processing at the list price, or below. Priority and fast modes cost up to six times as much, and no budget could tell. */
  tier: { may: 'string', words: 'auto default flex standard standard_only', fault: 'tier' },
  /** Another region than the usual is billed at another rate. */
  region: { may: 'string', words: 'global', fault: 'tier' },
};

/** Keys that mean the same wherever a provider reads. Compared by what they mean: case, `_` and `-` do not count. */
export const sharedKeys: Readonly<Record<string, string>> = {
  text: 'text thinking reasoning reasoning_content refusal title context description name cited_text summary filename display_name',
  free: 'tool_calls function_call arguments',
  content: 'content',
  source: 'source',
  heard: 'audio',
  callers: 'allowed_callers',
  off: 'container mcp_servers tools tool_changes server_url connector_id server_label environment',
};

/** Any other key by its ending: what names a place to fetch from, and what names an object kept at the provider. */
export const sharedEndings: readonly (readonly [string, RegExp])[] = [
  ['url', /ur[li]s?$/],
  [
    'stored',
    /(file|container|vectorstore|connector|conversation|response|attachment|upload|asset|thread|assistant|batch)ids?$/,
  ],
];
