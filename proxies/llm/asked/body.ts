/** A request body that can mean only one thing: what scan.ts reads in it is what any provider will read. Called by proxy.ts before the scan. */

export type Body = { ok: true; json: Record<string, unknown> } | { ok: false; why: string };

/** A conversation nests about eight deep and a tool's schema a little more; V8 takes seconds over millions of brackets. */
const maxDepth = 100;
/** Commas and brackets. A 32 MiB conversation is long strings, not many values: 32 MiB of `[],` would hold the process for seconds. */
const maxValues = 500_000;

const quote = 0x22;
const backslash = 0x5c;

/**
 * Keys that occur twice in one object are the classic way past a filter: parsers differ on which one counts (RFC 8259, section 4).
 * Walks the text without judging its syntax, which JSON.parse does afterwards. Returns what is wrong, or undefined.
 */
function ambiguity(text: string): string | undefined {
  const open: (Set<string> | null)[] = []; // the keys so far of each open object, null for an array
  let values = 0;
  let keyExpected = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      const from = at;
      at = endOfString(text, at);
      if (!keyExpected) continue;
      keyExpected = false;
      const keys = open.at(-1);
      const key = decoded(text.slice(from, at + 1));
      if (keys?.has(key)) return 'the same key occurs twice in one object';
      keys?.add(key);
    } else if (code === 0x7b || code === 0x5b) {
      open.push(code === 0x7b ? new Set() : null);
      keyExpected = code === 0x7b;
      if (open.length > maxDepth) return `it nests deeper than ${maxDepth}`;
      values++;
    } else if (code === 0x7d || code === 0x5d) {
      open.pop();
      keyExpected = false;
    } else if (code === 0x2c) {
      keyExpected = open.at(-1) instanceof Set;
      values++;
    }
    if (values > maxValues) return `it holds more than ${maxValues} values`;
  }
  return undefined;
}

/** The index of the closing quote, or the text's end. */
function endOfString(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  while (at !== -1) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === backslash) slashes++;
    if (slashes % 2 === 0) return at;
    at = text.indexOf('"', at + 1);
  }
  return text.length;
}

/** `"mod\u0065l"` is `"model"`. Text that is no string at all stays as it is: JSON.parse refuses the whole later. */
function decoded(literal: string): string {
  if (!literal.includes('\\')) return literal;
  try {
    return JSON.stringify(JSON.parse(literal));
  } catch {
    return literal;
  }
}

export function readBody(bytes: Buffer): Body {
  let text: string;
  try {
    // Fatal: a byte that is replaced here may be read otherwise there. A byte order mark stays, and is no JSON.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return { ok: false, why: 'it is not UTF-8' };
  }
  const why = ambiguity(text);
  if (why) return { ok: false, why };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { ok: false, why: 'it is not JSON' };
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    return { ok: false, why: 'it is not a JSON object' };
  }
  return { ok: true, json: json as Record<string, unknown> };
}
