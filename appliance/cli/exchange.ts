/** One exchange on a terminal: a row of `holdfast traffic`, or the whole of it for `traffic show`. Its texts are an agent's and a provider's; print.ts makes them visible. */
import type { Bodies, Body } from '../../proxies/ledger/body.ts';
import type { Exchange } from '../../proxies/ledger/exchange.ts';
import { faultWords } from '../view/fault.ts';
import { clockTime, usd } from '../view/words.ts';

export const titles = ['TIME', 'ID', 'AGENT', 'MODEL', 'STATUS', 'IN', 'OUT', 'USD', 'MS', 'VERDICT'];

/** Long enough that two of one day seldom share it; `show` takes the beginning of an id. */
const shortId = ({ id }: Exchange): string => id.slice(0, 8);

export const row = (each: Exchange, nowMs: number): unknown[] => [
  clockTime(each.atMs, nowMs),
  shortId(each),
  each.agent,
  modelOf(each),
  each.status,
  each.tokens.in,
  each.tokens.out,
  costOf(each),
  each.ms === null ? '' : Math.round(each.ms),
  verdictOf(each),
];

const modelOf = ({ provider, model, asked }: Exchange): string =>
  provider === null ? (asked ?? '') : named({ provider, model });

const verdictOf = ({ verdict, rule, error }: Exchange): string => {
  if (verdict === 'refused' && rule !== null) return `refused ${rule}`;
  return verdict === 'failed' && error !== null ? `failed ${faultWords(error)}` : verdict;
};

const amountOf = (value: unknown): unknown => (value as { usdNano?: unknown } | null | undefined)?.usdNano;

/** Nobody could know what it cost, so it costs what was set aside for it. */
const isReserved = ({ costUsd, lines: { request, outcome } }: Exchange): boolean =>
  costUsd !== null &&
  costUsd > 0 &&
  request?.reserved !== undefined &&
  amountOf(outcome?.cost) === amountOf(request.reserved);

const costOf = (each: Exchange, unit = ''): string =>
  each.costUsd === null ? '' : `${usd(each.costUsd)}${unit}${isReserved(each) ? ' (reserved)' : ''}`;

/** As JSON: the facts, and both bodies as text. */
export const facts = (each: Exchange): Record<string, unknown> => {
  const { lines, files: _, atMs: __, ...rest } = each;
  return { ...rest, reserved: lines.request?.reserved, costIsReserved: isReserved(each) };
};

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
    whoOf(each),
    [
      'verdict',
      some(`${verdictOf(each)}${codeOf(each)}`, each.status === null ? '' : `status ${each.status}`),
    ],
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
    ['cost', costOf(each, ' USD')],
    ['bytes', some(count('out', each.bytesOut ?? undefined), count('in', each.bytesIn ?? undefined))],
  ];
  const headers = Object.entries((each.lines.request?.headers ?? {}) as Record<string, unknown>);
  return [
    ...facts.filter(([, value]) => value !== '').map(([name, value]) => `${name.padEnd(14)} ${value}`),
    ...section(
      'hops',
      hops.map(
        (hop, at) =>
          `${at + 1}. ${named(hop)}  ${faultWords(hop.why)}${hop.ms === null ? '' : `  ${Math.round(hop.ms)} ms`}`,
      ),
    ),
    ...section(
      'headers',
      headers.map(([name, value]) => `${name}: ${String(value)}`),
    ),
    ...section(`request${noteOf(bodies.asked)}`, bodies.asked ? readable(bodies.asked) : []),
    ...section(
      `answer${streamed(each, bodies.asked) ? ', put together from a stream' : ''}${noteOf(bodies.answered)}`,
      bodies.answered ? readable(bodies.answered) : [],
    ),
  ].join('\n');
}

const named = ({ provider, model }: { provider: string; model: string | null }): string =>
  `${provider}${model === null || model === '' ? '' : `/${model}`}`;

/** An outcome names a provider only when one answered. */
function whoOf(each: Exchange): [string, string] {
  const { hops, provider, model, lines } = each;
  const first = provider === null ? '' : named({ provider, model });
  if (lines.outcome === undefined) return ['sent to', first];
  if (lines.outcome.provider !== undefined) return ['answered by', first];
  return ['no answer from', [...new Set(hops.map(named))].join(', ') || first];
}

/** The word on record, for a filter, where it is shown in others. */
const codeOf = ({ error }: Exchange): string =>
  error === null || faultWords(error) === error ? '' : ` (${error})`;

/** The record holds one answer, however it came; the request says which way that was. */
export function streamed({ path }: Exchange, asked: Body | null): boolean {
  if (/stream/i.test(path)) return true; // Gemini: :streamGenerateContent
  try {
    const { stream } = JSON.parse(asked ? textOf(asked) : '') as { stream?: unknown };
    // Ollama's own paths stream unless told otherwise: https://docs.ollama.com/api/streaming
    return stream === undefined ? /^\/api\/(chat|generate)$/.test(path) : stream === true;
  } catch {
    return false;
  }
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
