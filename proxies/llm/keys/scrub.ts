/** Takes a literal echo of a key out of a response as it streams. Best effort: an encoded echo passes. Used by proxy.ts and by nobody else. */

export type Scrub = {
  /** What may go on now. Only a tail that could still become the key is held back. */
  push(chunk: Buffer): Buffer;
  /** What was held back: the stream has ended and it did not become the key. */
  end(): Buffer;
  found(): boolean;
};

const star = 0x2a;
/** Masking a shorter word would damage ordinary answers; no provider hands out such a key. */
const minKeyLength = 8;

/** Masks with stars of the same length, so that content-length and JSON stay true. */
export function createScrub(key: string | undefined): Scrub {
  const needle = Buffer.from(key ?? '');
  let held = Buffer.alloc(0);
  let found = false;
  if (needle.length < minKeyLength) {
    return { push: (chunk) => chunk, end: () => held, found: () => found };
  }
  return {
    push(chunk) {
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      let out = bytes;
      let from = 0;
      for (let at = bytes.indexOf(needle); at !== -1; at = bytes.indexOf(needle, from)) {
        if (out === bytes) out = Buffer.from(bytes);
        out.fill(star, at, at + needle.length);
        found = true;
        from = at + needle.length;
      }
      const keep = tail(bytes, from, needle);
      held = Buffer.from(bytes.subarray(bytes.length - keep));
      return out.subarray(0, bytes.length - keep);
    },
    end() {
      const rest = held;
      held = Buffer.alloc(0);
      return rest;
    },
    found: () => found,
  };
}

/** The length of the longest end of `bytes`, not reaching before `from`, that is a beginning of `needle`. */
function tail(bytes: Buffer, from: number, needle: Buffer): number {
  for (let keep = Math.min(needle.length - 1, bytes.length - from); keep > 0; keep--) {
    if (bytes.compare(needle, 0, keep, bytes.length - keep) === 0) return keep;
  }
  return 0;
}
