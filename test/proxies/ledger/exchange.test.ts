/** Exchanges out of a real ledger: joined, newest first, over rotations, with their bodies put together again. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { nearest } from '../../../appliance/config/nearest.ts';
import { createBlobs } from '../../../proxies/ledger/blobs.ts';
import { bodiesOf } from '../../../proxies/ledger/body.ts';
import {
  type Exchange,
  exchanges,
  findExchanges,
  linesSince,
  queriedOf,
} from '../../../proxies/ledger/exchange.ts';
import { type Ledger, openLedger } from '../../../proxies/ledger/ledger.ts';
import { newestFirst } from '../../../proxies/ledger/newest.ts';
import { parseQuery } from '../../../proxies/ledger/query.ts';

function place(t: TestContext): { path: string; archive: string } {
  const folder = mkdtempSync(join(tmpdir(), 'hf-exchange-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'traffic.jsonl');
  writeFileSync(path, '');
  mkdirSync(join(folder, 'traffic'));
  return { path, archive: join(folder, 'traffic') };
}

async function all(path: string): Promise<Exchange[]> {
  const found: Exchange[] = [];
  for await (const each of exchanges(path)) found.push(each);
  return found;
}

const request = (id: string, rest: object = {}) => ({
  kind: 'request',
  id,
  agent: 'main',
  door: 'llm',
  turn: { id: 't-1', how: 'inferred' },
  asked: 'smart',
  provider: 'ollama@pi',
  model: 'llama3.2',
  method: 'POST',
  path: '/v1/chat/completions',
  bytes: 100,
  ...rest,
});

const outcome = (id: string, rest: object = {}) => ({
  kind: 'outcome',
  id,
  agent: 'main',
  provider: 'openai',
  model: 'gpt-5',
  hops: [
    { provider: 'ollama@pi', model: 'llama3.2', why: 'connect-refused', ms: 3 },
    { provider: 'openai', model: 'gpt-5', why: 'answered', ms: 800 },
  ],
  status: 200,
  ms: 812.5,
  firstByteMs: 300,
  tokens: { in: 1200, out: 30, cached: 1000 },
  cost: { usdNano: 12_300_000, tokens: 1230 },
  costUsd: 0.0123,
  bytesOut: 100,
  bytesIn: 900,
  stop: 'stop',
  ...rest,
});

/** A request with its pieces, as llm/record.ts writes it. */
const asked = (ledger: Ledger, id: string, frame: string, parts: string[], answer: string) => {
  const blobs = createBlobs();
  return (async () => {
    await ledger.group((segment) => {
      const { refs, records } = blobs.lines(
        segment,
        parts.map((part) => Buffer.from(part)),
      );
      return [...records, request(id, { body: { parts: refs, frame } })];
    });
    await ledger.group((segment) => {
      const { refs, records } = blobs.lines(segment, [Buffer.from(answer)]);
      return [...records, outcome(id, { answer: refs[0] })];
    });
  })();
};

test('request and outcome are one exchange, and the way it took is on it', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  await ledger.append(request('one'));
  await ledger.append(request('two', { agent: 'scout' }));
  await ledger.append(outcome('one'));
  await ledger.append({
    kind: 'refusal',
    id: 'three',
    agent: 'main',
    door: 'llm',
    method: 'POST',
    path: '/v1/x',
    rule: 'path',
    reason: 'not listed',
    status: 403,
  });
  await ledger.append(request('four'));
  await ledger.append(
    outcome('four', { error: 'ECONNRESET', status: 502, tokens: undefined, costUsd: undefined }),
  );
  await ledger.close();

  const found = await all(path);
  assert.deepEqual(
    found.map((each) => [each.id, each.verdict, each.agent, each.provider, each.model, each.status]),
    [
      ['four', 'failed', 'main', 'openai', 'gpt-5', 502],
      ['three', 'refused', 'main', null, null, 403],
      ['two', 'open', 'scout', 'ollama@pi', 'llama3.2', null],
      ['one', 'passed', 'main', 'openai', 'gpt-5', 200],
    ],
  );
  const one = found.at(-1);
  assert.deepEqual(
    [one?.asked, one?.turn, one?.costUsd, one?.firstByteMs, one?.tokens, one?.hops.map((hop) => hop.why)],
    ['smart', 't-1', 0.0123, 300, { in: 1200, out: 30, cached: 1000 }, ['connect-refused', 'answered']],
  );
  assert.deepEqual([found[1]?.rule, found[1]?.reason], ['path', 'not listed']);
  const query = parseQuery('agent=main status>=400 rule=pa*', Date.now(), nearest);
  assert.ok(query.ok);
  assert.deepEqual(
    found.filter((each) => query.matches(queriedOf(each))).map((each) => each.id),
    ['three'],
  );
});

test('exchanges go on over rotations, in order, each once', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  for (let at = 0; at < 30; at++) {
    await ledger.append(request(`id-${at}`));
    if (at % 10 === 9) await ledger.rotate();
    await ledger.append(outcome(`id-${at}`));
  }
  const ids = (await all(path)).map((each) => [each.id, each.verdict]);
  assert.deepEqual(
    ids,
    Array.from({ length: 30 }, (_, at) => [`id-${29 - at}`, 'passed']),
  );
  const seqs: number[] = [];
  for await (const { seq } of newestFirst(path)) seqs.push(seq);
  assert.deepEqual(
    seqs,
    Array.from({ length: seqs.length }, (_, at) => seqs.length - at),
  );

  const since = await linesSince(path, seqs.length - 3);
  assert.deepEqual([since.seq, since.lines.map((line) => line.kind)], [seqs.length, ['request', 'outcome']]);
  await ledger.close();
});

test('a rotation that was cut short shows each exchange once', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  for (let at = 0; at < 5; at++) await ledger.append(request(`id-${at}`));
  await ledger.close();
  // Copied, named, and not yet cut from the live file.
  copyFileSync(path, join(archive, '000001.jsonl'));
  assert.deepEqual(
    (await all(path)).map((each) => each.id),
    ['id-4', 'id-3', 'id-2', 'id-1', 'id-0'],
  );
});

test('a line that is being written, and one that is no JSON, stop nothing', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  await ledger.append(request('one'));
  await ledger.append(request('two'));
  await ledger.close();
  appendFileSync(path, '{"seq":3,"at":"2026-');
  assert.deepEqual(
    (await all(path)).map((each) => each.id),
    ['two', 'one'],
  );
  truncateSync(path, 0);
  assert.deepEqual(await all(path), []);
});

test('a body is put together again from its frame and its blobs, also when they are long or were rotated away', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  const long = JSON.stringify({ role: 'user', content: 'ä'.repeat(200_000) });
  const parts = ['{"role":"system","content":"be brief"}', long];
  const frame = '{"model":"smart","messages":[\u00010\u0001,\u00011\u0001],"note":"\u00017\u0001"}';
  const whole = `{"model":"smart","messages":[${parts.join(',')}],"note":"\u00017\u0001"}`;
  await asked(ledger, 'a-1', frame, parts, '{"choices":[]}');
  const read = async (): Promise<void> => {
    const [found] = await findExchanges(path, 'a-1', 1);
    assert.ok(found);
    const [bodies] = await bodiesOf(path, [found]);
    assert.equal(bodies?.asked?.bytes.toString(), whole);
    assert.deepEqual([bodies?.asked?.missing, bodies?.asked?.redacted], [0, 0]);
    assert.equal(bodies?.answered?.bytes.toString(), '{"choices":[]}');
  };
  await read();
  const [before] = await findExchanges(path, 'a-1', 1);
  await ledger.rotate();
  assert.ok(before);
  const [late] = await bodiesOf(path, [before]);
  assert.equal(late?.asked?.bytes.toString(), whole, 'the file was rotated after the lines were read');
  await read();
  await ledger.close();
});

test('keys are masked in what is shown, and a lost piece is a gap and not a guess', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  const key = `sk-ant-api03-${'A'.repeat(80)}`;
  await asked(
    ledger,
    'k',
    '{"messages":[\u00010\u0001]}',
    [JSON.stringify({ content: `my key is ${key}, keep it` })],
    '{}',
  );
  await ledger.append(request('lost', { body: { parts: ['ab'.repeat(32)], frame: '[\u00010\u0001]' } }));
  await ledger.close();
  const [lost, found] = await all(path);
  assert.ok(lost && found);
  const [gone, masked] = await bodiesOf(path, [lost, found]);
  assert.ok(masked?.asked && masked.asked.redacted > 0);
  assert.ok(!masked.asked.bytes.includes(key));
  assert.deepEqual([gone?.asked?.bytes.toString(), gone?.asked?.missing, gone?.answered], ['[…]', 1, null]);
});

test('parts are taken from an earlier request of the segment, over many links, and what is lost is a gap for each', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  await asked(ledger, 'q-0', '{"messages":[\u00010-1,\u0001]}', ['"a"', '"b"'], '{}');
  const frame = '[\u00010-2, \u0001]';
  const linked = (id: string, after: string, parts: unknown[]) =>
    ledger.append(request(id, { body: { after, parts, frame } }));
  await asked(ledger, 'q-1', '"\u00010\u0001"', ['"c"'], '{}');
  const [{ lines }] = (await all(path)) as [Exchange];
  const { parts = [] } = (lines.request?.body ?? {}) as { parts?: string[] };
  const [third] = parts;
  await linked('r-0', 'q-0', [[0, 2], third]);
  // Behind thousands of others, which take it all and in another order.
  for (let at = 1; at <= 3000; at++)
    await linked(
      `r-${at}`,
      `r-${at - 1}`,
      at % 2
        ? [
            [1, 3],
            [0, 1],
          ]
        : [
            [2, 3],
            [0, 2],
          ],
    );
  await linked('lost', 'nobody', [[5, 7], third]);
  await linked('wrong', 'q-0', [[1, 0], 7, [0, 1e9]]);
  await ledger.append(request('blob', { body: { partsBlob: 'ab'.repeat(32), frame } }));
  const check = async (): Promise<void> => {
    const found = await all(path);
    const bodies = await bodiesOf(path, found);
    const textOf = (id: string) => bodies[found.findIndex((each) => each.id === id)]?.asked;
    assert.equal(textOf('r-0')?.bytes.toString(), '["a", "b", "c"]');
    assert.equal(textOf('r-1')?.bytes.toString(), '["b", "c", "a"]');
    assert.equal(textOf('r-3000')?.bytes.toString(), '["a", "b", "c"]');
    for (const [id, text, missing] of [
      ['lost', '[…, …, "c"]', 2],
      ['wrong', '[…, …, …]', 3],
      ['blob', '[…, …, …]', 3],
    ] as const)
      assert.deepEqual([textOf(id)?.bytes.toString(), textOf(id)?.missing], [text, missing], id);
  };
  await check();
  const last = (await all(path)).find(({ id }) => id === 'r-3000');
  await ledger.rotate();
  await ledger.append(request('later'));
  await check();
  const [alone] = await bodiesOf(path, last ? [last] : []);
  assert.equal(alone?.asked?.bytes.toString(), '["a", "b", "c"]');
  // The segment that holds what it names is gone: what is known is how many there were.
  await linked('orphan', 'r-3000', [[0, 3]]);
  const [orphan] = (await all(path)) as [Exchange];
  const [gone] = await bodiesOf(path, [orphan]);
  assert.deepEqual([gone?.asked?.bytes.toString(), gone?.asked?.missing], ['[…, …, …]', 3]);
  await ledger.close();
});

test('of files that hold only later lines nothing is read', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  for (let at = 0; at < 30; at++) {
    await ledger.append(request(`id-${at}`));
    if (at % 10 === 9) await ledger.rotate();
  }
  await ledger.close();
  const seqs: number[] = [];
  for await (const { seq } of newestFirst(path, 5)) seqs.push(seq);
  assert.deepEqual(
    seqs,
    Array.from({ length: seqs.length }, (_, at) => seqs.length - at),
  );
  assert.equal(seqs.length, 10);
});

test('those are found whose id begins so, the one whose whole id it is alone, and a missing one is nothing', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  await ledger.append(request('abcd-1'));
  await ledger.append(outcome('abcd-1'));
  await ledger.append(request('zzzz-2'));
  await ledger.append(request('abcd-12'));
  await ledger.append(outcome('abcd-12', { status: 201 }));
  await ledger.close();
  const found = async (id: string, most = 10): Promise<unknown[]> =>
    (await findExchanges(path, id, most)).map((each) => [each.id, each.status, each.verdict]);
  assert.deepEqual(await found('abcd-1'), [['abcd-1', 200, 'passed']]);
  assert.deepEqual(await found('abcd'), [
    ['abcd-12', 201, 'passed'],
    ['abcd-1', 200, 'passed'],
  ]);
  assert.deepEqual(await found('', 2), [
    ['abcd-12', 201, 'passed'],
    ['zzzz-2', null, 'open'],
  ]);
  assert.deepEqual(await found('zz'), [['zzzz-2', null, 'open']]);
  assert.deepEqual(await found('"main'), []);
  assert.deepEqual(await found('nothing'), []);
});

test('many lines are read in constant memory', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  const filler = 'x'.repeat(2000);
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 1000 }, (_, at) => ledger.append(request(`r-${round}-${at}`, { filler }))),
    );
  }
  await ledger.close();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const held = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = held();
  let peak = 0;
  let count = 0;
  for await (const each of exchanges(path)) {
    count += each.verdict === 'open' ? 1 : 0;
    if (count % 5000 === 0) peak = Math.max(peak, held() - before);
  }
  assert.equal(count, 20_000);
  // The file has 45 MB.
  assert.ok(peak < 8 * 1024 * 1024, `${Math.round(peak / 1e6)} MB are held`);
});
