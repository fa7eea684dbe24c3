/** The keys so far of each open object: a key that occurs twice is the classic way past a filter, since parsers differ on which one counts (RFC 8259, section 4). Kept by json.ts. */

/** Up to here a list of keys is searched faster than a set. */
const fewKeys = 16;

export class Seen {
  // The keys of all open objects, one after the other; where each object's begin; a set for an object with many.
  readonly #keys: number[] = [];
  #to = 0;
  readonly #from: number[] = [];
  readonly #many: (Set<number> | undefined)[] = [];

  open(depth: number): void {
    this.#from[depth] = this.#to;
    this.#many[depth] = undefined;
  }

  close(depth: number): void {
    this.#to = this.#from[depth] as number;
  }

  /** False: it was there before. */
  add(depth: number, key: number): boolean {
    const many = this.#many[depth];
    if (many) {
      if (many.has(key)) return false;
      many.add(key);
      return true;
    }
    const keys = this.#keys;
    const from = this.#from[depth] as number;
    const to = this.#to;
    for (let at = from; at < to; at++) if (keys[at] === key) return false;
    keys[to] = key;
    this.#to = to + 1;
    if (to + 1 - from > fewKeys) this.#many[depth] = new Set(keys.slice(from, to + 1));
    return true;
  }
}
