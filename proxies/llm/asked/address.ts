/** Does a string of a body look like an address that somebody could fetch? Asked by judge.ts and multipart.ts. */
import type { Text } from './piece.ts';

/** No scheme is longer, and an address shows itself by then. Bytes as written, escapes included. */
export const headBytes = 240;
/** The longest address that a judge is asked about. */
export const maxUrlBytes = 8192;

/** Schemes that fetch without `//` behind them. */
const fetched =
  /^(https?|ftps?|file|gs|s3|r2|az|abfss?|wss?|sftp|scp|git|ssh|ipfs|hf|blob|oci|hdfs|ldap|gopher|dict|jar|view-source):/i;
const scheme = /^[a-z][a-z0-9+.-]*:/i;
const schemeByte = Uint8Array.from({ length: 256 }, (_, code) =>
  /[a-z0-9+.-]/i.test(String.fromCharCode(code)) ? 1 : 0,
);

const colon = 0x3a;
const backslash = 0x5c;

/** Anything but text and `data:`. Blanks and control characters do not count: URL parsers and `trim` drop them. */
export function looksLikeAddress({ bytes, from, to }: Text): boolean {
  const end = Math.min(to, from + headBytes);
  for (let at = from; at < end; at++) {
    const code = bytes[at] as number;
    if (schemeByte[code] === 1 || code <= 0x20) continue;
    // A colon makes a scheme of it; an escape, or a byte beyond ASCII, may hide one.
    if (code !== colon && code !== backslash && code < 0x7f) return false;
    return isAddress(unescaped(bytes.toString('utf8', from, end)));
  }
  return false;
}

function isAddress(head: string): boolean {
  const dense = head.replaceAll(/[\p{C}\p{Z}\s]/gu, '');
  if (fetched.test(dense)) return true;
  const found = scheme.exec(dense);
  return found !== null && /^[/\\]/.test(dense.slice(found[0].length));
}

/** A text that is bytes: from here on it is an attachment and not a word. */
export const attachmentBytes = 4096;

/** By its beginning: base64, or a data: URL of it. Prose has blanks, other scripts have bytes beyond ASCII. */
export function isBase64({ bytes, from, to }: Text): boolean {
  return /^(data:[\w/+.;=-]*,)?[\w+/=-]+$/.test(
    bytes.toString('latin1', from, Math.min(to, from + headBytes)),
  );
}

/** What stands inline: exactly so, because a parser that trims would be another one than this. */
export function isInline({ bytes, from, to, escaped }: Text): boolean {
  const head = bytes.toString('latin1', from, Math.min(to, from + 30));
  return /^data:/i.test(escaped ? unescaped(head) : head);
}

/** The beginning of a JSON string as its reader sees it; an escape that the cut has broken is dropped. */
function unescaped(raw: string): string {
  if (!raw.includes('\\')) return raw;
  return raw.replaceAll(/\\(u([0-9a-f]{4})|u[0-9a-f]{0,3}$|.|$)/gi, (_, letter: string, digits?: string) => {
    if (digits !== undefined) return String.fromCharCode(Number.parseInt(digits, 16));
    return { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' }[letter] ?? (/^[\\/"]$/.test(letter) ? letter : '');
  });
}

/** Google's own files are asked for by address; they are objects stored there all the same. */
export const isStoredAddress = (url: string): boolean =>
  /^https?:\/\/[^/?#]*googleapis\.com\.?(:\d+)?\/([^?#]*\/)?files\//i.test(url);

/** The whole string. Only where `whole` is true. */
export const decode = ({ bytes, from, to, escaped }: Text): string =>
  escaped
    ? (JSON.parse(`"${bytes.toString('utf8', from, to)}"`) as string)
    : bytes.toString('utf8', from, to);
