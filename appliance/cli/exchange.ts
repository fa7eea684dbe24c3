/** One exchange on a terminal: a row of `holdfast traffic`, or the whole of it for `traffic show`. Its texts are an agent's and a provider's; print.ts makes them visible. */
import type { Bodies, Body } from '../../proxies/ledger/body.ts';
import type { Exchange } from '../../proxies/ledger/exchange.ts';
import { clockTime, usd } from '../view/words.ts';

export const titles = ['TIME', 'ID', 'AGENT', 'MODEL', 'STATUS', 'IN', 'OUT', 'USD', 'MS', 'VERDICT'];

/** Long enough that two of one day seldom share it; `show` takes the beginning of an id. */
const shortId = 8;

export const row = (each: Exchange, nowMs: number): unknown[] => [
  clockTime(each.atMs, nowMs),
  each.id.slice(0, shortId),
  each.agent,
  modelOf(each),
  each.status,
  each.tokens.in,
  each.tokens.out,
  usd(each.costUsd),
  each.ms === null ? '' : Math.round(each.ms),
  verdictOf(each),
];

const modelOf = ({ provider, model, asked }: Exchange): string =>
  provider === null ? (asked ?? '') : `${provider}${model === null ? '' : `/${model}`}`;

const verdictOf = ({ verdict, rule, error }: Exchange): string => {
  if (verdict === 'refuse') return `refused ${rule ?? ''}`.trimEnd();
  if (verdict === 'fail') return `failed ${error ?? ''}`.trimEnd();
  return verdict === 'allow' ? 'passed' : 'under way';
};

/** As JSON: the facts, and both bodies as text. */
export const facts = ({ lines, files: _, atMs: __, ...rest }: Exchange): Record<string, unknown> => ({
  ...rest,
  reserved: lines.request?.reserved,
});

export const wholeJson = (each: Exchange, { asked, answered }: Bodies): Record<string, unknown> => ({
  ...facts(each),
  headers: each.lines.request?.headers ?? {},
  request: asked ? textOf(asked) : null,
  answer: answered ? textOf(answered) : null,
});

/** For a person: facts first, then the bodies, JSON indented. */
export function whole(each: Exchange, bodies: Bodies): string {
  const { tokens, hops } = each;
  const count = (name: string, value: number | undefined): string =>
    value === undefined ? '' : `${name} ${value}`;
  const some = (...parts: string[]): string => parts.filter((part) => part !== '').join(', ');
  const ms = (name: string, value: number | null): string =>
    value === null ? '' : `${name} ${Math.round(value)} ms`;
  const facts: [string, string][] = [
    ['id', each.id],
    ['at', each.at],
    ['agent', each.agent],
    ['turn', each.turn ?? ''],
    ['asked', `${each.method} ${each.path}${each.asked === null ? '' : `, model ${each.asked}`}`],
    ['answered by', each.provider === null ? '' : modelOf(each)],
    ['verdict', some(verdictOf(each), each.status === null ? '' : `status ${each.status}`)],
    ['reason', each.reason ?? ''],
    ['stopped by', each.stop ?? ''],
    ['time', some(ms('first byte', each.firstByteMs), ms('total', each.ms))],
    [
      'tokens',
      some(
        count('in', tokens.in),
        count('cached', tokens.cached),
        count('written to cache', tokens.cacheWrite),
        count('out', tokens.out),
        count('reasoning', tokens.reasoning),
      ),
    ],
    ['cost', each.costUsd === null ? '' : `${usd(each.costUsd)} USD`],
    ['bytes', some(count('out', each.bytesOut ?? undefined), count('in', each.bytesIn ?? undefined))],
  ];
  const headers = Object.entries((each.lines.request?.headers ?? {}) as Record<string, unknown>);
  return [
    ...facts.filter(([, value]) => value !== '').map(([name, value]) => `${name.padEnd(12)} ${value}`),
    ...section(
      'hops',
      hops.map(
        (hop, at) =>
          `${at + 1}. ${hop.provider}${hop.model === '' ? '' : `/${hop.model}`}  ${hop.why}${hop.ms === null ? '' : `  ${Math.round(hop.ms)} ms`}`,
      ),
    ),
    ...section(
      'headers',
      headers.map(([name, value]) => `${name}: ${String(value)}`),
    ),
    ...section(`request${noteOf(bodies.asked)}`, bodies.asked ? readable(bodies.asked) : []),
    ...section(`answer${noteOf(bodies.answered)}`, bodies.answered ? readable(bodies.answered) : []),
  ].join('\n');
}

const section = (title: string, lines: string[]): string[] =>
  lines.length === 0 ? [] : ['', `${title}:`, ...lines.map((line) => `  ${line}`)];

const noteOf = (body: Body | null): string => {
  if (!body) return '';
  const notes = [
    `${body.bytes.length} bytes`,
    body.redacted > 0 ? `${body.redacted} masked` : '',
    body.missing > 0 ? `${body.missing} pieces are not on record` : '',
  ];
  return ` (${notes.filter((note) => note !== '').join(', ')})`;
};

function readable(body: Body): string[] {
  const text = textOf(body);
  try {
    return JSON.stringify(JSON.parse(text), null, 2).split('\n');
  } catch {
    return text.split('\n');
  }
}

/** Sound is not for a terminal. */
export function textOf(body: Body): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body.bytes);
  } catch {
    return `(${body.bytes.length} bytes that are no text)`;
  }
}
