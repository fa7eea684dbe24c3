/** Takes the usage that we asked for, and the agent did not, out of a stream of chat chunks: the agent gets the bytes of a server that was not asked. Called by pass.ts. */
import { createPile } from './pile.ts';
import { objectOf, parsed } from './value.ts';

export type UsageFilter = { push(chunk: Buffer): Buffer; end(): Buffer };

/** A chunk of a chat is some hundred bytes. A longer event is none of those that are looked for, and passes as it comes. */
const maxHeldBytes = 1024 * 1024;

const [lf, cr, colon] = [0x0a, 0x0d, 0x3a];
const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const key = Buffer.from('"usage"');
const none = Buffer.alloc(0);

/** An event is held until its blank line has come; what goes on of it goes on together. A comment line is not waited with. */
export function createUsageFilter(): UsageFilter {
  const event = createPile(maxHeldBytes);
  let lineBytes = 0;
  /** The event is too long to be held: its bytes pass until its end. */
  let passing = false;
  /** The last byte was a CR, and this became of it: a LF right behind belongs to it and shares its lot. */
  let afterCr: 'held' | 'passed' | 'dropped' | undefined;

  const hold = (out: Buffer[], chunk: Buffer, from: number, to: number): void => {
    if (!passing && event.add(chunk, from, to)) return;
    if (!passing) {
      out.push(Buffer.from(event.bytes()));
      event.clear();
      passing = true;
    }
    out.push(chunk.subarray(from, to));
  };
  /** At the end of a line. */
  const settle = (out: Buffer[]): typeof afterCr => {
    const blank = lineBytes === 0;
    lineBytes = 0;
    if (passing) {
      passing = !blank;
      return 'passed';
    }
    const held = event.bytes();
    if (!blank && held[0] !== colon) return 'held';
    const rest = blank ? withoutUsage(held) : held;
    if (rest) out.push(Buffer.from(rest));
    event.clear();
    return rest ? 'passed' : 'dropped';
  };

  return {
    push(chunk) {
      // Whole events without the word, which is all of them but one: nothing to look at.
      const apart = event.size() === 0 && !passing && lineBytes === 0 && afterCr === undefined;
      if (apart && chunk.at(-1) === lf && chunk.at(-2) === lf && !chunk.includes(key)) return chunk;
      const out: Buffer[] = [];
      for (let at = 0; at < chunk.length; ) {
        if (afterCr !== undefined) {
          const became = afterCr;
          afterCr = undefined;
          if (chunk[at] === lf) {
            if (became === 'held') hold(out, chunk, at, at + 1);
            else if (became === 'passed') out.push(chunk.subarray(at, at + 1));
            at++;
            continue;
          }
        }
        const end = lineEnd(chunk, at);
        const to = end === -1 ? chunk.length : end + 1;
        hold(out, chunk, at, to);
        lineBytes += (end === -1 ? to : end) - at;
        if (end !== -1) {
          const became = settle(out);
          if (chunk[end] === cr) afterCr = became;
        }
        at = to;
      }
      return out.length === 0 ? none : out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
    },
    end() {
      const rest = Buffer.from(event.bytes());
      event.clear();
      return rest;
    },
  };
}

function lineEnd(bytes: Buffer, from: number): number {
  const nextLf = bytes.indexOf(lf, from);
  // Only before the LF: a search for a CR to the end of the chunk, once a line, would be quadratic.
  const nextCr = bytes.subarray(from, nextLf === -1 ? bytes.length : nextLf).indexOf(cr);
  return nextCr === -1 ? nextLf : from + nextCr;
}

/** Undefined for the event that is there for the usage alone. */
function withoutUsage(event: Buffer): Buffer | undefined {
  if (!event.includes(key)) return event;
  const data = dataOf(event);
  if (data === undefined) return event;
  const usage = memberAt(event, data.from, data.to);
  if (usage === undefined) return event;
  if (usage.null) return Buffer.concat([event.subarray(0, usage.from), event.subarray(usage.to)]);
  const chunk = objectOf(parsed(event.toString('utf8', data.from, data.to)));
  const alone = Array.isArray(chunk?.choices) && chunk.choices.length === 0 && objectOf(chunk.usage);
  return alone ? undefined : event;
}

/** Where the JSON of the event lies; undefined where its data is not on one line, which no server of this format does. */
function dataOf(event: Buffer): { from: number; to: number } | undefined {
  let found: { from: number; to: number } | undefined;
  for (let from = 0; from < event.length; ) {
    const to = lineEnd(event, from);
    if (event.toString('latin1', from, from + 5) === 'data:') {
      if (found !== undefined) return undefined;
      found = { from: from + 5, to };
    }
    from = to + 1;
  }
  return found;
}

/** The member `usage` of the outermost object with the comma that goes with it. In a text the quotes are escaped, so a text is not it. */
function memberAt(
  bytes: Buffer,
  start: number,
  to: number,
): { from: number; to: number; null: boolean } | undefined {
  let depth = 0;
  let before = -1;
  let naming = false;
  for (let at = start; at < to; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      const from = at;
      for (at++; at < to && bytes[at] !== quote; at++) if (bytes[at] === backslash) at++;
      if (!naming || depth !== 1 || at - from !== key.length - 1) continue;
      if (bytes.toString('latin1', from, at + 1) !== '"usage"') continue;
      const value = spaces(bytes, spaces(bytes, at + 1) + 1);
      if (bytes.toString('latin1', value, value + 4) !== 'null') return { from, to: value, null: false };
      if (before !== -1) return { from: before, to: value + 4, null: true };
      const after = spaces(bytes, value + 4);
      return { from, to: bytes[after] === comma ? spaces(bytes, after + 1) : value + 4, null: true };
    }
    if (byte === 0x7b || byte === 0x5b) {
      depth++;
      naming = depth === 1;
    } else if (byte === 0x7d || byte === 0x5d) {
      depth--;
    } else if (depth === 1 && byte === comma) {
      before = at;
      naming = true;
    } else if (depth === 1 && byte === colon) {
      naming = false;
    }
  }
  return undefined;
}

function spaces(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x09) at++;
  return at;
}
