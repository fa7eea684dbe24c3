/** A host, spelled in exactly one way. The egress doors canonicalise what they are asked for once and use that for every later step; the policy and the configuration read their patterns here. */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII } from 'node:url';

/** `name` is lower-case ASCII without a trailing dot; `v4` is a dotted quad; `v6` is RFC 5952 text without brackets. */
export type Host = { kind: 'name' | 'v4' | 'v6'; text: string };

/** A canonical host, or why there is none, as the end of a sentence about what was asked for. */
export type Spelling = { ok: true; host: Host } | { ok: false; why: string };

/** RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters of text. */
const maxNameChars = 253;
/** Before IDNA maps it. A longer text is refused unread. */
const maxSpelledChars = 1024;

/** What no spelling of a host has: controls and NUL (node cut a name there before 24), blanks, zone ids and percent escapes, and what ends a host in a URL. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const forbidden = /[\u0000-\u0020\u007f-\u00a0%/\\?#@:<>^|"'`{}[\]()*,;=&+!~$]/;

/** RFC 1123 section 2.1 and the underscore, which service names have. A dash at an end would be read as an option by programs. */
const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** WHATWG URL, "ends in a number checker": what inet_aton(3) would read as an address, such as 127.1 or 0x7f000001. */
const numberLabel = /^(?:[0-9]+|0x[0-9a-f]*)$/;

const no = (why: string): Spelling => ({ ok: false, why });
const yes = (kind: Host['kind'], text: string): Spelling => ({ ok: true, host: { kind, text } });

/** Brackets are for IPv6 addresses only (RFC 3986 section 3.2.2); without them an IPv6 address is taken too, because rules are written so. */
export function canonicalHost(spelled: string): Spelling {
  if (spelled === '') return no('the host is empty');
  if (spelled.length > maxSpelledChars) return no(`the host is longer than ${maxNameChars} characters`);
  const bracketed = /^\[(.*)\]$/s.exec(spelled)?.[1];
  if (bracketed !== undefined || isIPv6(spelled)) return canonicalV6(bracketed ?? spelled);
  if (isIPv4(spelled)) return yes('v4', spelled);
  const bad = forbidden.exec(spelled);
  if (bad) return no(`a host has no ${inWords(bad[0])}`);

  const ascii = domainToASCII(spelled);
  if (ascii === '' && !endsInNumber(spelled.toLowerCase()))
    return no('the host is not a name that IDNA knows');
  const name = (ascii === '' ? spelled.toLowerCase() : ascii).replace(/\.$/, '');
  // The URL parser has turned 127.1 and fullwidth digits into a dotted quad: an address must be spelled as one.
  if (endsInNumber(name)) return no('an address is written as four decimal numbers, or in brackets');
  if (name.length > maxNameChars) return no(`the host is longer than ${maxNameChars} characters`);
  const wrong = name.split('.').find((each) => !label.test(each));
  if (wrong === '') return no('the host has an empty label');
  if (wrong !== undefined)
    return no('a label of the host is longer than 63 characters or has a character that names do not have');
  return yes('name', name);
}

const endsInNumber = (name: string): boolean =>
  numberLabel.test(name.replace(/\.$/, '').split('.').at(-1) ?? '');

function canonicalV6(text: string): Spelling {
  // net.isIPv6 takes a zone id, which names an interface of ours.
  if (text.includes('%')) return no('an address has no zone id here');
  if (!isIPv6(text)) return no('only an IPv6 address stands in brackets');
  return yes('v6', new URL(`http://[${text}]`).hostname.slice(1, -1));
}

function inWords(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  return code > 0x20 && code < 0x7f
    ? char
    : `character U+${code.toString(16).padStart(4, '0').toUpperCase()}`;
}

/** `host` exactly, or, with `below`, every name below it at any depth, itself excluded. */
export type HostPattern = { host: Host; below: boolean; text: string };

/** A host, or `*.name` with two labels or more: never `*`, `*.com`, or a star anywhere else. */
export function hostPattern(
  spelled: string,
): { ok: true; pattern: HostPattern } | { ok: false; why: string } {
  const below = spelled.startsWith('*.');
  const rest = below ? spelled.slice(2) : spelled;
  const given = canonicalHost(rest);
  if (rest.includes('*')) return { ok: false, why: 'a star stands only at the front, as in *.example.com' };
  if (!given.ok) return given;
  const { host } = given;
  if (!below) return { ok: true, pattern: { host, below, text: host.text } };
  if (host.kind !== 'name') return { ok: false, why: 'a star cannot stand before an address' };
  if (!host.text.includes('.')) return { ok: false, why: `*.${host.text} would be a whole top-level domain` };
  return { ok: true, pattern: { host, below, text: `*.${host.text}` } };
}

/** As it stands in a URL, a Host header or a rule: IPv6 in brackets. */
export const hostText = ({ kind, text }: Host): string => (kind === 'v6' ? `[${text}]` : text);

export const hostPort = (host: Host, port: number): string => `${hostText(host)}:${port}`;
