/** The words that a body's grammar knows, found from bytes without making a string. Built by grammar.ts, asked by judge.ts and json.ts. */

// Two independent 32-bit hashes over UTF-16 code units make one number of 53 bits: the same key always has the same one.
// Seeds and factors are FNV-1a's and MurmurHash3's; nothing is trusted to them but that equal keys hash alike.
const seedOne = 0x811c9dc5 | 0;
const seedTwo = 0x9e3779b9 | 0;
const factorOne = 0x01000193;
const factorTwo = 0x85ebca6b | 0;

/**
 * As a lax server compares keys: Go ignores case (`ſ` is an s and the Kelvin sign a k), protobuf's JSON takes `fileUri` and
 * `file_uri` for the same. Two keys with one meaning are one key.
 */
export const meaningOf = (key: string): string => key.toUpperCase().toLowerCase().replaceAll(/[_-]/g, '');

export function hashText(text: string): number {
  let one = seedOne;
  let two = seedTwo;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    one = Math.imul(one ^ code, factorOne);
    two = Math.imul(two + code, factorTwo) ^ (two >>> 13);
  }
  return (one >>> 0) * 0x20_0000 + (two >>> 11);
}

/** NaN where a byte is not ASCII: then the text must be decoded first. */
export function hashBytes(bytes: Buffer, from: number, to: number): number {
  let one = seedOne;
  let two = seedTwo;
  let every = 0;
  for (let at = from; at < to; at++) {
    const code = bytes[at] as number;
    every |= code;
    one = Math.imul(one ^ code, factorOne);
    two = Math.imul(two + code, factorTwo) ^ (two >>> 13);
  }
  return every > 0x7f ? Number.NaN : (one >>> 0) * 0x20_0000 + (two >>> 11);
}

/** Far more than all formats together hold; a power of two. */
const slots = 4096;

export class Names {
  /** By id; 0 stands for "not known". */
  readonly texts: string[] = [''];
  /** By id: the hash of what the name means. */
  readonly meanings: number[] = [0];
  readonly #bytes: Buffer[] = [Buffer.alloc(0)];
  readonly #ids = new Map<string, number>();
  readonly #table = new Int32Array(slots);

  intern(text: string): number {
    const known = this.#ids.get(text);
    if (known !== undefined) return known;
    const id = this.texts.push(text) - 1;
    if (id > slots / 2) throw new Error('the table of names is too small');
    this.#bytes.push(Buffer.from(text));
    this.meanings.push(hashText(meaningOf(text)));
    this.#ids.set(text, id);
    let slot = slotOf(hashText(text));
    while (this.#table[slot] !== 0) slot = (slot + 1) & (slots - 1);
    this.#table[slot] = id;
    return id;
  }

  idOf(text: string): number {
    return this.#ids.get(text) ?? 0;
  }

  /** The bytes are compared, so a key that was made to hash like another is not taken for it. */
  find(hash: number, bytes: Buffer, from: number, to: number): number {
    let slot = slotOf(hash);
    for (let id = this.#table[slot] as number; id !== 0; id = this.#table[slot] as number) {
      if (equal(this.#bytes[id] as Buffer, bytes, from, to)) return id;
      slot = (slot + 1) & (slots - 1);
    }
    return 0;
  }
}

/** The low bits of the number are those of the second hash. */
const slotOf = (hash: number): number => (hash | 0) & (slots - 1);

function equal(name: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (name.length !== to - from) return false;
  for (let at = 0; at < name.length; at++) if (name[at] !== bytes[from + at]) return false;
  return true;
}
