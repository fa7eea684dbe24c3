/** Hostile text made honest: what would hide, reorder or move text is shown by its code point. Every page puts text of others through here before the template escapes it. */

/**
 * Controls, format characters (bidi, zero width), lone surrogates, unassigned and private code points, separators, all
 * spaces but U+0020, and what renders as nothing (variation selectors, fillers). Line feed and tab stay: a <pre> shows them.
 * Source: Unicode TR36 section 2, "Trojan Source" (CVE-2021-42574).
 */
const unseen = /(?![ \n\t])[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu;

/** More than three marks on one letter is not a language; it is text drawn over its neighbours. */
const pile = /\p{M}{4,}/gu;

const named = (character: string): string =>
  `\u27E8U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}\u27E9`;

/** Text that looks like what it is. Not escaped: give it to a `html` template, which does that. */
export function visible(text: string): string {
  return text.replace(unseen, named).replace(pile, (marks) => [...marks].map(named).join(''));
}

/** For a cell or a sentence: one line, at most `most` characters, cut with an ellipsis that says so. */
export function visibleLine(value: unknown, most = 200): string {
  const text = typeof value === 'string' ? value : value === undefined || value === null ? '' : String(value);
  const cut = text.length > most ? `${text.slice(0, most).replace(/[\uD800-\uDBFF]$/u, '')}…` : text;
  return visible(cut).replace(/\n/g, '⟨U+000A⟩').replace(/\t/g, '⟨U+0009⟩');
}
