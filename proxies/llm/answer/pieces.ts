/** The members of one JSON object, or the elements of one JSON array, as the text streams: vectors of any length pass without being parsed. Used by reader.ts and embeddings.ts. */
import { createPile } from './pile.ts';

export type Piece = {
  /** The member's name; undefined for an element. */
  name: string | undefined;
  /** The value's JSON text; undefined where it is longer than asked for. */
  text: string | undefined;
  /** How many values it holds directly, where it is an array. */
  count: number;
};

export type Pieces = {
  push(chunk: Buffer): void;
  kind(): 'object' | 'array' | undefined;
  /** The outermost value has come to its end, and nothing but white space after it. */
  closed(): boolean;
};

const quote = 0x22;
const backslash = 0x5c;
/** Longer names are nobody's we look for. */
const maxNameBytes = 1024;

/** Not a validator: what it gives is parsed by who uses it. */
export function createPieces(maxBytes: number, piece: (piece: Piece) => void): Pieces {
  const pile = createPile(Math.max(maxBytes, maxNameBytes));
  let kind: 'object' | 'array' | undefined;
  let depth = 0;
  let inText = false;
  let escaped = false;
  let over = false;
  let spoiled = false;
  let name: string | undefined;
  /** Before the colon of a member. */
  let naming = false;
  let tooLong = false;
  let blank = true;
  let count = 0;
  let filled = false;
  let list = false;

  const keep = (chunk: Buffer, from: number, to: number): void => {
    if (!tooLong && to > from) tooLong = !pile.add(chunk, from, to);
  };
  const reset = (): void => {
    pile.clear();
    tooLong = false;
    blank = true;
    count = 0;
    filled = false;
    list = false;
  };
  const finish = (): void => {
    if (!blank && !naming) {
      const text = tooLong || pile.size() > maxBytes ? undefined : pile.bytes().toString('utf8');
      piece({ name, text, count: list && filled ? count + 1 : 0 });
    }
    reset();
    name = undefined;
    naming = kind === 'object';
  };

  return {
    push(chunk) {
      let from = 0;
      for (let at = 0; at < chunk.length; at++) {
        if (inText) {
          if (escaped) {
            escaped = false;
            continue;
          }
          while (at < chunk.length && chunk[at] !== quote && chunk[at] !== backslash) at++;
          if (at === chunk.length) break;
          if (chunk[at] === backslash) escaped = true;
          else inText = false;
          continue;
        }
        const byte = chunk[at] as number;
        // Digits, signs, letters: most of a vector.
        if (byte > 0x2c && byte < 0x3a) {
          blank = false;
          if (depth === 2) filled = true;
          if (depth === 0) spoiled = true;
          continue;
        }
        if (byte <= 0x20) continue;
        if (depth === 0) {
          if (kind !== undefined || (byte !== 0x7b && byte !== 0x5b)) {
            // A byte order mark is the one thing that may stand before.
            if (kind !== undefined || (byte !== 0xef && byte !== 0xbb && byte !== 0xbf)) spoiled = true;
            continue;
          }
          kind = byte === 0x7b ? 'object' : 'array';
          naming = kind === 'object';
          depth = 1;
          from = at + 1;
          continue;
        }
        if (byte === 0x7d || byte === 0x5d) {
          depth--;
          if (depth > 0) continue;
          keep(chunk, from, at);
          finish();
          over = true;
          from = at + 1;
        } else if (depth === 1 && byte === 0x2c) {
          keep(chunk, from, at);
          finish();
          from = at + 1;
        } else if (depth === 1 && naming && byte === 0x3a) {
          keep(chunk, from, at);
          name = nameOf(tooLong ? '' : pile.bytes().toString('utf8'));
          reset();
          naming = false;
          from = at + 1;
        } else {
          blank = false;
          if (depth === 2) {
            if (byte === 0x2c) count++;
            else filled = true;
          }
          if (byte === quote) inText = true;
          else if (byte === 0x7b || byte === 0x5b) {
            if (depth === 1) list = byte === 0x5b;
            depth++;
          }
        }
      }
      if (depth > 0) keep(chunk, from, chunk.length);
    },
    kind: () => kind,
    closed: () => over && !spoiled,
  };
}

/** Escapes in a name are what they stand for, as for every other reader of JSON. */
function nameOf(text: string): string | undefined {
  try {
    const name: unknown = JSON.parse(text);
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}
