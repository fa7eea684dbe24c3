/** A text that grows by deltas of a few letters. Used by the files of the formats. */

/** A string that is added to letter by letter costs its engine 32 bytes and more for each delta until it is read; a block costs them once. */
const blockLength = 4096;

export class Text {
  #blocks: string[] = [];
  #parts: string[] = [];
  #length = 0;

  constructor(beginning: string) {
    this.add(beginning);
  }

  add(part: string): void {
    this.#parts.push(part);
    this.#length += part.length;
    if (this.#length < blockLength) return;
    this.#blocks.push(this.#parts.join(''));
    this.#parts = [];
    this.#length = 0;
  }

  toString(): string {
    return this.#blocks.join('') + this.#parts.join('');
  }

  toJSON(): string {
    return this.toString();
  }
}
