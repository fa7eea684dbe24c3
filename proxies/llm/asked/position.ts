/** A place of a body in a compiled grammar: what may stand there and where each key leads. Made by grammar.ts, walked by judge.ts. */
import type { Fault, Spot, Take } from '../kinds/spot.ts';

/** Kinds of values, as bits. */
export const kindBits = { string: 1, number: 2, false: 4, true: 8, list: 16, object: 32 } as const;

/** What it is made from: its spot, with names as numbers. */
export type Made = {
  may: number;
  string: NonNullable<Spot['string']>;
  words: ReadonlySet<number> | undefined;
  free: boolean;
  closed: boolean;
  fault: Fault;
  take: Take | undefined;
  fetching: ReadonlySet<number> | undefined;
  untyped: Spot['untyped'];
  beside: ReadonlyMap<number, ReadonlySet<number>> | undefined;
  labels: ReadonlySet<number> | undefined;
  /** Where a key leads that a table names; undefined where it may not stand here. */
  known(name: number): Position | undefined;
  /** The same for a key that no table names, by its meaning. */
  unknown(meaning: string): Position | undefined;
};

/** A class: all have the same shape, which is what makes the walk fast. */
export class Position {
  readonly may: number;
  readonly string: Made['string'];
  readonly words: Made['words'];
  readonly free: boolean;
  readonly closed: boolean;
  readonly fault: Fault;
  readonly take: Take | undefined;
  readonly fetching: Made['fetching'];
  readonly untyped: Made['untyped'];
  readonly beside: Made['beside'];
  readonly labels: Made['labels'];
  readonly unknown: Made['unknown'];
  /** Something is to be judged when an object here ends. */
  readonly atEnd: boolean;
  /** Of each element of a list; of an object standing here; of a key of the client's own. Set when all places are there. */
  each: Position = this;
  object: Position = this;
  inner: Position = this;
  readonly #known: Made['known'];
  /** By name; null where it may not stand. Filled as keys come by: there are only as many as the tables hold. */
  #next: (Position | null | undefined)[] = [];

  constructor(made: Made) {
    this.may = made.may;
    this.string = made.string;
    this.words = made.words;
    this.free = made.free;
    this.closed = made.closed;
    this.fault = made.fault;
    this.take = made.take;
    this.fetching = made.fetching;
    this.untyped = made.untyped;
    this.beside = made.beside;
    this.labels = made.labels;
    this.unknown = made.unknown;
    this.atEnd = (made.untyped ?? made.beside ?? made.labels ?? made.fetching) !== undefined;
    this.#known = made.known;
  }

  at(name: number): Position | undefined {
    const next = name < this.#next.length ? this.#next[name] : undefined;
    return next === undefined ? this.#learn(name) : (next ?? undefined);
  }

  #learn(name: number): Position | undefined {
    const position = this.#known(name);
    while (this.#next.length <= name) this.#next.push(undefined);
    this.#next[name] = position ?? null;
    return position;
  }
}
