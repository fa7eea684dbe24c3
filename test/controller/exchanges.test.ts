/** The page of the last exchanges, from the ledgers of the serving processes. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exchangesOf } from '../../appliance/controller/exchange.ts';
import { setUp, sitDown } from './desk.ts';

const at = (second: number): string => new Date(Date.now() - 60_000 + second * 1000).toISOString();

test('the lines of one exchange are one row: asked, and what became of it', () => {
  const [passed, refused, failed, open] = exchangesOf('llm', [
    {
      seq: 1,
      at: at(0),
      kind: 'request',
      id: 'a',
      agent: 'main',
      door: 'llm',
      provider: 'local',
      model: 'llama3.2',
      method: 'POST',
      path: '/v1/chat/completions',
      bytes: 120,
    },
    {
      seq: 2,
      at: at(1),
      kind: 'refusal',
      id: 'b',
      agent: 'main',
      door: 'llm',
      method: 'GET',
      path: '/v1/files',
      asked: 'gpt-9',
      rule: 'path',
      reason: 'not a listed path',
      status: 403,
    },
    {
      seq: 3,
      at: at(2),
      kind: 'request',
      id: 'c',
      agent: 'main',
      method: 'POST',
      path: '/v1/messages',
      model: 'm',
    },
    { seq: 4, at: at(3), kind: 'outcome', id: 'a', status: 200, ms: 812.4, bytesOut: 120, bytesIn: 3000 },
    { seq: 5, at: at(4), kind: 'outcome', id: 'c', status: 502, ms: 3, error: 'ECONNREFUSED' },
    { seq: 6, at: at(5), kind: 'request', id: 'd', agent: 'scout', method: 'GET', path: '/v1/models' },
  ]);
  assert.deepEqual(
    [passed?.id, passed?.verdict, passed?.ms, passed?.what, passed?.model, passed?.why],
    ['a', 'passed', 812.4, 'POST /v1/chat/completions', 'local/llama3.2', 'status 200'],
  );
  assert.deepEqual(
    [refused?.verdict, refused?.why, refused?.model],
    ['refused', 'path; not a listed path; status 403', 'gpt-9'],
  );
  assert.deepEqual([failed?.verdict, failed?.why], ['failed', 'connection refused; status 502']);
  assert.deepEqual([open?.verdict, open?.agent], ['open', 'scout']);
});

test('at the llm door the row says what it cost and which way it took; pieces of bodies are no rows', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const start = { prev: 'ab'.repeat(32) };
  desk.writeLedger('llm', [
    { seq: 1, at: at(0), ...start, kind: 'segment', number: 2, carry: {} },
    {
      seq: 2,
      at: at(1),
      ...start,
      kind: 'blob',
      sha256: 'cd'.repeat(32),
      bytes: 9,
      json: { content: 'not for a page' },
    },
    {
      seq: 3,
      at: at(1),
      ...start,
      kind: 'request',
      id: '0193a4c7-b1d2-7000-8000-000000000001',
      agent: 'main',
      provider: 'ollama@pi',
      model: 'llama3.2',
      method: 'POST',
      path: '/v1/chat/completions',
      reserved: { usdNano: 12_300_000, tokens: 9000 },
    },
    {
      seq: 4,
      at: at(2),
      ...start,
      kind: 'outcome',
      id: '0193a4c7-b1d2-7000-8000-000000000001',
      provider: 'openai',
      model: 'gpt-5 <b>',
      status: 200,
      ms: 900,
      tokens: { in: 1200, out: 34 },
      cost: { usdNano: 12_300_000, tokens: 9000 },
      costUsd: 0.0123,
      hops: [
        { provider: 'ollama@pi', model: 'llama3.2', why: 'connect-refused', ms: 3 },
        { provider: 'openai', model: 'gpt-5 <b>', why: 'answered', ms: 890 },
      ],
    },
  ]);
  const page = await (await desk.request('/exchanges', {}, cookie)).text();
  assert.match(page, /POST \/v1\/chat\/completions/);
  assert.match(page, /<span class="whole">openai<\/span>\/gpt-5 &lt;b&gt;<\/td>/);
  assert.match(page, /<code>0193a4c7<\/code>/);
  assert.match(page, /1200 \/ 34/);
  assert.match(page, /0\.0123 \(reserved\)/);
  assert.match(
    page,
    /The last 1, newest first\. [^<]*<code>npm run -s holdfast -- traffic --last 1000<\/code>/,
  );
  assert.match(page, /<summary>2 hops<\/summary><ol><li>ollama@pi\/llama3\.2: connect-refused<\/li>/);
  assert.doesNotMatch(page, /not for a page|>segment|>blob/);
  assert.equal(page.match(/<tr>/g)?.length, 2, 'a heading and one row');
});

test('newest first, over all doors or one, with the choice in the address', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  desk.writeLedger('egress', [
    {
      seq: 1,
      at: at(1),
      kind: 'request',
      id: '1',
      agent: 'main',
      host: 'example.org',
      port: 443,
      rule: 'example.org:443',
      verdict: 'allow',
      ms: 40,
    },
  ]);
  desk.writeLedger('tools', [
    {
      seq: 1,
      at: at(2),
      kind: 'call',
      id: '2',
      agent: 'main',
      tool: 'shell',
      command: 'ls -la',
      exit: 0,
      ms: 90,
    },
  ]);
  const every = await (await desk.request('/exchanges', {}, cookie)).text();
  assert.ok(every.indexOf('ls -la') < every.indexOf('example.org:443') && every.indexOf('ls -la') > 0);
  const one = await (await desk.request('/exchanges?door=egress', {}, cookie)).text();
  assert.ok(one.includes('example.org:443') && !one.includes('ls -la'));
  assert.match(one, /href="\/exchanges\?door=egress" class="here" aria-current="true"/);
  assert.equal(
    (await desk.request('/exchanges?door=../../secrets', {}, cookie)).status,
    200,
    'an unknown door is all doors',
  );
});

test('an empty ledger teaches, and one that cannot be read is named', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  assert.match(await (await desk.request('/exchanges', {}, cookie)).text(), /No exchange yet/);
  rmSync(join(desk.folder, 'egress.jsonl'));
  assert.match(
    await (await desk.request('/exchanges', {}, cookie)).text(),
    /The ledger of egress cannot be read/,
  );
});

test('a page has at most a hundred rows', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  desk.writeLedger(
    'llm',
    Array.from({ length: 120 }, (_, seq) => ({
      seq: seq + 1,
      at: at(seq / 10),
      kind: 'refusal',
      id: `r-${seq}`,
      agent: 'main',
      rule: 'path',
    })),
  );
  const page = await (await desk.request('/exchanges', {}, cookie)).text();
  assert.equal(page.match(/<tr>/g)?.length, 101, 'a heading and a hundred rows');
});
