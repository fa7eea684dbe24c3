/** What one agent asked last, so that the line of a request names only the parts that are new. Kept by record.ts for each agent. */

/** A part by its sha256, or those from..to-1 of the request that is named. */
export type Listed = string | [from: number, to: number];

export type List = {
  /** The id of an earlier request in the same segment, where a part is taken from it. */
  after?: string;
  parts: readonly Listed[];
};

export type History = {
  /** How the parts of this request are named in its line; it is remembered for the next. */
  list(segment: object, id: string, refs: readonly string[]): List;
};

type Asked = { id: string; refs: readonly string[]; links: number };

/** Below, a list is hardly longer than the name of another. */
const leastParts = 4;
/** 34 kB of a line: a longer list is a blob of its own. */
export const mostListed = 500;
/** Conversations that may take turns. */
const keptRequests = 8;
/** Of all of them: 80 bytes each. */
const keptParts = 20_000;
/** A list in full comes again after as many links as it has parts, so that it costs one name for each: readers walk no further. */
const leastLinks = 64;

/** Nothing is remembered from one segment to the next: each is read alone. */
export function createHistory(): History {
  let current: object | undefined;
  let recent: Asked[] = [];

  const remember = (asked: Asked, instead: Asked | undefined): void => {
    recent = [asked, ...recent.filter((each) => each !== instead)].slice(0, keptRequests);
    let parts = 0;
    const over = recent.findIndex(({ refs }) => {
      parts += refs.length;
      return parts > keptParts;
    });
    if (over > 0) recent.length = over;
  };

  return {
    list(segment, id, refs) {
      if (segment !== current) [current, recent] = [segment, []];
      if (refs.length < leastParts) return { parts: refs };
      const found = nearest(recent, refs);
      // What shares little with it is another conversation: both may go on.
      const instead = found && 2 * found.shared >= found.asked.refs.length ? found.asked : undefined;
      const linked =
        found !== undefined &&
        found.shared > 1 &&
        found.parts.length <= mostListed &&
        found.asked.links < Math.max(leastLinks, refs.length);
      remember({ id, refs, links: linked ? found.asked.links + 1 : 0 }, instead);
      return linked ? { after: found.asked.id, parts: found.parts } : { parts: refs };
    },
  };
}

type Found = { asked: Asked; parts: Listed[]; shared: number };

/** Most often one that this goes on from. Where the beginning is new each time (a clock, a window that slides), one that holds its middle. */
function nearest(recent: readonly Asked[], refs: readonly string[]): Found | undefined {
  let best: Asked | undefined;
  let most = 0;
  for (const asked of recent) {
    const same = sameStart(asked.refs, refs);
    if (same > most) [best, most] = [asked, same];
  }
  const found = best && against(best, refs);
  if (2 * most >= refs.length) return found;
  const middle = refs[refs.length >> 1] ?? '';
  const other = recent.find((asked) => asked !== best && asked.refs.includes(middle));
  const second = other && against(other, refs);
  return second && (!found || second.shared > found.shared) ? second : found;
}

function sameStart(before: readonly string[], refs: readonly string[]): number {
  const end = Math.min(before.length, refs.length);
  let at = 0;
  while (at < end && before[at] === refs[at]) at++;
  return at;
}

function against(asked: Asked, refs: readonly string[]): Found {
  const before = asked.refs;
  const parts: Listed[] = [];
  let places: Map<string, number> | undefined;
  let range: [number, number] | undefined;
  let next = 0; // where the last range ended
  let shared = 0;
  for (const ref of refs) {
    let place: number | undefined = next;
    if (before[next] !== ref) {
      // Behind its end all is new, as a rule.
      if (next < before.length) places ??= new Map(before.map((each, at) => [each, at]));
      place = next < before.length ? places?.get(ref) : undefined;
    }
    if (place === undefined) {
      parts.push(ref);
      range = undefined;
      continue;
    }
    if (range && range[1] === place) range[1] += 1;
    else {
      range = [place, place + 1];
      parts.push(range);
    }
    next = place + 1;
    shared += 1;
  }
  return { asked, parts, shared };
}
