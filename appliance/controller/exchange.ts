/** An exchange as a page shows it: the ledger lines of one id folded into a row. The exchanges page reads the ledgers of three processes through here, with patience: what a line lacks stays empty. */
import { z } from 'zod';
import type { Verdict } from '../../proxies/ledger/query.ts';
import { faultWords } from '../view/fault.ts';

export type Exchange = {
  atMs: number;
  door: string;
  /** As `holdfast traffic` takes it; empty where the line has none. */
  id: string;
  agent: string;
  /** What was asked: method, host, path, tool, command. Text of others. */
  what: string;
  /** Who answered or was asked, or the model as the agent named it. */
  model: string;
  verdict: Verdict;
  why: string;
  ms: number | null;
  /** At the llm door: what it cost, what was counted, and the way over more than one provider. */
  costUsd: number | null;
  /** Nobody could know the cost: it is what was set aside. */
  reserved: boolean;
  tokens: { in: number | null; out: number | null };
  hops: string[];
};

const text = z.string().catch('');
const number = z.number().nullable().catch(null);

const amount = z.object({ usdNano: z.number() }).nullable().catch(null);

/** The fields of a canonical line that the page knows. Anything else in it is for jq. */
const lineSchema = z.object({
  id: text,
  at: text,
  kind: text,
  agent: text,
  method: text,
  host: text,
  port: z.union([z.number(), z.string()]).transform(String).catch(''),
  path: text,
  provider: text,
  model: text,
  asked: text,
  tool: text,
  command: text,
  script: text,
  verdict: text,
  allow: z.boolean().nullable().catch(null),
  rule: text,
  reason: text,
  error: text,
  status: number,
  exit: number,
  ms: number,
  costUsd: number,
  cost: amount,
  reserved: amount,
  tokens: z.object({ in: number, out: number }).nullable().catch(null),
  hops: z.array(z.object({ provider: text, model: text, why: text })).catch([]),
});
type Line = z.infer<typeof lineSchema>;

const refused = (line: Line): boolean =>
  line.allow === false ||
  ['refusal', 'refused', 'denial', 'denied'].includes(line.kind) ||
  ['refuse', 'refused', 'deny', 'denied'].includes(line.verdict);

const ended = (line: Line): boolean =>
  line.ms !== null || line.status !== null || line.exit !== null || line.error !== '';

/** Pieces of bodies and the ledger's own bookkeeping: lines, and no exchanges. */
const others = new Set(['blob', 'segment', 'torn', 'carry']);

/** In the order of their first lines. A line without an id is a row of its own. */
export function exchangesOf(door: string, records: unknown[]): Exchange[] {
  const rows = new Map<string, Line[]>();
  for (const [at, record] of records.entries()) {
    const line = lineSchema.safeParse(record).data;
    if (!line || others.has(line.kind)) continue;
    const key = line.id === '' ? `#${at}` : line.id;
    rows.set(key, [...(rows.get(key) ?? []), line]);
  }
  return [...rows.values()].map((lines) => fold(door, lines));
}

function fold(door: string, lines: Line[]): Exchange {
  const first = <K extends keyof Line>(key: K): Line[K] | '' =>
    lines.find((line) => line[key] !== '' && line[key] !== null)?.[key] ?? '';
  /** Who answered may be another than who was asked first. */
  const lastText = (key: 'provider' | 'model'): string =>
    lines.findLast((line) => line[key] !== '')?.[key] ?? '';
  const last = (key: 'status' | 'exit' | 'ms' | 'costUsd'): number | null =>
    lines.findLast((line) => line[key] !== null)?.[key] ?? null;
  const amountOf = (key: 'cost' | 'reserved'): number | null =>
    lines.findLast((line) => line[key] !== null)?.[key]?.usdNano ?? null;
  const host = [first('host'), first('port')].filter((each) => each !== '').join(':');
  const where = `${host}${first('path')}`;
  const model = [lastText('provider'), lastText('model')].filter((each) => each !== '').join('/');
  const what = [first('method'), where, first('tool'), first('command') || first('script')];
  const [status, exit, ms] = [last('status'), last('exit'), last('ms')];
  const error = lines.findLast((line) => line.error !== '')?.error ?? '';
  const why = [
    first('rule'),
    first('reason'),
    faultWords(error),
    status === null ? '' : `status ${status}`,
    exit === null ? '' : `exit ${exit}`,
  ];
  return {
    atMs: Date.parse(first('at') || ''),
    door,
    id: String(first('id')),
    agent: String(first('agent')),
    what: what.filter((each) => each !== '').join(' '),
    model: model || String(first('asked')),
    verdict: lines.some(refused)
      ? 'refused'
      : error !== ''
        ? 'failed'
        : lines.some(ended)
          ? 'passed'
          : 'open',
    why: [...new Set(why.filter((each) => each !== ''))].join('; '),
    ms,
    costUsd: last('costUsd'),
    reserved:
      (last('costUsd') ?? 0) > 0 &&
      amountOf('reserved') !== null &&
      amountOf('cost') === amountOf('reserved'),
    tokens: lines.findLast((line) => line.tokens !== null)?.tokens ?? { in: null, out: null },
    hops: way(lines.findLast((line) => line.hops.length > 0)?.hops ?? []),
  };
}

/** One provider that answered is what the row says already. */
const way = (hops: Line['hops']): string[] =>
  hops.length < 2
    ? []
    : hops.map(
        ({ provider, model, why }) => `${provider}${model === '' ? '' : `/${model}`}: ${faultWords(why)}`,
      );
