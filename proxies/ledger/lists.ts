/** The parts of requests, each named in full or by an earlier request (the format is in llm/record.ts): followed while a ledger is read backwards. body.ts makes one for each walk. */
import type { Gathering } from './blobs.ts';

type Range = [from: number, to: number];
type Item = string | Range;
type Node = { after: string; items: Item[] };

export type Lists = {
  /** The body of a request that is to be read whole. */
  whole(id: string, body: unknown): void;
  /** Does a request that was met before this one, and so is later, take parts from it? */
  awaits(id: string): boolean;
  /** The body of a request that is awaited. */
  met(id: string, body: unknown): void;
  /** A blob has been found. */
  found(ref: string): void;
  /** Requests that have not been met yet. */
  open(): number;
  /** The segment begins: whatever was not met is not there. */
  forget(): void;
  /** The sha256 of each part, an empty text where it is not on record; undefined where nobody knows how many there are. */
  refs(id: string): string[] | undefined;
};

const hex = /^[0-9a-f]{64}$/;
/** Ten times what is ever written: a ledger that somebody made up must not fill the memory. */
export const maxParts = 100_000;

export function createLists(blobs: Gathering): Lists {
  const nodes = new Map<string, Node>();
  /** What later requests take of one, from the first to the last. */
  const needed = new Map<string, Range>();
  /** Lists that are blobs themselves. */
  const stored = new Map<string, { id: string; of: Range }[]>();

  const listed = (id: string, after: string, items: Item[], [from, to]: Range): void => {
    nodes.set(id, { after, items });
    let at = 0;
    for (const item of items) {
      const length = lengthOf(item);
      if (at < to && at + length > from) {
        if (typeof item === 'string') blobs.want(item);
        else {
          const first = item[0] + Math.max(0, from - at);
          const last = Math.min(item[1], item[0] + to - at);
          const [low, high] = needed.get(after) ?? [first, last];
          needed.set(after, [Math.min(low, first), Math.max(high, last)]);
        }
      }
      at += length;
    }
  };

  const read = (id: string, body: unknown, of: Range): void => {
    const { after, parts, partsBlob } = (body ?? {}) as Record<string, unknown>;
    if (typeof partsBlob === 'string' && hex.test(partsBlob)) {
      stored.set(partsBlob, [...(stored.get(partsBlob) ?? []), { id, of }]);
      blobs.want(partsBlob);
      found(partsBlob);
    } else listed(id, typeof after === 'string' ? after : '', itemsOf(parts), of);
  };

  const found = (ref: string): void => {
    const bytes = stored.has(ref) ? blobs.get(ref)?.bytes : undefined;
    if (bytes === undefined) return;
    for (const { id, of } of stored.get(ref) ?? []) listed(id, '', itemsOf(parsed(bytes)), of);
    stored.delete(ref);
  };

  return {
    whole(id, body) {
      needed.delete(id);
      read(id, body, [0, Number.POSITIVE_INFINITY]);
    },
    awaits: (id) => needed.has(id),
    met(id, body) {
      const of = needed.get(id);
      needed.delete(id);
      if (of) read(id, body, of);
    },
    found,
    open: () => needed.size,
    forget() {
      needed.clear();
      stored.clear();
    },
    refs(id) {
      if (!nodes.has(id)) return undefined;
      const refs: string[] = [];
      // A stack and no recursion: a request may stand behind thousands of others.
      const open: (string | { of: string; range: Range })[] = [{ of: id, range: [0, maxParts] }];
      for (let next = open.pop(); next !== undefined && refs.length < maxParts; next = open.pop()) {
        if (typeof next === 'string') refs.push(next);
        else {
          const { of, range } = next;
          const node = nodes.get(of);
          if (node) for (const each of within(node, range).reverse()) open.push(each);
          else for (let at = range[0]; at < range[1] && refs.length < maxParts; at++) refs.push('');
        }
      }
      return refs;
    },
  };
}

/** The items of a list, of which only these parts are wanted. */
function within({ after, items }: Node, [from, to]: Range): (string | { of: string; range: Range })[] {
  const some: (string | { of: string; range: Range })[] = [];
  let at = 0;
  for (const item of items) {
    const low = Math.max(0, from - at);
    const high = Math.min(lengthOf(item), to - at);
    if (low < high)
      some.push(typeof item === 'string' ? item : { of: after, range: [item[0] + low, item[0] + high] });
    at += lengthOf(item);
  }
  return some;
}

const lengthOf = (item: Item): number => (typeof item === 'string' ? 1 : item[1] - item[0]);

/** What is neither is a part that is not on record. */
const itemsOf = (value: unknown): Item[] =>
  Array.isArray(value)
    ? value
        .slice(0, maxParts)
        .map((each) => (isRange(each) ? each : typeof each === 'string' && hex.test(each) ? each : ''))
    : [];

const isRange = (value: unknown): value is Range =>
  Array.isArray(value) &&
  value.length === 2 &&
  value.every((each) => Number.isInteger(each) && each >= 0 && each <= maxParts) &&
  value[0] < value[1];

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
