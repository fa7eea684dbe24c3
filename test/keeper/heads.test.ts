/** What the keeper signs of the ledgers, when, and what it refuses to sign. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createHeads } from '../../appliance/keeper/heads.ts';
import { auditLedgers } from '../../proxies/ledger/audit.ts';
import { type Checkpoint, openCheckpoint } from '../../proxies/ledger/checkpoint.ts';
import { type Ledger, openLedger } from '../../proxies/ledger/ledger.ts';

function desk(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-heads-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['egress', 'traffic', 'keeper']) {
    writeFileSync(join(folder, `${name}.jsonl`), '');
    mkdirSync(join(folder, name));
  }
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  let ms = 0;
  const clock = { now: () => Date.now() + ms, monotonicMs: () => ms };
  const ledger = async (name: string): Promise<Ledger> => {
    const opened = await openLedger({
      path: join(folder, `${name}.jsonl`),
      archive: join(folder, name),
      clock: clock.now,
    });
    t.after(() => opened.close());
    return opened;
  };
  const points = (record: Record<string, unknown> | null): Checkpoint[] =>
    ((record?.notes ?? []) as string[]).map((note) => {
      const point = openCheckpoint(note, publicKey);
      assert.ok(point, note);
      return point;
    });
  return {
    folder,
    key: privateKey,
    publicKey,
    ledger,
    points,
    clock,
    pass: (by: number) => {
      ms += by;
    },
    heads: () => createHeads(folder, privateKey, 'holdfast/1a2b3c4d', clock),
  };
}

test('a head is signed at the call after the one that saw it, as a checkpoint of that moment', async (t) => {
  const at = desk(t);
  const traffic = await at.ledger('traffic');
  const head = await traffic.append({ turn: 1 });
  const heads = at.heads();
  assert.equal(heads.moved(), null);
  const before = at.clock.now();
  at.pass(5000);
  const [point, ...more] = at.points(heads.moved());
  assert.deepEqual(more, []);
  assert.deepEqual(
    [point?.origin, point?.size, point?.hash],
    ['holdfast/1a2b3c4d/traffic', head.seq, head.hash],
  );
  assert.ok(Date.parse(point?.at ?? '') <= before, 'the time is that of the look, not of the signature');
  at.pass(5000);
  assert.equal(heads.moved(), null, 'nothing moved');
});

test('once a minute everything is sealed, though nothing moved; the keeper seals its own ledger with it', async (t) => {
  const at = desk(t);
  const [traffic, egress] = [await at.ledger('traffic'), await at.ledger('egress')];
  await traffic.append({ turn: 1 });
  await egress.append({ turn: 1 });
  const heads = at.heads();
  const own = { seq: 7, hash: 'ab'.repeat(32) };
  const signed: string[][] = [];
  for (let call = 0; call < 26; call++) {
    signed.push(at.points(heads.moved(own)).map(({ origin }) => origin.split('/').at(-1) ?? ''));
    at.pass(5000);
  }
  const sealed = ['egress', 'traffic', 'keeper'];
  assert.deepEqual(
    signed.flatMap((names, call) => (names.length > 0 ? [[call, names]] : [])),
    [
      [1, sealed],
      [13, sealed],
      [25, sealed],
    ],
  );
  await traffic.append({ turn: 2 });
  heads.moved(own);
  assert.deepEqual(
    at.points(heads.moved(own)).map(({ origin }) => origin),
    ['holdfast/1a2b3c4d/traffic', 'holdfast/1a2b3c4d/keeper'],
    'in between, what moved',
  );
});

test('a batch that was taken back is not signed', async (t) => {
  const at = desk(t);
  const traffic = await at.ledger('traffic');
  await traffic.append({ turn: 1 });
  const heads = at.heads();
  heads.moved();
  assert.equal(at.points(heads.moved())[0]?.size, 1);
  const file = join(at.folder, 'traffic.jsonl');
  const durable = readFileSync(file);
  writeFileSync(file, Buffer.concat([durable, Buffer.from('{"seq":2,"at":"not yet durable"}\n')]));
  heads.moved();
  writeFileSync(file, durable);
  assert.equal(heads.moved(), null);
});

test('a ledger that was put away goes on; its live file alone is looked at', async (t) => {
  const at = desk(t);
  const traffic = await at.ledger('traffic');
  await traffic.append({ turn: 1 });
  const heads = at.heads();
  heads.moved();
  heads.moved();
  await traffic.append({ turn: 2 });
  heads.moved();
  await traffic.rotate();
  assert.equal(heads.moved(), null, 'the line that was seen has moved: the next look will do');
  assert.equal(at.points(heads.moved())[0]?.size, 3);
  truncateSync(join(at.folder, 'traffic.jsonl'));
  assert.equal(heads.moved(), null);
  assert.equal(heads.moved(), null);
});

for (const restart of [false, true]) {
  test(`a ledger that was cut and goes on is said once and signed no more${restart ? ', after a restart too' : ''}`, async (t) => {
    const at = desk(t);
    const traffic = await openLedger({ path: join(at.folder, 'traffic.jsonl') });
    for (let turn = 1; turn <= 5; turn++) await traffic.append({ turn });
    await traffic.close();
    let heads = at.heads();
    heads.moved();
    const before = heads.moved();
    assert.equal(at.points(before)[0]?.size, 5);
    if (restart) {
      heads = at.heads();
      heads.learn(before ?? {});
    }
    const file = join(at.folder, 'traffic.jsonl');
    writeFileSync(file, `${readFileSync(file, 'utf8').split('\n').slice(0, 2).join('\n')}\n`);
    const again = await openLedger({ path: file });
    t.after(() => again.close());
    await again.append({ forged: true });
    heads.moved();
    const told = heads.moved() ?? {};
    assert.deepEqual(told.notes, []);
    assert.deepEqual(told.contradicted, { traffic: 'it was signed at line 5, and ends with another line 3' });
    for (let turn = 0; turn < 4; turn++) await again.append({ forged: true });
    at.pass(60_000);
    assert.equal(heads.moved(), null);
    assert.equal(heads.moved(), null, 'though it is longer now than what was signed');
    const next = at.heads();
    next.learn({ kind: 'segment', carry: heads.carry() });
    next.moved();
    assert.equal(next.moved(), null, 'nor in the next segment of the keeper ledger');
  });
}

test('what the keeper writes holds the ledgers that grow and rotate under it', async (t) => {
  const at = desk(t);
  const heads = at.heads();
  const keeper = await openLedger({
    path: join(at.folder, 'keeper.jsonl'),
    archive: join(at.folder, 'keeper'),
    visit: heads.learn,
    carry: heads.carry,
    clock: at.clock.now,
  });
  const [traffic, egress] = [await at.ledger('traffic'), await at.ledger('egress')];
  for (let round = 0; round < 40; round++) {
    if (round % 3 === 0) for (let turn = 0; turn < 5; turn++) await traffic.append({ round, turn });
    if (round % 7 === 0) await egress.append({ round });
    if (round % 11 === 0) await traffic.rotate();
    if (round % 13 === 0) await keeper.rotate();
    const moved = heads.moved(keeper.head());
    if (moved) await keeper.append(moved);
    at.pass(5000);
  }
  await keeper.close();
  const audited = await auditLedgers(at.folder, at.publicKey);
  assert.deepEqual(
    audited.map(({ ledger, ok }) => [ledger, ok]),
    [
      ['keeper', true],
      ['egress', true],
      ['traffic', true],
    ],
    JSON.stringify(audited),
  );
  const signed = audited.find(({ ledger }) => ledger === 'traffic')?.signed?.lines ?? 0;
  assert.ok(signed > 50, `${signed}`);
});
