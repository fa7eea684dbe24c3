/** The grammar of a JSON string (RFC 8259, section 7), over bytes that arrive in pieces. UTF-8 is judged elsewhere. Walked by json.ts. */

const quote = 0x22;
const backslash = 0x5c;

const set = (test: (code: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, code) => (test(code) ? 1 : 0));
/** Bytes that a string takes as they are. */
const plain = set((code) => code >= 0x20 && code !== quote && code !== backslash);
const hex = set((code) => /[0-9a-f]/i.test(String.fromCharCode(code)));
const afterBackslash = set((code) => '"\\/bfnrt'.includes(String.fromCharCode(code)));

/** Behind the bytes that a string takes as they are. Eight at a time, which is twice as fast: most of a long body is read here. */
function plainTo(chunk: Buffer, from: number): number {
  const is = (at: number): number => plain[chunk[at] as number] as number;
  const length = chunk.length;
  let at = from;
  for (; at + 8 <= length; at += 8) {
    const first = is(at) & is(at + 1) & is(at + 2) & is(at + 3);
    if ((first & is(at + 4) & is(at + 5) & is(at + 6) & is(at + 7)) === 0) break;
  }
  while (at < length && is(at) === 1) at++;
  return at;
}

export class StringReader {
  /** It holds an escape. */
  escaped = false;
  /** 1 after a backslash, then 5 to 2 for the hexadecimal digits to come. */
  #escape = 0;

  begin(): void {
    this.escaped = false;
    this.#escape = 0;
  }

  /** Where the string ends that goes on at `from`: the index of its quote, the chunk's length, or -1 where it is no string. */
  end(chunk: Buffer, from: number): number {
    const length = chunk.length;
    let index = from;
    for (;;) {
      while (this.#escape > 0) {
        if (index === length) return length;
        const code = chunk[index++] as number;
        if (this.#escape > 1) {
          if (hex[code] === 0) return -1;
          this.#escape = this.#escape === 2 ? 0 : this.#escape - 1;
        } else if (code === 0x75) this.#escape = 5;
        else if (afterBackslash[code] === 1) this.#escape = 0;
        else return -1;
      }
      index = plainTo(chunk, index);
      if (index === length) return length;
      const code = chunk[index] as number;
      if (code === quote) return index;
      if (code !== backslash) return -1;
      this.escaped = true;
      this.#escape = 1;
      index++;
    }
  }
}
