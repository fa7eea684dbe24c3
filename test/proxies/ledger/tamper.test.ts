/** Whatever is done to a ledger afterwards is found, and the line is named; only a torn last line is forgiven. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { type Head, verifyLedger } from '../../../proxies/ledger/chain.ts';
import { openLedger } from '../../../proxies/ledger/ledger.ts';
import { tailLedger } from '../../../proxies/ledger/tail.ts';
import { ledgerFile } from './file.ts';

async function tenLines(t: TestContext): Promise<{ path: string; heads: Head[] }> {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  const heads: Head[] = [];
  for (let turn = 1; turn <= 10; turn++)
    heads.push(await ledger.append({ turn, host: `host-${turn}.example` }));
  await ledger.close();
  return { path, heads };
}

type Edit = (lines: string[]) => string[];

const edits: [what: string, edit: Edit, line: number][] = [
  [
    'a changed byte',
    (lines) => lines.map((line, at) => (at === 4 ? line.replace('host-5', 'host-6') : line)),
    6,
  ],
  ['a dropped line', (lines) => lines.filter((_, at) => at !== 4), 5],
  ['two swapped lines', ([a, b, c, ...rest]) => [a ?? '', c ?? '', b ?? '', ...rest], 2],
  ['a doubled line', (lines) => lines.flatMap((line, at) => (at === 4 ? [line, line] : [line])), 6],
  ['a line of somebody else', (lines) => lines.with(4, '{"seq":5,"host":"x"}'), 5],
  ['a first line that was cut away', (lines) => lines.slice(1), 1],
  ['a line that is not JSON', (lines) => lines.with(9, (lines[9] ?? '').replace('"turn"', 'turn')), 10],
  [
    'a line that says another time further on',
    (lines) => lines.with(9, (lines[9] ?? '').replace('"turn"', '"at":"\\u001b[2J","turn"')),
    10,
  ],
  ['an empty line', (lines) => lines.with(4, ''), 5],
  ['a renumbered line', (lines) => lines.with(4, (lines[4] ?? '').replace('"seq":5', '"seq":6')), 5],
];

for (const [what, edit, line] of edits) {
  test(`${what} is found at line ${line}, and such a ledger is not opened`, async (t) => {
    const { path } = await tenLines(t);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    writeFileSync(path, `${edit(lines).join('\n')}\n`);
    const seen = await verifyLedger(path);
    assert.ok(!seen.ok);
    assert.equal(seen.line, line, seen.why);
    const before = readFileSync(path);
    await assert.rejects(openLedger({ path }), {
      code: 'broken-chain',
      message: new RegExp(`ledger\\.jsonl line ${line}: `),
    });
    assert.deepEqual(
      readFileSync(path),
      before,
      'a ledger that does not chain is evidence: nothing is repaired',
    );
  });
}

test('every flipped byte before the last line is found', async (t) => {
  const { path } = await tenLines(t);
  const good = readFileSync(path);
  const lastLine = good.lastIndexOf(10, good.length - 2) + 1;
  for (let at = 0; at < lastLine; at += 7) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ 1;
    writeFileSync(path, bad);
    assert.equal((await verifyLedger(path)).ok, false, `byte ${at}`);
  }
  writeFileSync(path, good);
  assert.equal((await verifyLedger(path)).ok, true, 'control: the unharmed file is fine');
});

test('a cut tail and a changed last line are found by a head that was seen before', async (t) => {
  const { path, heads } = await tenLines(t);
  const anchor = heads[9];
  assert.ok(anchor);
  const good = readFileSync(path, 'utf8');
  assert.equal((await verifyLedger(path, anchor)).ok, true);
  writeFileSync(path, good.replace('host-10', 'host-11'));
  assert.deepEqual(await verifyLedger(path, anchor), {
    ok: false,
    line: 10,
    why: 'it is not the line that was signed',
  });
  const lines = good.trimEnd().split('\n').slice(0, 9);
  writeFileSync(path, `${lines.join('\n')}\n`);
  assert.equal((await verifyLedger(path)).ok, true, 'the chain alone cannot know');
  assert.deepEqual(await verifyLedger(path, anchor), {
    ok: false,
    line: 10,
    why: 'it is missing, though it was signed',
  });
});

test('a ledger cut in the middle of its last line loses that line on opening, and the next line says so', async (t) => {
  const { path } = await tenLines(t);
  const good = readFileSync(path);
  for (const cut of [1, 20, 100]) {
    writeFileSync(path, good.subarray(0, good.length - cut));
    const seen = await verifyLedger(path);
    assert.ok(seen.ok);
    assert.equal(seen.count, 9);
    assert.ok(seen.tornBytes > 0);
    const ledger = await openLedger({ path });
    assert.equal(ledger.head().seq, 9);
    assert.equal((await ledger.append({ turn: 'after' })).seq, 11);
    await ledger.close();
    const [torn, after] = await tailLedger(path, 2);
    assert.equal(torn?.kind, 'torn');
    assert.equal(torn?.bytes, seen.tornBytes);
    assert.equal(after?.turn, 'after');
    assert.equal((await verifyLedger(path)).ok, true);
  }
});

test('bytes without end are no torn line', async (t) => {
  const path = ledgerFile(t, 'x'.repeat(2 * 1024 * 1024));
  await assert.rejects(openLedger({ path }), { code: 'broken-chain' });
});

test('a second writer is noticed before anything is written over', async (t) => {
  const { path } = await tenLines(t);
  const first = await openLedger({ path });
  const second = await openLedger({ path });
  await first.append({ by: 'first' });
  await assert.rejects(second.append({ by: 'second' }), { code: 'shut' });
  await assert.rejects(second.append({ by: 'second' }), { code: 'shut' });
  await first.append({ by: 'first' });
  await first.close();
  await second.close();
  const seen = await verifyLedger(path);
  assert.ok(seen.ok);
  assert.equal(seen.count, 12);
});
