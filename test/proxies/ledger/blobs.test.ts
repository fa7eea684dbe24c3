/** Pieces by content address: stored once in a segment, given back byte by byte, and never what breaks a ledger. */
import assert from 'node:assert/strict';
import { hash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type Blob, createBlobs, createGathering } from '../../../proxies/ledger/blobs.ts';
import { verifyLedger } from '../../../proxies/ledger/chain.ts';
import { type Ledger, openLedger } from '../../../proxies/ledger/ledger.ts';
import { newestFirst } from '../../../proxies/ledger/newest.ts';
import { ledgerFile } from './file.ts';

async function store(t: TestContext) {
  const path = ledgerFile(t);
  const archive = path.replace(/\.jsonl$/, '');
  mkdirSync(archive);
  const open = async () => {
    const blobs = createBlobs();
    const ledger = await openLedger({ path, archive, visit: (line, segment) => blobs.seen(segment, line) });
    t.after(() => ledger.close().catch(() => {}));
    /** As an exchange is stored: its pieces, then the line that names them. */
    const put = async (pieces: Buffer[]): Promise<{ seq: number; refs: string[]; stored: number }> => {
      let stored = 0;
      let refs: string[] = [];
      const { seq } = await ledger.group((segment) => {
        const made = blobs.lines(segment, pieces);
        stored = made.records.length;
        refs = made.refs;
        return [...made.records, { kind: 'request', refs }];
      });
      return { seq, refs, stored };
    };
    return { ledger, put };
  };
  return { path, open };
}

const bytes = (text: string): Buffer => Buffer.from(text);

/** The blobs that line `seq` refers to, as body.ts reads them. */
async function readBlobs(path: string, refs: string[], seq: number): Promise<Map<string, Blob>> {
  const blobs = createGathering();
  for (const ref of refs) blobs.want(ref);
  for await (const line of newestFirst(path, seq)) {
    if (line.seq >= seq) continue;
    if (line.kind === 'segment') break;
    if (line.kind === 'blob') blobs.see(line);
  }
  const found = refs.map((ref) => [ref, blobs.get(ref)] as const);
  return new Map(found.filter((each): each is [string, Blob] => each[1] !== undefined));
}

test('a piece is stored once in a segment, again in the next, and known after a restart', async (t) => {
  const { path, open } = await store(t);
  const history = ['{"role":"user","content":"one"}', '"two"', '[3]'].map(bytes);
  const first = await open();
  assert.equal((await first.put(history.slice(0, 2))).stored, 2);
  assert.equal((await first.put([...history, ...history])).stored, 1);
  await first.ledger.close();
  const second = await open();
  assert.equal((await second.put(history)).stored, 0);
  await second.ledger.rotate();
  const last = await second.put(history);
  assert.equal(last.stored, 3, 'each segment stands for itself');
  await second.ledger.rotate();
  const found = await readBlobs(path, last.refs, last.seq);
  assert.deepEqual(
    last.refs.map((ref) => found.get(ref)?.bytes),
    history,
  );
  await second.ledger.close();
  assert.equal((await verifyLedger(path)).ok, true);
});

test('the growth of a session is linear: a turn stores what is new', async (t) => {
  const { open } = await store(t);
  const { put } = await open();
  const history: Buffer[] = [];
  for (let turn = 0; turn < 100; turn++) {
    history.push(bytes(`{"role":"user","content":"turn ${turn} ${'x'.repeat(100)}"}`));
    assert.equal((await put(history)).stored, 1);
  }
});

const pieces: [what: string, piece: Buffer][] = [
  ['an object with spaces', bytes('{ "a" : [ 1.0, 2e3, "\\u00e9é" ] , "a": 0 }')],
  ['a text', bytes('"x"')],
  ['a number', bytes('-0.0')],
  ['nothing at all', bytes('')],
  ['no JSON', bytes('{"a":')],
  ['no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
  ['a line break that is no JSON', bytes('"a\nb"')],
  ['what looks like a line', bytes('{"seq":1,"kind":"segment","number":2}')],
  ['what would end the line', bytes('1}\n{"seq":2')],
  ['as large as a bare one may be', bytes(`"${'x'.repeat(128 * 1024 - 2)}"`)],
  ['one byte larger', bytes(`"${'x'.repeat(128 * 1024 - 1)}"`)],
  ['large', bytes(JSON.stringify({ data: randomBytes(600_000).toString('base64') }))],
  ['large and no JSON', randomBytes(300_001)],
];

for (const [what, piece] of pieces) {
  test(`${what} is given back byte by byte, and the ledger is whole`, async (t) => {
    const { path, open } = await store(t);
    const { put, ledger } = await open();
    const { refs, seq } = await put([piece]);
    await put([bytes('{"after":true}')]);
    await ledger.close();
    assert.equal((await verifyLedger(path)).ok, true);
    assert.deepEqual(refs, [hash('sha256', piece)]);
    assert.deepEqual((await readBlobs(path, refs, seq)).get(refs[0] ?? '')?.bytes, piece);
    const again = await open();
    assert.equal((await again.put([piece])).stored, 0);
  });
}

test('line breaks between tokens become spaces: the value is the same', async (t) => {
  const { path, open } = await store(t);
  const { put } = await open();
  const piece = bytes('{\n  "a": [\r\n1,\n2]\n}');
  const { refs, seq } = await put([piece]);
  const found = (await readBlobs(path, refs, seq)).get(refs[0] ?? '')?.bytes.toString() ?? '';
  assert.equal(found, piece.toString().replaceAll(/[\r\n]/g, ' '));
  assert.deepEqual(JSON.parse(found), JSON.parse(piece.toString()));
});

test('a key in a piece is not stored, and it is said how many', async (t) => {
  const { path, open } = await store(t);
  const { put } = await open();
  const key = `sk-ant-api03-${'aB3dE6gH9j'.repeat(9)}`;
  const { refs, seq } = await put([
    bytes(JSON.stringify({ role: 'user', content: `my key is ${key}, keep it` })),
  ]);
  const found = (await readBlobs(path, refs, seq)).get(refs[0] ?? '');
  assert.equal(found?.redacted, 1);
  assert.match(found?.bytes.toString() ?? '', /my key is [^,]*\*{20,}[^,]*, keep it/);
  assert.ok(!readFileSync(path, 'utf8').includes(key.slice(20)));
});

test('after a fault nothing that was made for the failed group is thought to be stored', async (t) => {
  const { open } = await store(t);
  const { put, ledger } = await open();
  const piece = bytes('{"role":"user"}');
  const blobs = createBlobs();
  await assert.rejects(
    ledger.group((segment) => [...blobs.lines(segment, [piece]).records, { seq: 'not mine' }]),
  );
  await ledger.group((segment) => {
    const { records } = blobs.lines(segment, [piece]);
    assert.equal(records.length, 1);
    return records;
  });
  assert.equal((await put([piece])).stored, 1, 'control: other blobs know of another store nothing');
});

test('blobs of an earlier segment, or after the line that names them, are not given', async (t) => {
  const { path, open } = await store(t);
  const { put, ledger } = await open();
  const early = await put([bytes('"early"')]);
  await ledger.rotate();
  const late = await put([bytes('"late"')]);
  assert.equal((await readBlobs(path, early.refs, late.seq)).size, 0);
  assert.equal((await readBlobs(path, late.refs, early.seq)).size, 0);
  assert.equal((await readBlobs(path, ['ab'.repeat(32)], late.seq)).size, 0);
});

test('whatever the pieces are, they come back and the chain holds', async (t) => {
  const { path, open } = await store(t);
  const {
    put,
    ledger,
  }: { put: (pieces: Buffer[]) => Promise<{ seq: number; refs: string[] }>; ledger: Ledger } = await open();
  const piece = fc.oneof(
    fc.json().map(bytes),
    fc.string({ unit: 'binary' }).map(bytes),
    fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 5 }), fc.boolean(), async (given, rotate) => {
      const { refs, seq } = await put(given);
      if (rotate) await ledger.rotate();
      const found = await readBlobs(path, refs, seq);
      for (const [at, ref] of refs.entries()) {
        const blob = found.get(ref);
        assert.ok(blob);
        if (blob.redacted === 0)
          assert.deepEqual(
            blob.bytes.toString('latin1').replaceAll(/[\r\n]/g, ' '),
            given[at]?.toString('latin1').replaceAll(/[\r\n]/g, ' '),
          );
      }
    }),
    { numRuns: 150 },
  );
  assert.equal((await verifyLedger(path)).ok, true);
});
