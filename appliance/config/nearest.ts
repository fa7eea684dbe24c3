/** The valid name that somebody probably meant. Used by configuration mistakes and by the command line. */

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours count one each. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost);
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, (before[j - 2] ?? 0) + 1);
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** Undefined when nothing is near: a wrong guess is worse than none. At most half of the letters may differ, of a short word one. */
export function nearest(word: string, valid: readonly string[]): string | undefined {
  if (word.length > 64) return undefined; // nobody mistypes that; the distance costs the product of both lengths
  const bare = simple(word);
  const near = valid
    .map((name) => ({ name, far: distance(bare, simple(name)) }))
    .filter(({ name, far }) => {
      const letters = Math.min(name.length, word.length);
      return far <= (letters < 6 ? 1 : Math.floor(letters / 2));
    })
    .sort((a, b) => a.far - b.far);
  return near[0]?.name ?? valid.find((name) => bare.length > 2 && simple(name).startsWith(bare));
}

/** `base_url`, `base-url` and `BaseURL` are spellings of `baseUrl`. */
const simple = (name: string): string => name.toLowerCase().replace(/[-_ ]/g, '');
