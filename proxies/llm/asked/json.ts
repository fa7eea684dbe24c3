/** A strict reader of JSON (RFC 8259) in one pass over bytes that arrive in pieces: it tells what stands where and keeps nothing. Driven by scan.ts, heard by judge.ts. */
import { cannotScan, type Denial } from '../denial.ts';
import { hashBytes, hashText } from './names.ts';
import { isNumber, numberState } from './number.ts';
import { Piece, type Text } from './piece.ts';
import { Seen } from './seen.ts';
import { StringReader } from './string.ts';
import { createUtf8 } from './utf8.ts';

/** What the reader tells. Whoever answers with a denial ends the reading. */
export type JsonEvents = {
  /** How many bytes of the next string are wanted. It may be told more. */
  keep: number;
  /** Set by key(): two keys of one object with the same number are the same key. */
  identity: number;
  /** `hash` is hashText of the key; `decoded` is given where the bytes are not its letters (escapes, beyond ASCII). */
  key(text: Text, hash: number, decoded: string | undefined): Denial | undefined;
  open(list: boolean, at: number): Denial | undefined;
  close(end: number): Denial | undefined;
  string(text: Text, at: number, end: number): Denial | undefined;
  number(text: Text, at: number, end: number): Denial | undefined;
  literal(value: boolean | null, at: number, end: number): Denial | undefined;
};

export type Json = {
  push(chunk: Buffer): Denial | undefined;
  /** The body is over: a denial when that is too early. */
  end(): Denial | undefined;
};

/** A conversation nests about eight deep and a tool's schema a little more. */
const maxDepth = 100;
/** Commas and brackets. A 32 MiB conversation is long strings, not many values: 32 MiB of `[],` would hold the process for seconds. */
const maxValues = 500_000;
/** Bytes as written. JSON schemas name properties; the longest documented name anywhere is 64 characters. */
const maxKey = 4096;
/** Longer numbers are valid JSON; their first bytes are enough to say that nobody means them. */
const maxNumber = 64;

const quote = 0x22;

// What comes next. The order matters nowhere.
const atStart = 0;
const atValue = 1;
const atFirstItem = 2;
const atFirstKey = 3;
const atKey = 4;
const atColon = 5;
const atNext = 6;
const inKey = 7;
const inString = 8;
const inNumber = 9;
const inLiteral = 10;
const atEnd = 11;

const blank = Uint8Array.from({ length: 256 }, (_, code) =>
  [0x20, 0x09, 0x0a, 0x0d].includes(code) ? 1 : 0,
);

const nullWord: [Buffer, boolean | null] = [Buffer.from('null'), null];
const words: Record<number, [Buffer, boolean | null]> = {
  116: [Buffer.from('true'), true],
  102: [Buffer.from('false'), false],
  110: nullWord,
};

const notJson = cannotScan('it is not JSON');
const notObject = cannotScan('it is not a JSON object');
const notUtf8 = cannotScan('it is not UTF-8');
const twice = cannotScan('the same key occurs twice in one object');
const tooDeep = cannotScan(`it nests deeper than ${maxDepth}`);
const tooMany = cannotScan(`it holds more than ${maxValues} values`);
const longKey = cannotScan(`a key is longer than ${maxKey} bytes`);

export function createJson(events: JsonEvents): Json {
  const utf8 = createUtf8();
  let state = atStart;
  let base = 0; // bytes of the chunks before this one
  let depth = 0;
  let values = 0;
  const lists: boolean[] = [];
  const seen = new Seen();
  // The string, number or word that is being read.
  let at = 0; // where it began in the body
  const string = new StringReader();
  const piece = new Piece();
  let numeric = 0;
  let word: [Buffer, boolean | null] = nullWord;
  let wordAt = 0;

  function key(found: Text): Denial | undefined {
    if (!found.whole || found.to - found.from > maxKey) return longKey;
    let hash = found.escaped ? Number.NaN : hashBytes(found.bytes, found.from, found.to);
    let decoded: string | undefined;
    if (Number.isNaN(hash)) {
      decoded = JSON.parse(`"${found.bytes.toString('utf8', found.from, found.to)}"`) as string;
      hash = hashText(decoded);
    }
    const denial = events.key(found, hash, decoded);
    if (denial) return denial;
    return seen.add(depth, events.identity) ? undefined : twice;
  }

  function open(list: boolean, where: number): Denial | undefined {
    if (++values > maxValues) return tooMany;
    if (++depth > maxDepth) return tooDeep;
    lists[depth] = list;
    seen.open(depth);
    state = list ? atFirstItem : atFirstKey;
    return events.open(list, where);
  }

  function close(end: number): Denial | undefined {
    seen.close(depth);
    state = --depth === 0 ? atEnd : atNext;
    return events.close(end);
  }

  function push(chunk: Buffer): Denial | undefined {
    if (!utf8.push(chunk)) return notUtf8;
    const length = chunk.length;
    let index = 0;
    let denial: Denial | undefined;
    while (index < length) {
      const code = chunk[index] as number;
      // Tokens first: they may go on from the chunk before, and blanks mean nothing in them.
      if (state === inString || state === inKey) {
        const end = string.end(chunk, index);
        if (end === -1) return notJson;
        if (end === length) {
          piece.save(chunk, index, end);
          break;
        }
        const found = piece.rest(chunk, index, end, string.escaped);
        index = end + 1;
        if (state === inKey) {
          state = atColon;
          denial = key(found);
        } else {
          state = atNext;
          denial = events.string(found, at, base + index);
        }
      } else if (state === inNumber) {
        const from = index;
        let next = numeric;
        while (index < length) {
          next = numberState(numeric, chunk[index] as number);
          if (next === 0) break;
          numeric = next;
          index++;
        }
        if (index === length) {
          piece.save(chunk, from, index);
          break;
        }
        if (!isNumber(numeric)) return notJson;
        const found = piece.rest(chunk, from, index, false);
        state = atNext;
        denial = events.number(found, at, base + index);
      } else if (state === inLiteral) {
        const letters = word[0];
        while (index < length && wordAt < letters.length) {
          if (chunk[index++] !== letters[wordAt++]) return notJson;
        }
        if (wordAt === letters.length) {
          state = atNext;
          denial = events.literal(word[1], at, base + index);
        }
      } else if (blank[code] === 1) {
        index++;
        continue;
      } else if (state === atNext) {
        index++;
        if (code === 0x2c) {
          if (++values > maxValues) return tooMany;
          state = lists[depth] ? atValue : atKey;
        } else if (code === (lists[depth] ? 0x5d : 0x7d)) denial = close(base + index);
        else return notJson;
      } else if (state === atColon) {
        if (code !== 0x3a) return notJson;
        index++;
        state = atValue;
      } else if (code === quote && (state === atKey || state === atFirstKey)) {
        index++;
        begin(maxKey);
        const end = string.end(chunk, index);
        if (end === -1) return notJson;
        if (end === length) {
          piece.save(chunk, index, end);
          state = inKey;
          break;
        }
        const from = index;
        index = end + 1;
        state = atColon;
        denial = key(piece.within(chunk, from, end, string.escaped));
      } else if (state === atFirstKey) {
        if (code !== 0x7d) return notJson;
        denial = close(base + ++index);
      } else if (state === atFirstItem && code === 0x5d) {
        denial = close(base + ++index);
      } else if (state === atValue || state === atFirstItem) {
        at = base + index;
        if (code === quote) {
          index++;
          begin(events.keep);
          const end = string.end(chunk, index);
          if (end === -1) return notJson;
          if (end === length) {
            piece.save(chunk, index, end);
            state = inString;
            break;
          }
          const from = index;
          index = end + 1;
          state = atNext;
          denial = events.string(piece.within(chunk, from, end, string.escaped), at, base + index);
        } else if (code === 0x7b || code === 0x5b) {
          index++;
          denial = open(code === 0x5b, at);
        } else if (code === 0x2d || (code >= 0x30 && code <= 0x39)) {
          begin(maxNumber);
          numeric = 0;
          state = inNumber;
        } else {
          const found = words[code];
          if (!found) return notJson;
          word = found;
          wordAt = 0;
          state = inLiteral;
        }
      } else if (state === atStart) {
        if (code !== 0x7b) return notObject;
        denial = open(false, base + index++);
      } else return notJson; // atEnd: something after the object; atKey: no key
      if (denial) return denial;
    }
    base += length;
    return undefined;
  }

  function begin(keep: number): void {
    piece.begin(keep);
    string.begin();
  }

  return {
    push,
    end: () =>
      !utf8.end() ? notUtf8 : state === atEnd ? undefined : state === atStart ? notObject : notJson,
  };
}
