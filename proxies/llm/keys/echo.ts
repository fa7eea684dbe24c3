/** In how many ways an answer may echo a key, and where in a text one of them stands. Used by scrub.ts. */

/** One letter of an echo: all the letters that it may be. */
type Letter = string;
/** One byte of the key, or one letter of its base64, in each of its spellings. */
type Unit = readonly (readonly Letter[])[];
/** `tail`: the last unit is shared with what follows the key, and may be missing where the text ends. */
type Sequence = { units: readonly Unit[]; tail: boolean };

/** Where an echo that begins at a place ends; 'more': the text ends before it does. */
export type End = number | 'more' | undefined;

export type Echo = {
  /** Finds every place at which an echo may begin, and few others. */
  anchor: RegExp;
  endAt(text: string, from: number, final: boolean): End;
  /** The first place from which the text may still become an echo; the text's length where there is none. */
  openFrom(text: string): number;
};

/** Enough that ordinary text seldom looks like it, little enough for a small pattern: a key may be a token of 2 kB. */
const anchorUnits = 8;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Literal, percent, \u and \x escapes, freely mixed; hex in both cases; base64 at its three alignments in both alphabets. */
export function createEcho(keys: readonly string[]): Echo {
  const sequences = keys.flatMap((key) => {
    const bytes = [...Buffer.from(key)];
    return [
      { units: bytes.map(spelled), tail: false },
      { units: bytes.map((byte) => [hexed(byte)]), tail: false },
      ...[0, 1, 2].map((shift) => base64(bytes, shift)),
    ];
  });
  const maxBytes = Math.max(...sequences.map(longest));
  const begins = new Set(
    sequences.flatMap(({ units }) => (units[0] as Unit).flatMap(([first]) => [...(first ?? '')])),
  );
  const letters = new Set(sequences.flatMap(({ units }) => units.flat(2).flatMap((each) => [...each])));

  const endAt = (text: string, from: number, final: boolean): End => {
    let end: End;
    for (const sequence of sequences) {
      const one = endOf(sequence, text, from, final);
      if (typeof one === 'number') end = typeof end === 'number' ? Math.max(end, one) : one;
      else end ??= one;
    }
    return end;
  };
  return {
    anchor: new RegExp(
      sequences.map(({ units }) => units.slice(0, anchorUnits).map(pattern).join('')).join('|'),
      'g',
    ),
    endAt,
    openFrom(text) {
      let first = text.length;
      while (first > 0 && text.length - first < maxBytes && letters.has(text[first - 1] as string)) first--;
      for (let from = first; from < text.length; from++) {
        if (!begins.has(text[from] as string)) continue;
        if (sequences.some((sequence) => endOf(sequence, text, from, false) === 'more')) return from;
      }
      return text.length;
    },
  };
}

const longest = ({ units }: Sequence): number =>
  units.reduce((sum, unit) => sum + Math.max(...unit.map((spelling) => spelling.length)), 0);

/** Follows every spelling at once; there is more than one way only where the key itself holds a % or a backslash. */
function endOf({ units, tail }: Sequence, text: string, from: number, final: boolean): End {
  let places = [from];
  for (let index = 0; index < units.length; index++) {
    const next: number[] = [];
    for (const place of places) {
      for (const spelling of units[index] as Unit) {
        const read = spelt(text, place, spelling);
        if (read === 'more' && !final) return 'more';
        if (typeof read === 'number' && !next.includes(read)) next.push(read);
      }
    }
    if (next.length === 0) return tail && index === units.length - 1 ? Math.max(...places) : undefined;
    places = next;
  }
  return Math.max(...places);
}

function spelt(text: string, from: number, spelling: readonly Letter[]): End {
  for (let at = 0; at < spelling.length; at++) {
    const letter = text[from + at];
    if (letter === undefined) return 'more';
    if (!(spelling[at] as Letter).includes(letter)) return undefined;
  }
  return from + spelling.length;
}

const pattern = (unit: Unit): string => {
  const spellings = unit.map((spelling) => spelling.map(lettersPattern).join(''));
  return spellings.length === 1 ? (spellings[0] as string) : `(?:${spellings.join('|')})`;
};

const lettersPattern = (letters: Letter): string =>
  letters.length === 1
    ? letters.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&')
    : `[${letters.replace(/[\\\]^-]/g, '\\$&')}]`;

const hexed = (byte: number): Letter[] =>
  [...byte.toString(16).padStart(2, '0')].map((digit) =>
    /[a-f]/.test(digit) ? digit + digit.toUpperCase() : digit,
  );

/** As itself, or by any of the escapes of URLs, of JSON and of programs. */
function spelled(byte: number): Unit {
  const letter = String.fromCharCode(byte);
  const hex = hexed(byte);
  const short = '/"\\'.includes(letter) ? [['\\', letter]] : [];
  return [[letter], ['%', ...hex], ['\\', 'u', '0', '0', ...hex], ['\\', 'x', ...hex], ...short];
}

/**
 * The key's letters where it begins `shift` bytes into a group of three (RFC 4648, section 4 and 5). The first one that is shared
 * with what stands before is left alone: it has at most four bits of the key's first byte.
 */
function base64(bytes: readonly number[], shift: number): Sequence {
  const bits = '.'.repeat(shift * 8) + bytes.map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const units: Unit[] = [];
  for (let at = Math.ceil((shift * 8) / 6) * 6; at < bits.length; at += 6) {
    const six = new RegExp(`^${bits.slice(at, at + 6).padEnd(6, '.')}$`);
    const letters = [...alphabet].filter((_, value) => six.test(value.toString(2).padStart(6, '0'))).join('');
    const unit: Letter[][] = [[letters.replace('+', '+-').replace('/', '/_')]];
    if (letters.includes('/')) unit.push(['\\', '/'], ['%', '2', 'fF'], ['\\', 'u', '0', '0', '2', 'fF']);
    if (letters.includes('+')) unit.push(['%', '2', 'bB'], ['\\', 'u', '0', '0', '2', 'bB']);
    units.push(unit);
  }
  return { units, tail: bits.length % 6 !== 0 };
}
