/** Takes credentials out of what goes on record: by the names of headers, and by the shapes of keys in bodies. Called by blobs.ts and by the proxies before they record. */

/** `…-ratelimit-tokens-remaining` counts tokens of another sort. */
const limits = /ratelimit/i;
/** Headers that are a credential or hold one, whoever sends them. */
const secretNames =
  /^(?:proxy-)?auth(?:orization|entication)?(?:-info)?$|cookie|token|secret|passw|credential|session|signature|(?:^|[-_])(?:api|access|private|subscription|auth|app|client)[-_]?key|(?:^|[-_])key$|^www-authenticate$/i;

/** What a scheme shows of itself: `Bearer ***`. */
const scheme = /^(?:Bearer|Basic|Digest|Token|AWS4-HMAC-SHA256) /i;

/**
 * Keys that show what they are, each in the form that its vendor hands out:
 * OpenAI, Anthropic, OpenRouter, DeepSeek (sk-), Google (AIza, ya29.), GitHub (gh?_, github_pat_), Slack (xox?-), AWS (AKIA, ASIA),
 * GitLab (glpat-), Hugging Face (hf_), Stripe (sk_live_), Groq (gsk_), xAI (xai-), age, JSON web tokens (RFC 7519).
 * Before each stands no letter or digit, so that `task-…` is not one, but for a letter that is an escape's: `\nsk-…` in JSON.
 * None begins with b, f, n, r, t or u: a mask over it never breaks an escape.
 * None is longer than a login's token may be: an expression without an end runs out of stack on a text of 5 MB, and the line with it.
 */
const shapes =
  /(?:(?<![A-Za-z0-9_-])|(?<=\\[bfnrt])|(?<=\\u[0-9a-fA-F]{4}))(?:sk-[A-Za-z0-9_-]{20,16384}|[sr]k_(?:live|test)_[A-Za-z0-9]{16,16384}|gsk_[A-Za-z0-9]{32,16384}|xai-[A-Za-z0-9]{32,16384}|AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])|ya29\.[A-Za-z0-9_-]{20,16384}|gh[opsur]_[A-Za-z0-9]{36,16384}|github_pat_[A-Za-z0-9_]{36,16384}|glpat-[A-Za-z0-9_-]{20,16384}|xox[abeoprs]-[A-Za-z0-9-]{10,16384}|A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])|hf_[A-Za-z0-9]{30,16384}|AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{20,16384}|eyJ[A-Za-z0-9_-]{10,16384}\.eyJ[A-Za-z0-9_-]{10,16384}\.[A-Za-z0-9_-]{10,16384}|-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)/g;

/** One of these stands in every shape: where none is, nothing needs to be looked at. */
const hints = /[sr]k[-_]|gsk_|xai-|AIza|ya29|gh[opsur]_|_pat_|glpat|xox|A[KS]IA|hf_|AGE-S|\.eyJ|E KEY/;

/** The longest hint is shorter. */
const hintBytes = 8;
const windowBytes = 32 * 1024;

const pemBegin = '-----BEGIN ';
const pemEnd = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g;
/** No private key is longer; a BEGIN without an END must not mask the rest of a conversation. */
const maxPemBytes = 16 * 1024;

/** As far as no escape is cut in two. */
const wholeEscapes = /^(?:\\u[0-9a-fA-F]{4}|\\[^u]|[^\\])*/;

/** All of them, as text; the values that are credentials as stars. A header that comes more than once is joined by a comma and a space. */
export function redactHeaders(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  const redacted: [string, string][] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    redacted.push([
      name,
      secretNames.test(name) && !limits.test(name)
        ? `${scheme.exec(text)?.[0] ?? ''}***`
        : redactText(text).text,
    ]);
  }
  return Object.fromEntries(redacted);
}

/** Masks with stars of the same length; JSON stays JSON. The same buffer where nothing was found. */
export function redactBytes(bytes: Buffer): { bytes: Buffer; count: number } {
  if (!hasHint(bytes)) return { bytes, count: 0 };
  const text = bytes.toString('latin1');
  const { text: redacted, count } = redactText(text);
  return count === 0 ? { bytes, count } : { bytes: Buffer.from(redacted, 'latin1'), count };
}

/** In windows: a body of megabytes is not made a text as a whole. */
function hasHint(bytes: Buffer): boolean {
  for (let from = 0; from < bytes.length; from += windowBytes - hintBytes) {
    if (hints.test(bytes.toString('latin1', from, from + windowBytes))) return true;
  }
  return false;
}

/** The same of a text, of which each letter may be a byte. */
export function redactText(text: string): { text: string; count: number } {
  if (!hints.test(text)) return { text, count: 0 };
  let made = '';
  let from = 0;
  let count = 0;
  shapes.lastIndex = 0;
  for (let found = shapes.exec(text); found !== null; found = shapes.exec(text)) {
    const end = found[0].startsWith(pemBegin) ? pemTo(text, shapes.lastIndex) : shapes.lastIndex;
    made += text.slice(from, found.index) + masked(text.slice(found.index, end));
    from = end;
    shapes.lastIndex = end;
    count++;
  }
  return { text: made + text.slice(from), count };
}

/** To behind its END; without one as far as it may go. Never over a quote: in JSON that would be the end of the text it stands in. */
function pemTo(text: string, from: number): number {
  const long = text.slice(from, from + maxPemBytes);
  const quoted = long.search(/\\*"/);
  const rest = quoted === -1 ? long : long.slice(0, quoted);
  pemEnd.lastIndex = 0;
  if (pemEnd.exec(rest)) return from + pemEnd.lastIndex;
  return from + (wholeEscapes.exec(rest)?.[0].length ?? 0);
}

/** Escapes, line ends and what is not ASCII stay, so that the text around stays what it is. */
const masked = (secret: string): string =>
  secret.replace(/\\(?:u[0-9a-fA-F]{4}|.)|[\x21-\x7e]/gs, (part) => (part.length > 1 ? part : '*'));
