/** The filter grammar, by a table that others can read too. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { nearest } from '../../../appliance/config/nearest.ts';
import { numberFields, parseQuery, type Queried, textFields } from '../../../proxies/ledger/query.ts';

type Row = Record<string, string | number>;
type Table = {
  now: string;
  exchanges: Row[];
  cases: { filter: string; ids: string[] }[];
  mistakes: { filter: string; column: number; expected?: string; nearest?: string }[];
};

const table = JSON.parse(readFileSync(join(import.meta.dirname, 'filters.json'), 'utf8')) as Table;
const nowMs = Date.parse(table.now);

const queried = (row: Row): Queried => ({
  atMs: Date.parse(String(row.at)),
  text: Object.fromEntries(
    textFields.map((name) => [name, row[name] === undefined ? null : String(row[name])]),
  ),
  number: Object.fromEntries(
    numberFields.map((name) => [name, row[name] === undefined ? null : Number(row[name])]),
  ),
});

test('each filter of the table matches what it should', () => {
  for (const { filter, ids } of table.cases) {
    const query = parseQuery(filter, nowMs, nearest);
    assert.ok(query.ok, `${filter}: ${JSON.stringify(query)}`);
    const found = table.exchanges.filter((row) => query.matches(queried(row))).map((row) => row.id);
    assert.deepEqual(found, ids, filter);
  }
});

test('each mistake of the table is told with its place, what was expected and the nearest field', () => {
  for (const { filter, column, expected, nearest: near } of table.mistakes) {
    const query = parseQuery(filter, nowMs, nearest);
    assert.ok(!query.ok, `${filter} was taken`);
    assert.equal(query.column, column, filter);
    if (expected !== undefined) assert.equal(query.expected, expected, filter);
    assert.equal(query.nearest, near, filter);
  }
});

test('where to stop reading backwards is the latest since', () => {
  const since = (filter: string): number | null => {
    const query = parseQuery(filter, nowMs, nearest);
    assert.ok(query.ok);
    return query.sinceMs;
  };
  assert.equal(since('agent=main'), null);
  assert.equal(since('until:1h'), null);
  assert.equal(since('since:1d since:1h'), nowMs - 3_600_000);
});

test('no text makes it throw, and a place is always inside the text or right after it', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(...textFields, '=', '!~', '>=', ':', '"', '\\', ' ', 'since', '*', '1h'),
      fc.string(),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(pieces, (parts) => {
      const text = parts.join('');
      const query = parseQuery(text, nowMs, nearest);
      if (query.ok)
        for (const row of table.exchanges) assert.equal(typeof query.matches(queried(row)), 'boolean');
      else
        assert.ok(query.column >= 1 && query.column <= text.length + 1, `${query.column} in ${text.length}`);
    }),
    { numRuns: 2000 },
  );
});

test('a pattern of many stars is not slow', () => {
  const query = parseQuery(`model=${'*a'.repeat(1000)}b`, nowMs, nearest);
  assert.ok(query.ok);
  const started = performance.now();
  query.matches({ atMs: 0, text: { model: 'a'.repeat(100_000) }, number: {} });
  assert.ok(performance.now() - started < 500);
});
