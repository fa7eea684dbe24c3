/** What a format's file makes of an answer: pieces go in as they come, the answer as the non-streamed API would have given it comes out. Driven by reader.ts. */
import { Text } from './text.ts';
import type { Tokens } from './tokens.ts';
import type { Obj } from './value.ts';

/** What an answer says about itself. */
export type Facts = {
  /** The count is the last one, although the format's end was not seen. */
  final?: boolean;
  tokens?: Tokens | undefined;
  /** What the upstream itself says it costs, in USD. */
  costUsd?: number | undefined;
  stop?: string | undefined;
  model?: string | undefined;
  error?: string | undefined;
};

export type Fold = {
  /** An event, a line or an element of a stream. `type` is the name of a server-sent event, `bytes` the length of its text. */
  piece(value: Obj, type: string, bytes: number): void;
  /** An answer that came as one JSON object; of a very long one, only its short members. */
  whole(value: Obj): void;
  facts(): Facts;
  /** The format's own end was among the pieces. */
  ended(): boolean;
  /** The answer assembled from the pieces; undefined where none came. */
  message(): unknown;
};

/** How much of a streamed answer is kept. What comes after is counted and not kept. */
export type Ration = { take(bytes: number): boolean; spent(): boolean };

export function createRation(maxBytes: number): Ration {
  let left = maxBytes;
  let spent = false;
  return {
    take(bytes) {
      // Once something was left out, what comes later would be joined to what it does not follow.
      spent ||= bytes > left;
      if (!spent) left -= bytes;
      return !spent;
    },
    spent: () => spent,
  };
}

/** An object that grows by deltas. Its texts are of class Text, which writes itself into JSON. */
export type Growing = Map<string, unknown>;

/**
 * A delta into what it is a delta of: texts grow, lists get longer, anything else is replaced. `bytes` is what the ration pays for
 * what is not a text.
 */
export function grow(into: Growing, name: string, value: unknown, ration: Ration, bytes: number): void {
  const before = into.get(name);
  if (before === undefined && into.size >= maxFields) return;
  if (value === null || value === undefined) {
    if (before === undefined) into.set(name, null);
  } else if (typeof value === 'string') {
    if (value === '') {
      if (before === undefined || before === null) into.set(name, '');
    } else if (ration.take(value.length)) {
      if (before instanceof Text) before.add(value);
      else into.set(name, new Text(typeof before === 'string' ? before + value : value));
    }
  } else if (ration.take(typeof value === 'object' ? bytes : smallBytes)) {
    if (Array.isArray(value) && Array.isArray(before)) for (const each of value) before.push(each);
    else into.set(name, value);
  }
}

/** A number or a truth value. */
const smallBytes = 8;
/** More than any API has; the names are the provider's. */
const maxFields = 64;
