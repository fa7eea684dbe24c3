/** The filter of `holdfast traffic`: a small grammar over the fields of an exchange, text in, a predicate or a mistake with its place out. */

// GRAMMAR. Terms stand side by side with spaces between, and all of them must hold:
//   filter  = *( term )
//   term    = field operator value
//   text    = != ~ !~        agent=main  model~claude  rule=budget*  (= with * for any run of characters, ~ holds it; upper and lower case alike)
//   number  = != > >= < <=   status>=400  cost>0.01  in>10000
//   time    since: until:    since:1h  until:2026-02-03T12:00Z   (a span back from now: 30s 5m 2h 7d; or an ISO date)
//   value   = bare, up to the next space, or where it has one in double quotes, with \" and \\ inside
// A verdict is one of the words of `verdicts`; what could match none of them is a mistake.
// A field that an exchange does not have holds for != and !~ alone.

/** What can be asked of an exchange. Text fields are compared without regard to case. */
export type Queried = {
  atMs: number;
  text: Readonly<Partial<Record<TextField, string | null>>>;
  number: Readonly<Partial<Record<NumberField, number | null>>>;
};

export const textFields = [
  'agent',
  'provider',
  'model',
  'asked',
  'verdict',
  'rule',
  'error',
  'stop',
  'method',
  'path',
  'turn',
  'id',
] as const;
export type TextField = (typeof textFields)[number];

/** What became of an exchange, in the words in which it is shown. `open`: no outcome is on record (yet). `failed`: it left, and something went wrong. */
export const verdicts = ['passed', 'refused', 'failed', 'open'] as const;
export type Verdict = (typeof verdicts)[number];

export const numberFields = [
  'status',
  'in',
  'out',
  'cached',
  'cost',
  'ms',
  'first',
  'hops',
  'bytes',
] as const;
export type NumberField = (typeof numberFields)[number];

const timeFields = ['since', 'until'] as const;
const fields: readonly string[] = [...textFields, ...numberFields, ...timeFields];

export type Matches = (exchange: Queried) => boolean;

export type Query =
  | {
      ok: true;
      matches: Matches;
      /** No exchange before this can match: a reader that goes backwards may stop. */
      sinceMs: number | null;
    }
  | QueryMistake;

export type QueryMistake = {
  ok: false;
  /** Position in the text, from 1. */
  column: number;
  got: string;
  expected: string;
  nearest?: string;
};

/** A person types it; the limit keeps a pasted file from being one. */
const maxChars = 4000;

type Term = {
  field: string;
  operator: string;
  value: string;
  operatorAt: number;
  valueAt: number;
};

type Nearest = (word: string, valid: readonly string[]) => string | undefined;

/** `nearest` names the word that was probably meant; `nowMs` is what `since:1h` counts back from. */
export function parseQuery(text: string, nowMs: number, nearest: Nearest): Query {
  if (text.length > maxChars) return mistake(maxChars, 'a longer filter', `at most ${maxChars} characters`);
  const all: Matches[] = [];
  let sinceMs: number | null = null;
  for (let at = 0; ; ) {
    while (text[at] === ' ' || text[at] === '\t') at++;
    if (at >= text.length) break;
    const read = readTerm(text, at, nearest);
    if ('ok' in read) return read;
    const { term, end } = read;
    const judged = judge(term, nowMs, nearest);
    if ('ok' in judged) return judged;
    all.push(judged.matches);
    if (judged.sinceMs !== undefined) sinceMs = Math.max(sinceMs ?? judged.sinceMs, judged.sinceMs);
    at = end;
  }
  return { ok: true, sinceMs, matches: (exchange) => all.every((holds) => holds(exchange)) };
}

const mistake = (at: number, got: string, expected: string): QueryMistake => ({
  ok: false,
  column: at + 1,
  got,
  expected,
});

/** Not one of `valid`, with the one that was probably meant. */
function unknown(
  at: number,
  what: string,
  word: string,
  valid: readonly string[],
  nearest: Nearest,
): QueryMistake {
  const near = nearest(word, valid);
  const wrong = mistake(at, `the unknown ${what} “${word}”`, `one of ${valid.join(', ')}`);
  return near === undefined ? wrong : { ...wrong, nearest: near };
}

const operators: readonly string[] = ['!=', '!~', '>=', '<=', '=', '~', '>', '<', ':'];

function readTerm(text: string, from: number, nearest: Nearest): { term: Term; end: number } | QueryMistake {
  const field = /[A-Za-z][A-Za-z0-9_-]*/y;
  field.lastIndex = from;
  const name = field.exec(text)?.[0];
  if (name === undefined)
    return mistake(from, `“${text.slice(from, from + 1)}”`, 'a field, such as agent=main');
  if (!fields.includes(name)) return unknown(from, 'field', name, fields, nearest);
  const operatorAt = from + name.length;
  // All of it, so that == is no = before a value that begins with =.
  const signs = /[!=~<>:]+/y;
  signs.lastIndex = operatorAt;
  const operator = signs.exec(text)?.[0];
  if (operator === undefined) {
    const got = operatorAt >= text.length ? 'the end' : `“${text.slice(operatorAt, operatorAt + 1)}”`;
    return mistake(operatorAt, got, `an operator after “${name}”: ${operatorsOf(name)}`);
  }
  if (!operators.includes(operator)) return wrongOperator(name, operator, operatorAt);
  const valueAt = operatorAt + operator.length;
  const read = text[valueAt] === '"' ? quoted(text, valueAt) : bare(text, valueAt);
  if ('ok' in read) return read;
  return {
    term: { field: name, operator, value: read.value, operatorAt, valueAt },
    end: read.end,
  };
}

function bare(text: string, from: number): { value: string; end: number } | QueryMistake {
  const rest = /[^ \t]*/y;
  rest.lastIndex = from;
  const value = rest.exec(text)?.[0] ?? '';
  if (value === '')
    return mistake(from, from >= text.length ? 'the end' : 'a space', 'a value, or "" for an empty one');
  if (/^['‘’“”„`]/.test(value))
    return mistake(from, `“${value.slice(0, 1)}”`, 'the value without quotes, or in "" where it has a space');
  const quote = value.indexOf('"');
  if (quote !== -1)
    return mistake(from + quote, 'a quote inside a value', 'quotes around the whole value, with \\" inside');
  return { value, end: from + value.length };
}

function quoted(text: string, from: number): { value: string; end: number } | QueryMistake {
  let value = '';
  for (let at = from + 1; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const end = at + 1;
      if (end < text.length && !/[ \t]/.test(text[end] ?? ''))
        return mistake(end, `“${text[end]}”`, 'a space after the closing quote');
      return { value, end };
    }
    if (character === '\\') {
      at++;
      if (text[at] !== '"' && text[at] !== '\\') return mistake(at, `“\\${text[at] ?? ''}”`, '\\" or \\\\');
    }
    value += text[at];
  }
  return mistake(from, 'a quote that does not close', 'a closing "');
}

type Judged = { matches: Matches; sinceMs?: number } | QueryMistake;

function judge(term: Term, nowMs: number, nearest: Nearest): Judged {
  if (includes(timeFields, term.field)) return judgeTime(term, nowMs);
  if (term.field === 'verdict') return judgeVerdict(term, nearest);
  return includes(numberFields, term.field)
    ? judgeNumber(term, term.field)
    : judgeText(term, term.field as TextField);
}

const operatorsOf = (field: string): string => {
  if (includes(timeFields, field)) return ':';
  return includes(numberFields, field) ? '= != > >= < <=' : '= != ~ !~';
};

const wrongOperator = (field: string, operator: string, at: number): QueryMistake =>
  mistake(at, `“${operator}”`, `one of ${operatorsOf(field)} after “${field}”`);

function judgeText(term: Term, field: TextField): Judged {
  const wanted = term.value.toLowerCase();
  const is = globOf(wanted);
  const test = (holds: (value: string) => boolean, absent: boolean): Judged => ({
    matches: ({ text }) => {
      const value = text[field];
      return value === undefined || value === null ? absent : holds(value.toLowerCase());
    },
  });
  switch (term.operator) {
    case '=':
      return test(is, false);
    case '!=':
      return test((value) => !is(value), true);
    case '~':
      return test((value) => value.includes(wanted), false);
    case '!~':
      return test((value) => !value.includes(wanted), true);
    default:
      return wrongOperator(term.field, term.operator, term.operatorAt);
  }
}

/** A word that no exchange can have would match nothing, or all, without a word. */
function judgeVerdict(term: Term, nearest: Nearest): Judged {
  const judged = judgeText(term, 'verdict');
  const positive = judgeText({ ...term, operator: term.operator.replace('!', '') }, 'verdict');
  if ('ok' in judged || 'ok' in positive) return judged;
  const possible = verdicts.some((verdict) => positive.matches({ atMs: 0, text: { verdict }, number: {} }));
  return possible ? judged : unknown(term.valueAt, 'verdict', term.value, verdicts, nearest);
}

/** Without a regular expression made of somebody's text: the pieces between the stars, in order. */
function globOf(pattern: string): (value: string) => boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return (value) => value === first;
  return (value) => {
    if (!value.startsWith(first) || !value.endsWith(last) || value.length < first.length + last.length)
      return false;
    let at = first.length;
    for (const piece of rest) {
      const found = value.indexOf(piece, at);
      if (found === -1) return false;
      at = found + piece.length;
    }
    return at <= value.length - last.length;
  };
}

const compare: Record<string, (a: number, b: number) => boolean> = {
  '=': (a, b) => a === b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
};

function judgeNumber(term: Term, field: NumberField): Judged {
  const wanted = Number(term.value);
  if (!/^-?\d+(\.\d+)?$/.test(term.value))
    return mistake(
      term.valueAt,
      `“${term.value}”`,
      field === 'cost' ? 'a number of USD, such as 0.01' : 'a number',
    );
  if (term.operator === '!=') return { matches: ({ number }) => (number[field] ?? null) !== wanted };
  const holds = compare[term.operator];
  if (!holds) return wrongOperator(term.field, term.operator, term.operatorAt);
  return {
    matches: ({ number }) => {
      const value = number[field];
      return value !== undefined && value !== null && holds(value, wanted);
    },
  };
}

const unitMs: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function judgeTime(term: Term, nowMs: number): Judged {
  if (term.operator !== ':') return wrongOperator(term.field, term.operator, term.operatorAt);
  const span = /^(\d{1,6})([smhd])$/.exec(term.value);
  const isDate = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/.test(term.value);
  const ms = span
    ? nowMs - Number(span[1]) * (unitMs[span[2] ?? ''] ?? 0)
    : isDate
      ? Date.parse(term.value)
      : Number.NaN;
  if (!Number.isFinite(ms))
    return mistake(
      term.valueAt,
      `“${term.value}”`,
      'a span such as 30s, 5m, 2h, 7d, or a date such as 2026-02-03 or 2026-02-03T12:00Z',
    );
  return term.field === 'since'
    ? { matches: ({ atMs }) => atMs >= ms, sinceMs: ms }
    : { matches: ({ atMs }) => atMs <= ms };
}

const includes = <T extends string>(list: readonly T[], word: string): word is T =>
  (list as readonly string[]).includes(word);
