/** A string or number of a body that may arrive in pieces: where it lies in the chunk, or its beginning in a scratch buffer. Kept by json.ts, read by judge.ts. */

/** `bytes.subarray(from, to)` is what stands between the quotes, escapes and all. */
export type Text = {
  bytes: Buffer;
  from: number;
  to: number;
  /** False: it is longer than was to be kept, and this is its beginning. */
  whole: boolean;
  escaped: boolean;
};

const nothing: Buffer = Buffer.alloc(0);

/** One for a whole body: what it tells is good until the next piece begins. */
export class Piece {
  readonly #text: Text = { bytes: nothing, from: 0, to: 0, whole: true, escaped: false };
  #scratch: Buffer = nothing;
  #kept = 0;
  #keep = 0;
  #whole = true;

  /** `keep`: how many bytes are wanted should a chunk's end cut it. */
  begin(keep: number): void {
    this.#keep = keep;
    this.#kept = 0;
    this.#whole = true;
  }

  /** The chunk ends within it. */
  save(chunk: Buffer, from: number, to: number): void {
    const room = this.#keep - this.#kept;
    const end = to - from > room ? from + room : to;
    if (end < to) this.#whole = false;
    const needed = this.#kept + end - from;
    if (needed > this.#scratch.length) {
      const larger = Buffer.allocUnsafe(Math.max(256, 2 * needed));
      this.#scratch.copy(larger, 0, 0, this.#kept);
      this.#scratch = larger;
    }
    this.#kept += chunk.copy(this.#scratch, this.#kept, from, end);
  }

  /** It lies in this chunk from its beginning. */
  within(bytes: Buffer, from: number, to: number, escaped: boolean): Text {
    const text = this.#text;
    text.bytes = bytes;
    text.from = from;
    text.to = to;
    text.whole = this.#whole;
    text.escaped = escaped;
    return text;
  }

  /** Its end is in this chunk; its beginning was saved. */
  rest(chunk: Buffer, from: number, to: number, escaped: boolean): Text {
    this.save(chunk, from, to);
    return this.within(this.#scratch, 0, this.#kept, escaped);
  }
}
