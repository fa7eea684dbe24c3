/** What a ledger promises while all is well: order, durability, the chain, and the format that its head comment describes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { verifyLedger } from '../../../proxies/ledger/chain.ts';
import { openLedger } from '../../../proxies/ledger/ledger.ts';
import { tailLedger } from '../../../proxies/ledger/tail.ts';
import { ledgerFile } from './file.ts';

const zeros = '0'.repeat(64);

test('an empty ledger stands at nothing', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  assert.deepEqual(ledger.head(), { seq: 0, hash: zeros });
  await ledger.close();
  assert.deepEqual(await verifyLedger(path), {
    ok: true,
    count: 0,
    head: { seq: 0, hash: zeros },
    tornBytes: 0,
  });
});

test('a promised line is in the file when the promise is kept', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  const head = await ledger.append({ kind: 'request', host: 'example.com' });
  const line = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  assert.deepEqual(Object.keys(line), ['seq', 'at', 'prev', 'kind', 'host']);
  assert.equal(line.seq, 1);
  assert.equal(line.prev, zeros);
  assert.ok(!Number.isNaN(Date.parse(String(line.at))));
  assert.deepEqual(ledger.head(), head);
  await ledger.close();
});

test('a thousand appends at once keep their order, and each is told its own line', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  const heads = await Promise.all(Array.from({ length: 1000 }, (_, turn) => ledger.append({ turn })));
  await ledger.close();
  assert.deepEqual(
    heads.map(({ seq }) => seq),
    Array.from({ length: 1000 }, (_, at) => at + 1),
  );
  const lines = await tailLedger(path, 1000);
  assert.deepEqual(
    lines.map(({ turn }) => turn),
    Array.from({ length: 1000 }, (_, at) => at),
  );
  const last = heads.at(-1);
  assert.ok(last);
  const seen = await verifyLedger(path, heads[500]);
  assert.deepEqual(seen, { ok: true, count: 1000, head: last, tornBytes: 0 });
});

test('it goes on where it stood when it is opened again', async (t) => {
  const path = ledgerFile(t);
  for (const turn of [1, 2, 3]) {
    const ledger = await openLedger({ path });
    assert.equal(ledger.head().seq, turn - 1);
    assert.equal((await ledger.append({ turn })).seq, turn);
    await ledger.close();
  }
  assert.equal((await verifyLedger(path)).ok, true);
});

test('the chain can be checked by hand with sed and sha256sum', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  for (const text of ['plain', 'ümläut — "quoted" \\ \u2028 \n newline', '']) await ledger.append({ text });
  await ledger.close();
  const byHand = execFileSync('sh', ['-c', `sed -n 2p "$1" | tr -d '\\n' | sha256sum`, 'sh', path], {
    encoding: 'utf8',
  });
  const [line] = await tailLedger(path, 1);
  assert.equal(byHand.slice(0, 64), line?.prev);
});

test('keys that JSON would put first, and a record of nothing, still make lines that chain', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  await ledger.append({ 1: 'one', name: 'x' });
  await ledger.append({});
  await ledger.append({ gone: undefined });
  await ledger.close();
  assert.equal((await verifyLedger(path)).ok, true);
  assert.match(readFileSync(path, 'utf8'), /^\{"seq":1,/);
});

test('a record that cannot be a line is rejected, and the others are not harmed', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const results = await Promise.allSettled([
    ledger.append({ turn: 1 }),
    ledger.append({ seq: 7 }),
    ledger.append({ prev: zeros }),
    ledger.append({ at: 'now' }),
    ledger.append({ text: 'x'.repeat(256 * 1024) }),
    ledger.append({ text: 'é'.repeat(128 * 1024) }),
    ledger.append(circle),
    ledger.append({ big: 1n }),
    ledger.append({ turn: 2, text: 'x'.repeat(255 * 1024) }),
  ]);
  assert.deepEqual(
    results.map(({ status }) => (status === 'fulfilled' ? 'kept' : 'no')),
    ['kept', 'no', 'no', 'no', 'no', 'no', 'no', 'no', 'kept'],
  );
  await ledger.close();
  const seen = await verifyLedger(path);
  assert.ok(seen.ok);
  assert.equal(seen.count, 2);
});

test('closing waits for what was appended and takes no more', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  const kept = ledger.append({ turn: 1 });
  const closed = ledger.close();
  await assert.rejects(ledger.append({ turn: 2 }), { code: 'shut' });
  assert.equal((await kept).seq, 1);
  await closed;
  const seen = await verifyLedger(path);
  assert.ok(seen.ok);
  assert.equal(seen.count, 1);
});

test('the tail gives the last lines, oldest first, whatever their size, and not the one being written', async (t) => {
  const path = ledgerFile(t);
  const ledger = await openLedger({ path });
  for (let turn = 1; turn <= 30; turn++) await ledger.append({ turn, filler: 'x'.repeat(turn * 1000) });
  await ledger.close();
  const turns = async (count: number): Promise<unknown[]> =>
    (await tailLedger(path, count)).map(({ turn }) => turn);
  assert.deepEqual(await turns(0), []);
  assert.deepEqual(await turns(1), [30]);
  assert.deepEqual(await turns(5), [26, 27, 28, 29, 30]);
  assert.equal((await turns(30)).length, 30);
  assert.equal((await turns(99)).length, 30);
  const torn = ledgerFile(t, Buffer.concat([readFileSync(path), Buffer.from('{"seq":31,"at"')]));
  assert.deepEqual((await tailLedger(torn, 1))[0]?.turn, 30);
  assert.deepEqual(await tailLedger(ledgerFile(t), 5), []);
});
