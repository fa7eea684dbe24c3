/** `holdfast traffic`: what was asked of models and what came of it, from the ledger itself, whether Holdfast runs or not. */
import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { bodiesOf } from '../../proxies/ledger/body.ts';
import {
  type Exchange,
  exchangeOf,
  exchanges,
  findExchanges,
  type Line,
  linesSince,
  queriedOf,
} from '../../proxies/ledger/exchange.ts';
import { newestFirst } from '../../proxies/ledger/newest.ts';
import { parseQuery, type Query } from '../../proxies/ledger/query.ts';
import { nearest } from '../config/nearest.ts';
import { Problem } from '../problem.ts';
import { visibleLine } from '../view/visible.ts';
import { clockTime, count } from '../view/words.ts';
import { facts, row, titles, whole, wholeJson } from './exchange.ts';
import { exit } from './exit.ts';
import { harEntry, harHead, harTail } from './har.ts';
import { json, note, say, table } from './print.ts';
import { isThere } from './reach.ts';
import { path as pathOf, verb, whole as wholeNumber } from './verb.ts';

type Good = Extract<Query, { ok: true }>;

const most = 100_000;
/** How often a follower looks whether the file has grown. */
const pollMs = 500;
/** Bodies of one batch for a HAR: what is held at once. */
const batchBytes = 32 * 1024 * 1024;
const batchMost = 100;
/** Of an id that is too short: enough to see what more to type. */
const candidates = 10;

const filterHelp =
  "terms that all hold, such as 'agent=main verdict=refused status>=400 model~claude cost>0.01 since:1h'";

export function trafficVerb(program: Command): void {
  const command = verb<{ follow?: true; filter?: string; last: number }>(
    program,
    'traffic',
    'the last exchanges with models: who asked, what it cost, what became of it',
    { json: true },
    (declared) =>
      declared
        .option('--follow', 'and then those that come, until Ctrl-C')
        .option('--filter <terms>', filterHelp)
        .option('--last <n>', 'how many', wholeNumber(1, most), 20),
    async ({ home, follow, filter, last, json: asJson }) => {
      const path = ledgerOf(home);
      const query = queryOf(filter);
      const seen = await lastOf(path, query, last);
      const found = seen.found.toReversed();
      if (follow) return followed(path, query, { ...seen, found, asJson: asJson === true });
      if (asJson) json(found.map(facts));
      else if (found.length === 0) note(filter && isThere(path) ? 'No exchange matches.' : nothingYet(home));
      else
        say(
          table(
            titles,
            found.map((each) => row(each, Date.now())),
          ),
        );
      return exit.ok;
    },
  );
  verb(
    command,
    'show',
    'one exchange in full, with its bodies as they are on record',
    { json: true },
    (declared) => declared.argument('<id>', 'or the beginning of it'),
    async ({ home, json: asJson }, [id = '']) => {
      const path = ledgerOf(home);
      const found = await oneOf(path, id);
      const [bodies = { asked: null, answered: null }] = await bodiesOf(path, [found]);
      if (asJson) json(wholeJson(found, bodies));
      else say(whole(found, bodies));
      return exit.ok;
    },
  );
  verb<{ filter?: string; last: number; out: string }>(
    command,
    'har',
    'write exchanges as an HTTP Archive (HAR 1.2), newest first',
    { json: true },
    (declared) =>
      declared
        .requiredOption('--out <file>', 'or - for stdout; it holds what was said: give it to nobody else')
        .option('--filter <terms>', filterHelp)
        .option('--last <n>', 'how many at most', wholeNumber(1, most), 1000),
    async ({ home, filter, last, out, json: asJson }) => {
      const path = ledgerOf(home);
      const { found } = await lastOf(path, queryOf(filter), last);
      if (out === '-') {
        await pipeline(harText(path, found), process.stdout, { end: false });
        return exit.ok;
      }
      const file = pathOf(out);
      await writeHar(path, found, file);
      if (asJson) json({ file, entries: found.length });
      else say(`${file}: ${count(found.length, 'exchange')}`);
      return exit.ok;
    },
  );
}

/** The ledger of a home need not be there yet. A folder that is none is a slip of the command line. */
function ledgerOf(home: string): string {
  const folder = resolve(home);
  if (!['audit', 'holdfast.yaml'].some((name) => isThere(join(folder, name))))
    throw new Problem('usage', 404, `${folder} is no home of Holdfast`, 'Name its home folder: --home DIR.');
  return join(folder, 'audit', 'traffic.jsonl');
}

const nothingYet = (home: string): string =>
  `No exchange with a model is on record yet under ${resolve(home)}.`;

async function oneOf(path: string, id: string): Promise<Exchange> {
  const found = await readable(path, () => findExchanges(path, id, candidates + 1), []);
  const [one, ...more] = found;
  if (!one)
    throw new Problem(
      'no-exchange',
      404,
      `there is no exchange ${visibleLine(id, 60)}`.trimEnd(),
      'See `holdfast traffic`.',
    );
  if (id !== '' && more.length === 0) return one;
  const rows = found
    .slice(0, candidates)
    .map((each) => [each.id, clockTime(each.atMs, Date.now()), each.agent, each.asked]);
  const rest = more.length >= candidates ? '\n...' : '';
  throw new Problem(
    'usage',
    400,
    id === '' ? 'an id is needed, or its beginning' : `more than one id begins with ${visibleLine(id, 60)}`,
    `${table(['ID', 'TIME', 'AGENT', 'ASKED'], rows)}${rest}`,
  );
}

function queryOf(filter = ''): Good {
  const query = parseQuery(filter, Date.now(), nearest);
  if (query.ok) return query;
  const near = query.nearest === undefined ? '' : ` Did you mean “${query.nearest}”?`;
  const pointer =
    filter.length <= 100 ? `\n  ${visibleLine(filter)}\n  ${' '.repeat(query.column - 1)}^` : '';
  throw new Problem(
    'usage',
    400,
    `filter, position ${query.column}: got ${query.got}, expected ${query.expected}.${near}${pointer}`,
    '',
  );
}

type Seen = {
  /** Newest first. */
  found: Exchange[];
  /** Requests without an outcome so far, whether they match or not. */
  open: Exchange[];
  seq: number;
};

async function lastOf(path: string, query: Good, last: number): Promise<Seen> {
  const seen: Seen = { found: [], open: [], seq: await lastSeq(path) };
  const read = async (): Promise<Seen> => {
    for await (const each of exchanges(path)) {
      if (query.sinceMs !== null && each.atMs < query.sinceMs) break;
      if (each.verdict === 'open') seen.open.push(each);
      if (query.matches(queriedOf(each))) seen.found.push(each);
      if (seen.found.length >= last) break;
    }
    return seen;
  };
  return readable(path, read, seen);
}

async function lastSeq(path: string): Promise<number> {
  const read = async (): Promise<number> => {
    for await (const { seq } of newestFirst(path)) return seq;
    return 0;
  };
  return readable(path, read, 0);
}

/** `none` where nothing is on record yet. */
async function readable<T>(path: string, read: () => Promise<T>, none: T): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return none;
    if (code === 'EACCES')
      throw new Problem(
        'not-allowed',
        403,
        `${path} may not be read`,
        'Ask as root, or as the user who started it.',
        error,
      );
    throw error;
  }
}

type Following = Seen & { asJson: boolean };

/** A row when its outcome is there. Goes on until the process is ended. */
async function followed(path: string, query: Good, { found, open, seq, asJson }: Following): Promise<number> {
  const requests = new Map<string, Line>(
    open.flatMap(({ id, lines }) => (lines.request ? [[id, lines.request] as const] : [])),
  );
  const print = (each: Exchange): void => {
    if (asJson) process.stdout.write(`${JSON.stringify(facts(each))}\n`);
    else say(fixed(row(each, Date.now())));
  };
  if (!asJson) say(fixed(titles));
  for (const each of found) if (each.verdict !== 'open') print(each);
  let last = seq;
  let size = -1;
  for (;;) {
    const now = (await readable(path, () => stat(path), undefined))?.size ?? size;
    if (now !== size) {
      size = now;
      const came = await linesSince(path, last);
      last = came.seq;
      for (const line of came.lines) {
        const each = joined(requests, line);
        if (each && query.matches(queriedOf(each))) print(each);
      }
    }
    await new Promise((wake) => setTimeout(wake, pollMs));
  }
}

function joined(requests: Map<string, Line>, line: Line): Exchange | undefined {
  const id = String(line.id);
  if (line.kind === 'refusal') return exchangeOf({ refusal: line });
  if (line.kind === 'request') requests.set(id, line);
  if (line.kind !== 'outcome') return undefined;
  const request = requests.get(id);
  requests.delete(id);
  return exchangeOf({ outcome: line, ...(request ? { request } : {}) });
}

/** Rows that come one by one cannot wait for the widest. */
const widths = [19, 8, 10, 32, 6, 7, 6, 9, 6, 0];
const fixed = (cells: unknown[]): string =>
  cells
    .map((cell, at) => visibleLine(cell, 100).padEnd(widths[at] ?? 0))
    .join('  ')
    .trimEnd();

async function* harText(path: string, found: Exchange[]): AsyncGenerator<string> {
  yield harHead;
  let comma = '';
  for (const batch of batches(found)) {
    const bodies = await bodiesOf(path, batch);
    for (const [at, each] of batch.entries()) {
      yield `${comma}\n${JSON.stringify(harEntry(each, bodies[at] ?? { asked: null, answered: null }))}`;
      comma = ',';
    }
  }
  yield harTail;
}

async function writeHar(path: string, found: Exchange[], out: string): Promise<void> {
  const part = `${out}.part`;
  try {
    await pipeline(harText(path, found), createWriteStream(part, { mode: 0o600, flush: true }));
    await rename(part, out);
  } catch (error) {
    await rm(part, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new Problem('fault', 500, `${out} cannot be written: ${message}`, 'Name another file.', error);
  }
}

function batches(found: Exchange[]): Exchange[][] {
  const all: Exchange[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const each of found) {
    const own = Number(each.lines.request?.bytes ?? 0) + Number(each.bytesIn ?? 0);
    if (bytes + own > batchBytes || (all.at(-1)?.length ?? 0) >= batchMost) {
      all.push([]);
      bytes = 0;
    }
    all.at(-1)?.push(each);
    bytes += own;
  }
  return all;
}
