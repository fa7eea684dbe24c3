/** An exchange as the llm ledger tells it: the request line and the outcome line of one id put together, newest first. `holdfast traffic` and the controller's pages read it. */
import { type NewestLine, newestFirst } from './newest.ts';
import type { Queried, Verdict } from './query.ts';

export type Tokens = Partial<Record<'in' | 'out' | 'cached' | 'cacheWrite' | 'reasoning', number>>;

/** One provider on the way, and why it was not the last. */
export type Hop = { provider: string; model: string; why: string; ms: number | null };

export type Exchange = {
  id: string;
  at: string;
  atMs: number;
  agent: string;
  turn: string | null;
  method: string;
  path: string;
  /** The model as the agent named it; an alias is one of these. */
  asked: string | null;
  alias: string | null;
  provider: string | null;
  model: string | null;
  verdict: Verdict;
  rule: string | null;
  reason: string | null;
  error: string | null;
  stop: string | null;
  status: number | null;
  ms: number | null;
  firstByteMs: number | null;
  bytesOut: number | null;
  bytesIn: number | null;
  tokens: Tokens;
  costUsd: number | null;
  hops: Hop[];
  /** The lines as they stand, and the files they stood in when they were read. */
  lines: { request?: Line; outcome?: Line; refusal?: Line };
  files: { request?: string; outcome?: string };
};

export type Line = Record<string, unknown>;

/** What a ledger holds beside exchanges: pieces of bodies, and its own bookkeeping. */
const others = new Set(['blob', 'segment', 'torn', 'carry']);

/** More outcomes whose request was not seen yet than exchanges can be under way; the rest of a broken ledger is not kept. */
const maxWaiting = 10_000;

/** Newest first by the time they began. */
export async function* exchanges(path: string): AsyncGenerator<Exchange> {
  const outcomes = new Map<string, { line: Line; file: string }>();
  for await (const each of newestFirst(path)) {
    const line = lineOf(each);
    if (!line) continue;
    const id = textOf(line.id) ?? '';
    if (each.kind === 'outcome') {
      if (outcomes.size < maxWaiting) outcomes.set(id, { line, file: each.file });
    } else if (each.kind === 'request') {
      const came = outcomes.get(id);
      outcomes.delete(id);
      yield put(line, each.file, came);
    } else if (each.kind === 'refusal') yield exchangeOf({ refusal: line });
  }
}

const put = (request: Line, file: string, came: { line: Line; file: string } | undefined): Exchange =>
  exchangeOf(
    { request, ...(came ? { outcome: came.line } : {}) },
    { request: file, ...(came ? { outcome: came.file } : {}) },
  );

/** The lines of exchanges since the line `seq`, oldest first: what came while somebody follows. */
export async function linesSince(path: string, seq: number): Promise<{ seq: number; lines: Line[] }> {
  const lines: Line[] = [];
  let last = seq;
  for await (const each of newestFirst(path)) {
    if (each.seq <= seq) break;
    last = Math.max(last, each.seq);
    const line = lineOf(each);
    if (line) lines.push(line);
  }
  return { seq: last, lines: lines.reverse() };
}

/** Those whose id begins so, newest first, `most` of them at most. The one whose whole id it is stands alone. */
export async function findExchanges(path: string, id: string, most: number): Promise<Exchange[]> {
  const wanted = `"id":${JSON.stringify(id).slice(0, -1)}`;
  const outcomes = new Map<string, { line: Line; file: string }>();
  const found: Exchange[] = [];
  for await (const each of newestFirst(path)) {
    if (others.has(each.kind) || !each.bytes.includes(wanted)) continue;
    const line = lineOf(each);
    const own = textOf(line?.id);
    if (!line || !own?.startsWith(id)) continue;
    if (each.kind === 'outcome') {
      if (outcomes.size < maxWaiting) outcomes.set(own, { line, file: each.file });
      continue;
    }
    if (each.kind === 'refusal') found.push(exchangeOf({ refusal: line }));
    else if (each.kind === 'request') found.push(put(line, each.file, outcomes.get(own)));
    else continue;
    if (own === id) return found.slice(-1);
    outcomes.delete(own);
    if (found.length >= most) break;
  }
  return found;
}

/** Undefined for what is no part of an exchange, and for what is no JSON object: `audit verify` names that. */
function lineOf({ kind, bytes }: NewestLine): Line | undefined {
  if (others.has(kind)) return undefined;
  try {
    const line: unknown = JSON.parse(bytes.toString('utf8'));
    return typeof line === 'object' && line !== null && !Array.isArray(line) ? (line as Line) : undefined;
  } catch {
    return undefined;
  }
}

/** Tolerant: what a line lacks is null, whatever its version. */
export function exchangeOf(
  { request, outcome, refusal }: Exchange['lines'],
  files: Exchange['files'] = {},
): Exchange {
  const lines = [outcome, request, refusal].filter((line) => line !== undefined);
  const first = request ?? refusal ?? outcome ?? {};
  const text = (name: string): string | null => firstOf(lines, name, textOf);
  const number = (name: string): number | null => firstOf(lines, name, numberOf);
  const error = text('error');
  const at = textOf(first.at) ?? '';
  return {
    id: text('id') ?? '',
    at,
    atMs: Date.parse(at),
    agent: text('agent') ?? '',
    turn: turnOf(first.turn),
    method: text('method') ?? '',
    path: text('path') ?? '',
    asked: text('asked'),
    alias: text('alias'),
    provider: text('provider'),
    model: text('model'),
    verdict: refusal ? 'refused' : !outcome ? 'open' : error === null ? 'passed' : 'failed',
    rule: text('rule'),
    reason: text('reason'),
    error,
    stop: text('stop'),
    status: number('status'),
    ms: number('ms'),
    firstByteMs: number('firstByteMs'),
    bytesOut: number('bytesOut'),
    bytesIn: number('bytesIn'),
    tokens: tokensOf(outcome?.tokens),
    costUsd: number('costUsd'),
    hops: hopsOf(outcome?.hops),
    lines: {
      ...(request ? { request } : {}),
      ...(outcome ? { outcome } : {}),
      ...(refusal ? { refusal } : {}),
    },
    files,
  };
}

export const queriedOf = (each: Exchange): Queried => ({
  atMs: each.atMs,
  text: {
    agent: each.agent,
    provider: each.provider,
    model: each.model,
    asked: each.asked,
    verdict: each.verdict,
    rule: each.rule,
    error: each.error,
    stop: each.stop,
    method: each.method,
    path: each.path,
    turn: each.turn,
    id: each.id,
  },
  number: {
    status: each.status,
    in: each.tokens.in ?? null,
    out: each.tokens.out ?? null,
    cached: each.tokens.cached ?? null,
    cost: each.costUsd,
    ms: each.ms,
    first: each.firstByteMs,
    hops: each.lines.outcome ? each.hops.length : null,
    bytes: each.bytesIn,
  },
});

function firstOf<T>(lines: Line[], name: string, read: (value: unknown) => T | null): T | null {
  for (const line of lines) {
    const value = read(line[name]);
    if (value !== null) return value;
  }
  return null;
}

const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null);
const numberOf = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) ? value : null;
const fieldsOf = (value: unknown): Line =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Line) : {};

const turnOf = (value: unknown): string | null => textOf(value) ?? textOf(fieldsOf(value).id);

function tokensOf(value: unknown): Tokens {
  const from = fieldsOf(value);
  const names = ['in', 'out', 'cached', 'cacheWrite', 'reasoning'] as const;
  return Object.fromEntries(
    names.flatMap((name) => {
      const count = numberOf(from[name]);
      return count === null ? [] : [[name, count]];
    }),
  );
}

const hopsOf = (value: unknown): Hop[] =>
  Array.isArray(value)
    ? value.map(fieldsOf).map((hop) => ({
        provider: textOf(hop.provider) ?? '',
        model: textOf(hop.model) ?? '',
        why: textOf(hop.why) ?? '',
        ms: numberOf(hop.ms),
      }))
    : [];
