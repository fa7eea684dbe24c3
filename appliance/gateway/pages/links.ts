/** Text with its http addresses as links. What a link shows is where it leads, spelled out: the text is the address. chat.ts renders every reply through it. */
import { html } from 'hono/html';
import type { Html } from '../../view/html.ts';

const address = /https?:\/\/[^\s<>"'`{}|\\^]+/gi;
const trailing = /[.,;:!?)\]}*_~]+$/; // belongs to the sentence around it
const maxAddressChars = 2048;

/** Text nodes and links, in order; the `html` template escapes both. */
export function linked(text: string): (string | Html)[] {
  const parts: (string | Html)[] = [];
  let from = 0;
  for (const found of text.matchAll(address)) {
    const written = closed(found[0]);
    const href = canonical(written);
    if (href === undefined) continue;
    parts.push(
      text.slice(from, found.index),
      html`<a href="${href}" rel="noreferrer" target="_blank">${href}</a>`,
    );
    from = found.index + written.length;
  }
  parts.push(text.slice(from));
  return parts;
}

/** Keeps a closing bracket that the address itself opened, as in wiki/Name_(disambiguation). */
function closed(found: string): string {
  const cut = found.replace(trailing, '');
  const opens = cut.split('(').length - cut.split(')').length;
  return opens > 0 && found[cut.length] === ')' ? found.slice(0, cut.length + 1) : cut;
}

/** As the browser will dial it: a name in another script shows as xn--, and nobody hides a host behind `user@`. */
function canonical(written: string): string | undefined {
  if (written.length > maxAddressChars || !URL.canParse(written)) return undefined;
  const url = new URL(written);
  return url.username === '' && url.password === '' ? url.href : undefined;
}

const unfinished = /h(?:t(?:t(?:p(?:s?(?::(?:\/(?:\/\S*)?)?)?)?)?)?)?$/i;

/** How much of a growing text can be shown already: an address that is still being written waits for its end. */
export function settled(text: string): number {
  const at = text.search(unfinished);
  return at === -1 || text.length - at > maxAddressChars ? text.length : at;
}
