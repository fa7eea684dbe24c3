/** A name with stars: `*` stands for any run of characters, a slash included. Used by plan.ts for providers' models and agents' allow-lists. */

/** In time linear in both but for the last star; no regular expression, because one side may be a guest's. */
export function globMatches(glob: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let here = 0;
  while (at < text.length) {
    if (glob[here] === '*') {
      star = here;
      here += 1;
      resume = at;
    } else if (glob[here] === text[at]) {
      here += 1;
      at += 1;
    } else if (star >= 0) {
      here = star + 1;
      resume += 1;
      at = resume;
    } else return false;
  }
  while (glob[here] === '*') here += 1;
  return here === glob.length;
}

/** The entry whose glob fits best: the one with the most letters. */
export function bestGlob<T>(table: Readonly<Record<string, T>> | undefined, text: string): T | undefined {
  const letters = (glob: string): number => glob.replaceAll('*', '').length;
  const globs = Object.keys(table ?? {}).filter((glob) => globMatches(glob, text));
  const best = globs.sort((a, b) => letters(b) - letters(a) || a.length - b.length)[0];
  return best === undefined ? undefined : table?.[best];
}

export const anyGlob = (globs: readonly string[], text: string): boolean =>
  globs.some((glob) => globMatches(glob, text));
