/** Takes echoes of keys out of an answer as it streams. Best effort against a provider that errs; one that means harm has ways which nobody lists. Used by pass.ts, and for headers. */
import { createEcho, type Echo } from './echo.ts';

export type Scrub = {
  /** What may go on now. Only a tail that could still become an echo is held back. */
  push(chunk: Buffer): Buffer;
  /** What was held back: the stream has ended and it did not become one. */
  end(): Buffer;
  found(): boolean;
};

const star = 0x2a;
/** Masking a shorter word would damage ordinary answers; no provider hands out such a key. */
const minKeyLength = 8;

const none = Buffer.alloc(0);

/** By the keys: to make one costs more than to use it on a whole answer. */
const echoes = new Map<string, Echo>();
/** A keyring has some; a login's token changes by the hour. */
const maxEchoes = 64;

function echoOf(keys: readonly string[]): Echo | undefined {
  const long = keys.filter((key) => key.length >= minKeyLength);
  if (long.length === 0) return undefined;
  const name = long.join('\0');
  let echo = echoes.get(name);
  if (echo === undefined) {
    echo = createEcho(long);
    const oldest = echoes.keys().next().value;
    if (echoes.size >= maxEchoes && oldest !== undefined) echoes.delete(oldest);
    echoes.set(name, echo);
  }
  return echo;
}

/** Masks with stars of the same length, so that content-length and JSON stay true. */
export function createScrub(keys: readonly string[]): Scrub {
  const echo = echoOf(keys);
  /** As it came, and as it goes on: an echo that is masked may overlap one that is not whole yet. */
  let held = none;
  let masked = none;
  let found = false;
  if (echo === undefined) return { push: (chunk) => chunk, end: () => none, found: () => false };

  const scan = (chunk: Buffer, final: boolean): Buffer => {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    let out = held.length === 0 ? chunk : Buffer.concat([masked, chunk]);
    const text = bytes.toString('latin1');
    for (const [from, to] of echoesIn(echo, text, final)) {
      if (out === chunk) out = Buffer.from(chunk);
      out.fill(star, from, to);
      found = true;
    }
    const open = final ? text.length : echo.openFrom(text);
    // Copies: a chunk's memory may be used again.
    held = open === text.length ? none : Buffer.from(bytes.subarray(open));
    masked = open === text.length ? none : Buffer.from(out.subarray(open));
    return open === text.length ? out : out.subarray(0, open);
  };
  return {
    push: (chunk) => scan(chunk, false),
    end: () => scan(none, true),
    found: () => found,
  };
}

/** For a header's value, which comes whole. */
export function scrubText(keys: readonly string[], text: string): string {
  const echo = echoOf(keys);
  if (echo === undefined) return text;
  let scrubbed = text;
  for (const [from, to] of echoesIn(echo, text, true)) {
    scrubbed = scrubbed.slice(0, from) + '*'.repeat(to - from) + scrubbed.slice(to);
  }
  return scrubbed;
}

/** Overlapping ones too: of two that share a part, neither may stay. */
function echoesIn(echo: Echo, text: string, final: boolean): [number, number][] {
  const found: [number, number][] = [];
  echo.anchor.lastIndex = 0;
  for (let at = echo.anchor.exec(text); at !== null; at = echo.anchor.exec(text)) {
    const end = echo.endAt(text, at.index, final);
    if (typeof end === 'number') found.push([at.index, end]);
    echo.anchor.lastIndex = at.index + 1;
  }
  return found;
}
