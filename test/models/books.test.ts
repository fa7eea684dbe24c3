/** The books of the llm process: what was spent survives every end exactly, and where it cannot be counted nothing is served. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Books } from '../../appliance/models/books.ts';
import { walkLedger } from '../../proxies/ledger/chain.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { bootId, createUptime } from '../../proxies/llm/spend/clock.ts';
import { booksFolder, openTestBooks, requested } from './booksof.ts';

type Sum = { usdNano: number; tokens: number };
type Seen = Record<string, unknown>;

/** By agent, as a person would add it up from all segments: the cost of each outcome, and the reservation of each request without one. */
async function addedUp(folder: string): Promise<{ sums: Map<string, Sum>; open: number }> {
  const asked = new Map<string, { agent: string; sum: Sum }>();
  const sums = new Map<string, Sum>();
  const add = (agent: string, { usdNano, tokens }: Sum): void => {
    const sum = sums.get(agent) ?? { usdNano: 0, tokens: 0 };
    sums.set(agent, { usdNano: sum.usdNano + usdNano, tokens: sum.tokens + tokens });
  };
  const walked = await walkLedger(join(folder, 'traffic.jsonl'), (_, line) => {
    const id = String(line.id);
    if (line.kind === 'request') asked.set(id, { agent: String(line.agent), sum: line.reserved as Sum });
    if (line.kind !== 'outcome') return;
    assert.ok(asked.delete(id), 'an outcome stands behind its request');
    add(String(line.agent), line.cost as Sum);
  });
  assert.ok(walked.ok, JSON.stringify(walked));
  for (const { agent, sum } of asked.values()) add(agent, sum);
  return { sums, open: asked.size };
}

const spentOf = (books: Books, agent: string): Sum => {
  const { month } = books.spend(agent).standing();
  return { usdNano: Math.round(month.usd * 1e9), tokens: month.tokens };
};

async function assertExact(folder: string, books: Books, agents: string[]): Promise<void> {
  const { sums } = await addedUp(folder);
  for (const agent of agents) assert.deepEqual(spentOf(books, agent), sums.get(agent), agent);
}

/** Runs a spender and kills it at a moment that nobody chose. */
async function spendAndKill(folder: string, segmentBytes: number, agents: string[]): Promise<void> {
  const child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'spender.ts'), folder, String(segmentBytes), ...agents],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), ended]);
  child.stdout.resume();
  await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 250));
  child.kill('SIGKILL');
  await ended;
  assert.equal(existsSync(join(folder, 'fault')) && readFileSync(join(folder, 'fault'), 'utf8'), false);
  assert.equal(child.signalCode, 'SIGKILL');
}

test('after SIGKILL at any moment what was spent is the sum of outcomes and of requests without one, over rotations too', async (t) => {
  const folder = booksFolder(t);
  // So small that a round passes through several segments.
  const segmentBytes = 40_000;
  for (let round = 0; round < 6; round += 1) {
    // In the last rounds scout is out of the configuration.
    const agents = round < 4 ? ['main', 'scout'] : ['main'];
    await spendAndKill(folder, segmentBytes, agents);
    const books = await openTestBooks(folder, { segmentBytes });
    await assertExact(folder, books, ['main', 'scout']);
    await books.ledger.close();
  }
  const segments = readdirSync(join(folder, 'traffic')).filter((name) => /^\d{6}\.jsonl$/.test(name));
  assert.ok(segments.length > 6, `control: it rotated, ${segments.length}`);
  const { open } = await addedUp(folder);
  assert.ok(open > 0, 'control: a kill came before an outcome');
  const live = readFileSync(join(folder, 'traffic.jsonl'), 'utf8');
  assert.doesNotMatch(live, /"kind":"(request|outcome)","id":"[^"]+","agent":"scout"/, 'control');
  // scout comes back: nothing of it stands in the live segment but what was carried.
  const books = await openTestBooks(folder, { segmentBytes });
  t.after(() => books.ledger.close());
  assert.ok(spentOf(books, 'scout').usdNano > 0);
  const before = spentOf(books, 'scout');
  const { reservation } = await requested(books, 'scout', 'back again');
  books.spend('scout').settle(reservation, { usdNano: 7, tokens: 3, sent: true });
  assert.deepEqual(spentOf(books, 'scout'), { usdNano: before.usdNano + 7, tokens: before.tokens + 3 });
});

test('a reservation that is open when the segment changes costs once, whatever becomes of it', async (t) => {
  const folder = booksFolder(t);
  const first = await openTestBooks(folder);
  const [settled, open] = [await requested(first, 'main', 'one'), await requested(first, 'main', 'two')];
  await first.ledger.rotate();
  const cost = first.spend('main').settle(settled.reservation, { usdNano: 5, tokens: 5, sent: true });
  await first.ledger.rotate(); // the settling is in the carry, its line comes after
  await first.ledger.append({ kind: 'outcome', id: settled.id, agent: 'main', cost });
  await first.ledger.close();
  const again = await openTestBooks(folder);
  t.after(() => again.ledger.close());
  assert.equal(spentOf(again, 'main').usdNano, 5 + open.reservation.usdNano);
  await assertExact(folder, again, ['main']);
});

test('a clock that was set forward opens no budget, neither running nor after a restart in the same boot', async (t) => {
  const folder = booksFolder(t);
  const limits = { main: { usdPerDay: 0.01, usdPerMonth: 0.01 } };
  const first = await openTestBooks(folder, { limits });
  const { reservation } = await requested(first, 'main', 'nearly all of it');
  first.spend('main').settle(reservation, { usdNano: 9_900_000, tokens: 1, sent: true });
  await first.ledger.append({
    kind: 'outcome',
    id: reservation.id,
    agent: 'main',
    cost: { usdNano: 9_900_000, tokens: 1 },
  });
  await assert.rejects(requested(first, 'main', 'more'), /^Error: budget-usd-/);

  const now = Date.now;
  const wall = t.mock.method(Date, 'now', () => now() + 86_400_000);
  await assert.rejects(requested(first, 'main', 'more'), /^Error: budget-usd-/);
  await first.ledger.close();
  for (const [days, rotates] of [
    [1, false],
    [1, true],
    [40, false],
    [40, true],
    [-3, true],
  ] as const) {
    wall.mock.mockImplementation(() => now() + days * 86_400_000);
    const books = await openTestBooks(folder, { limits });
    assert.equal(spentOf(books, 'main').usdNano, 9_900_000, `${days} days, rotated: ${rotates}`);
    await assert.rejects(requested(books, 'main', 'more'), /^Error: budget-usd-/, `${days} days`);
    assert.ok(
      Math.abs(books.clock.behindMs() - days * 86_400_000) < 60_000,
      'it knows that the wall clock is off',
    );
    if (rotates) await books.ledger.rotate();
    await books.ledger.close();
  }
});

test('a restart so quick that the kernel’s clock has not moved on is the same boot still', async (t) => {
  const folder = booksFolder(t);
  // /proc/uptime has hundredths of a second: the next reading may be a little less than what was noted.
  await written(folder, [started({ uptimeMs: createUptime()() + 500 }), request({})]);
  const now = Date.now;
  t.mock.method(Date, 'now', () => now() + 86_400_000);
  const books = await openTestBooks(folder);
  t.after(() => books.ledger.close());
  assert.equal(Math.round(books.spend('main').standing().day.usd * 1e9), 900);
});

test('control: in another boot the wall clock is believed, and what is on record holds it up', async (t) => {
  const day = (ahead: number): string => new Date(Date.now() + ahead * 86_400_000).toISOString().slice(0, 10);
  for (const [reservedOn, spent] of [
    [day(-1), 0],
    [day(0), 900],
    // A machine without a battery woke up in the past: the record is ahead, and goes on.
    [day(2), 900],
  ] as const) {
    const folder = booksFolder(t);
    await written(folder, [
      started({ boot: 'another boot' }),
      { kind: 'request', id: 'a', agent: 'main', reserved: { usdNano: 900, tokens: 9, day: reservedOn } },
    ]);
    const books = await openTestBooks(folder);
    assert.equal(Math.round(books.spend('main').standing().day.usd * 1e9), spent, reservedOn);
    await books.ledger.close();
  }
});

test('a warning that was given is not given again after a restart', async (t) => {
  const folder = booksFolder(t);
  const warned: string[] = [];
  const open = () =>
    openTestBooks(folder, {
      limits: { main: { usdPerDay: 0.02 } },
      warn: (agent, percent) => warned.push(`${agent} ${percent}`),
    });
  const first = await open();
  const { id, reservation } = await requested(first, 'main', 'half');
  const cost = first.spend('main').settle(reservation, { usdNano: 11_000_000, tokens: 1, sent: true });
  await first.ledger.append({ kind: 'outcome', id, agent: 'main', cost });
  assert.deepEqual(warned, ['main 50']);
  await first.ledger.close();
  const again = await open();
  t.after(() => again.ledger.close());
  assert.deepEqual(again.spend('main').standing().warned, [50]);
  assert.deepEqual(warned, ['main 50']);
});

test('what stands in the live segment is not stored again after a restart, and is after a rotation', async (t) => {
  const folder = booksFolder(t);
  const blobs = (): number =>
    readFileSync(join(folder, 'traffic.jsonl'), 'utf8').match(/"kind":"blob"/g)?.length ?? 0;
  const first = await openTestBooks(folder);
  for (const words of ['same words', 'same words', 'other words']) await requested(first, 'main', words);
  assert.equal(blobs(), 2);
  await first.ledger.close();
  const again = await openTestBooks(folder);
  t.after(() => again.ledger.close());
  await requested(again, 'main', 'same words');
  assert.equal(blobs(), 2);
  await again.ledger.rotate();
  await requested(again, 'main', 'same words');
  assert.equal(blobs(), 1, 'a segment can be read alone');
});

test('a rotation that a crash cut before its first line loses nothing', async (t) => {
  const folder = booksFolder(t);
  const first = await openTestBooks(folder);
  await requested(first, 'main', 'before');
  await first.ledger.rotate();
  const spent = (await addedUp(folder)).sums.get('main');
  await first.ledger.close();
  writeFileSync(join(folder, 'traffic.jsonl'), '');
  const again = await openTestBooks(folder);
  t.after(() => again.ledger.close());
  assert.deepEqual(spentOf(again, 'main'), spent);
  await assertExact(folder, again, ['main']);
});

const started = (clock: Seen = {}): Seen => ({
  kind: 'started',
  clock: { at: new Date().toISOString(), uptimeMs: createUptime()(), boot: bootId(), ...clock },
});
const day = new Date().toISOString().slice(0, 10);
const carryOf = (change: Seen): Seen => ({
  clock: started().clock,
  agents: [
    {
      kind: 'carry',
      agent: 'main',
      day,
      inDay: { usdNano: 900, tokens: 9 },
      inMonth: { usdNano: 900, tokens: 9 },
      open: [],
      audit: { day, bytes: 1 },
      ...change,
    },
  ],
});
const request = (change: Seen): Seen => ({
  kind: 'request',
  id: 'a',
  agent: 'main',
  reserved: { usdNano: 900, tokens: 9, day },
  ...change,
});

/** Lines that chain, as somebody with our own hands would have written them. */
async function written(folder: string, records: Seen[]): Promise<void> {
  const ledger = await openLedger({ path: join(folder, 'traffic.jsonl') });
  for (const record of records) await ledger.append(record);
  await ledger.close();
}

/** A live file that begins a second segment with this carry. */
async function carrying(t: TestContext, carry: unknown): Promise<string> {
  const folder = booksFolder(t);
  const parts = { path: join(folder, 'traffic.jsonl'), archive: join(folder, 'traffic') };
  const ledger = await openLedger({ ...parts, carry: () => carry as Seen });
  await ledger.append(started());
  await ledger.rotate();
  await ledger.close();
  return folder;
}

test('control: the lines that are spoilt below are understood when they are whole', async (t) => {
  const whole = booksFolder(t);
  await written(whole, [started(), request({}), request({ id: 'b' })]);
  for (const [folder, spent] of [
    [whole, 1800],
    [await carrying(t, carryOf({})), 900],
  ] as const) {
    const books = await openTestBooks(folder);
    assert.equal(spentOf(books, 'main').usdNano, spent);
    await books.ledger.close();
  }
});

test('a line that cannot be counted is a fault that names it, and nothing is served', async (t) => {
  const reserved = { usdNano: 900, tokens: 9, day };
  const bad: [string, Seen[]][] = [
    ['no day', [request({ reserved: { usdNano: 1, tokens: 1 } })]],
    ['a day that is none', [request({ reserved: { ...reserved, day: '2026-13-45' } })]],
    ['a reservation that is null', [request({ reserved: null })]],
    ['a sum below nothing', [request({ reserved: { ...reserved, usdNano: -1 } })]],
    ['a sum as text', [request({ reserved: { ...reserved, tokens: '9' } })]],
    ['no id', [request({ id: undefined })]],
    ['no agent', [request({ agent: 7 })]],
    [
      'a cost that is none',
      [request({}), { kind: 'outcome', id: 'a', agent: 'main', cost: { usdNano: 0.5 } }],
    ],
    ['a clock that is none', [started({ at: 'yesterday' })]],
    ['no clock', [{ kind: 'started' }]],
  ];
  for (const [what, records] of bad) {
    const folder = booksFolder(t);
    await written(folder, [started(), ...records]);
    const named = new RegExp(`traffic\\.jsonl: .* line ${records.length + 1} \\(${records.at(-1)?.kind}\\)`);
    const text = readFileSync(join(folder, 'traffic.jsonl'), 'utf8');
    await assert.rejects(openTestBooks(folder), { code: 'spend-unknown', message: named }, what);
    assert.equal(readFileSync(join(folder, 'traffic.jsonl'), 'utf8'), text, 'nothing was written');
  }
});

test('a carry that cannot be counted is a fault too: it is all that is left of the segments before', async (t) => {
  const bad: [string, unknown][] = [
    ['none', undefined],
    ['null', null],
    ['no agents', { clock: started().clock }],
    ['agents that are no list', { clock: started().clock, agents: {} }],
    ['an agent that is null', { clock: started().clock, agents: [null] }],
    ['an agent without a name', carryOf({ agent: undefined })],
    ['another kind', carryOf({ kind: 'request' })],
    ['no day', carryOf({ day: undefined })],
    ['no sum of the month', carryOf({ inMonth: undefined })],
    ['open requests that are no list', carryOf({ open: 'none' })],
    ['no clock', { agents: carryOf({}).agents }],
  ];
  for (const [what, carry] of bad) {
    const folder = await carrying(t, carry);
    await assert.rejects(
      openTestBooks(folder),
      { code: 'spend-unknown', message: /line 2 \(segment|line 2 \(carry/ },
      what,
    );
  }
});

test('a chain that does not hold is not served from', async (t) => {
  const folder = booksFolder(t);
  await written(folder, [started(), request({}), request({ id: 'b' })]);
  const file = join(folder, 'traffic.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"usdNano":900', '"usdNano":100'));
  await assert.rejects(openTestBooks(folder), { code: 'broken-chain', message: /traffic\.jsonl line 3/ });
});
