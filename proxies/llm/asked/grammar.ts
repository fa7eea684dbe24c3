/** A format's table made ready for the scan: spots that point at each other, keys found by number. Compiled once per format, walked by judge.ts. */
import { formats } from '../kinds/formats.ts';
import type { FormatName } from '../kinds/kind.ts';
import { type Format, type Spot, sharedEndings, sharedKeys, sharedSpots } from '../kinds/spot.ts';
import { meaningOf, Names } from './names.ts';
import { kindBits, Position } from './position.ts';

const everything = Object.values(kindBits).reduce((all, bit) => all | bit, 0);

export type Grammar = { format: Format; body: Position };

export const names = new Names();
export const typeName = names.intern('type');
export const roleName = names.intern('role');

const split = (list: string): string[] => list.split(' ').filter((each) => each !== '');
const snakeCase = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const compiled = new Map<FormatName, Grammar>();

export function grammarOf(name: FormatName): Grammar {
  const known = compiled.get(name);
  if (known) return known;
  const grammar = compile(formats[name]);
  compiled.set(name, grammar);
  return grammar;
}

function compile(format: Format): Grammar {
  const positions = new Map<string, Position>();
  const all: Record<string, Spot> = { ...sharedSpots, ...format.spots };
  const part = all.part as Spot;
  if (format.parts !== undefined && part.types === undefined) all.part = { ...part, types: format.parts };
  all.body = { may: 'object', keys: format.fields, closed: true, fault: 'field' };

  const spotOf = (name: string): Spot => {
    const spot = all[name];
    if (!spot) throw new Error(`the grammar names a spot ${name} that it does not have`);
    return spot.like === undefined ? spot : { ...spotOf(spot.like), ...spot };
  };

  const positionOf = (name: string): Position => {
    const known = positions.get(name);
    if (known) return known;
    const spot = spotOf(name);
    const position: Position = made(name, spot, () => position);
    positions.set(name, position);
    if (spot.each !== undefined) position.each = positionOf(spot.each);
    if (spot.object !== undefined) position.object = positionOf(spot.object);
    if (spot.rest !== undefined) position.inner = positionOf(spot.rest);
    return position;
  };

  const made = (name: string, spot: Spot, self: () => Position): Position => {
    const own = keysOf(spot.keys ?? {}, format.snake === true);
    const meant = new Map([...own].map(([key, to]) => [meaningOf(key), to]));
    const rest = (): Position =>
      spot.rest ? positionOf(spot.rest) : spot.free ? self() : positionOf('word');
    const typed = spot.types !== undefined;
    if (typed) {
      // A type is a word of a closed list, and stands in a place of its own for that.
      const words = `${spot.types} ${spot.fetchingTypes ?? ''}`;
      all[`${name} type`] = { may: 'string', words, fault: spot.fault ?? 'part' };
    }
    /** A key that decides over others must be written as it is. */
    const decides = new Set([...(typed ? ['type'] : []), ...Object.keys(spot.beside ?? {}).map(meaningOf)]);
    const unknown = (meaning: string): Position | undefined => {
      if (spot.closed || decides.has(meaning)) return undefined;
      const to = meant.get(meaning);
      if (to !== undefined) return positionOf(to);
      if (spot.free) return rest();
      const shared =
        sharedMeanings.get(meaning) ?? sharedEndings.find(([, ending]) => ending.test(meaning))?.[0];
      return shared === undefined ? rest() : positionOf(shared);
    };
    const known = (id: number): Position | undefined => {
      if (id === typeName && typed) return positionOf(`${name} type`);
      const key = names.texts[id] as string;
      const to = own.get(key);
      return to !== undefined ? positionOf(to) : unknown(meaningOf(key));
    };
    return new Position({
      may: spot.may === undefined ? everything : bitsOf(spot.may),
      string: spot.string ?? 'word',
      words: wordsOf(spot.words),
      free: spot.free === true,
      closed: spot.closed === true,
      fault: spot.fault ?? 'malformed',
      take: spot.take,
      fetching: wordsOf(spot.fetchingTypes),
      untyped: spot.untyped,
      beside: spot.beside && besideOf(spot.beside),
      labels: wordsOf(spot.labels),
      known,
      unknown,
    });
  };

  // All of them at once: a name that is wrong is found when the first body comes, not when a hostile one does.
  for (const [name, { keys = {} }] of Object.entries(all)) {
    positionOf(name);
    for (const to of Object.keys(keys)) spotOf(to);
  }
  return { format, body: positionOf('body') };
}

/** Key -> spot. */
function keysOf(table: Readonly<Record<string, string>>, snake: boolean): Map<string, string> {
  const keys = new Map<string, string>();
  for (const [spot, list] of Object.entries(table)) {
    for (const key of split(list)) {
      keys.set(key, spot);
      if (snake) keys.set(snakeCase(key), spot);
    }
  }
  for (const key of keys.keys()) names.intern(key);
  return keys;
}

const sharedMeanings = new Map(
  [...keysOf(sharedKeys, false)].map(([key, spot]) => [meaningOf(key), spot] as const),
);

const wordsOf = (list: string | undefined): ReadonlySet<number> | undefined =>
  list === undefined ? undefined : new Set(split(list).map((word) => names.intern(word)));

const besideOf = (table: Readonly<Record<string, string>>): ReadonlyMap<number, ReadonlySet<number>> =>
  new Map(Object.entries(table).map(([key, types]) => [names.intern(key), wordsOf(types) ?? new Set()]));

const bitsOf = (list: string): number =>
  split(list).reduce(
    (bits, kind) => bits | (kind === 'flag' ? 12 : kindBits[kind as keyof typeof kindBits]),
    0,
  );
