/** A stream of hostile text made harmless to show: what a terminal or a page would obey instead of showing is taken out. guest.ts and turn.ts feed it piece by piece. */

/**
 * C0 but for line feed and tab, DEL, C1; bidirectional controls, which can make an address read as another one (Unicode
 * TR36 section 2); line separators, invisible operators, interlinear marks and tags. Joiners stay: Persian and emoji need them.
 */
const obeyed =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this removes
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

export const plaintext = (text: string): string => text.toWellFormed().replace(obeyed, '');

/** For words of a guest inside a sentence of ours. */
export function plainLine(text: string, most = 500): string {
  const line = plaintext(text).replace(/\s+/g, ' ').trim();
  return line.length > most ? `${line.slice(0, most).toWellFormed()}…` : line;
}

export type Plaintext = { feed(text: string): string };

/** Half a surrogate pair at the end of a piece waits for the next one. */
export function createPlaintext(): Plaintext {
  let held = '';
  return {
    feed(text) {
      const all = held + text;
      const last = all.charCodeAt(all.length - 1);
      held = last >= 0xd800 && last <= 0xdbff ? all.slice(-1) : '';
      return plaintext(held === '' ? all : all.slice(0, -1));
    },
  };
}
