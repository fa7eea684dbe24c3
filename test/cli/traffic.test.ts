/** `holdfast traffic` on a ledger of its own: the table, filters, one exchange in full, a HAR, and following. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { z } from 'zod';
import { row } from '../../appliance/cli/exchange.ts';
import { createBlobs } from '../../proxies/ledger/blobs.ts';
import { exchangeOf } from '../../proxies/ledger/exchange.ts';
import { type Ledger, openLedger } from '../../proxies/ledger/ledger.ts';
import { holdfast, holdfastFrom, tempHome } from './fake.ts';

const program = join(import.meta.dirname, '../../appliance/cli/holdfast.ts');
const hostile = 'gpt\u001b[2J\u202e';
const key = `sk-ant-api03-${'B'.repeat(80)}`;

async function ledgerIn(t: TestContext): Promise<{ home: string; ledger: Ledger }> {
  const home = tempHome(t);
  mkdirSync(join(home, 'audit/traffic'), { recursive: true });
  writeFileSync(join(home, 'audit/traffic.jsonl'), '');
  const ledger = await openLedger({
    path: join(home, 'audit/traffic.jsonl'),
    archive: join(home, 'audit/traffic'),
  });
  t.after(() => ledger.close());
  return { home, ledger };
}

async function exchange(ledger: Ledger, id: string, agent: string, rest: object = {}): Promise<void> {
  const blobs = createBlobs();
  const part = JSON.stringify({ role: 'user', content: `Hello \u202e${key}` });
  await ledger.group((segment) => {
    const { refs, records } = blobs.lines(segment, [Buffer.from(part)]);
    const line = {
      kind: 'request',
      id,
      agent,
      door: 'llm',
      asked: 'smart',
      provider: 'anthropic',
      model: 'claude-sonnet-4-5',
      method: 'POST',
      path: '/v1/messages',
      bytes: 60,
      headers: { 'user-agent': 'sdk/1.0', 'content-type': 'application/json', authorization: '***' },
      body: { parts: refs, frame: '{"model":"smart","messages":[\u00010\u0001]}' },
    };
    return [...records, line];
  });
  await ledger.group((segment) => {
    const { refs, records } = blobs.lines(segment, [
      Buffer.from('{"content":[{"type":"text","text":"Hi."}]}'),
    ]);
    const line = {
      kind: 'outcome',
      id,
      agent,
      provider: 'anthropic',
      model: 'claude-sonnet-4-5',
      hops: [
        { provider: 'ollama@pi', model: 'llama3.2', why: 'busy', ms: 1 },
        { provider: 'anthropic', model: 'claude-sonnet-4-5', why: 'answered', ms: 900 },
      ],
      status: 200,
      ms: 950.4,
      firstByteMs: 400,
      tokens: { in: 120, out: 8, cached: 100 },
      cost: { usdNano: 4_800_000, tokens: 128 },
      costUsd: 0.0048,
      bytesOut: 60,
      bytesIn: 900,
      stop: 'end_turn',
      answer: refs[0],
      ...rest,
    };
    return [...records, line];
  });
}

const refusal = (id: string, agent: string) => ({
  kind: 'refusal',
  id,
  agent,
  door: 'llm',
  method: 'POST',
  path: '/v1/chat/completions',
  asked: hostile,
  rule: 'budget-usd-day',
  reason: '5.00 of 5.00 USD are used',
  status: 402,
});

test('the last exchanges are a table, the newest last, with hostile names made visible', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  await exchange(ledger, 'aaaaaaaa-1111', 'main');
  await ledger.rotate();
  await ledger.append(refusal('bbbbbbbb-2222', 'scout'));
  const ran = await holdfast('traffic', '--home', home);
  assert.equal(ran.code, 0, ran.err);
  const [title = '', first = '', second = ''] = ran.out.split('\n');
  assert.match(title, /^TIME +ID +AGENT +MODEL +STATUS +IN +OUT +USD +MS +VERDICT$/);
  assert.match(first, /aaaaaaaa +main +anthropic\/claude-sonnet-4-5 +200 +120 +8 +0\.004800 +950 +passed$/);
  assert.match(second, /bbbbbbbb +scout +gpt⟨U\+001B⟩\[2J⟨U\+202E⟩ +402 .*refused budget-usd-day$/);
  assert.doesNotMatch(ran.out.replaceAll('\n', ''), /\p{Cc}|\u202e/u);
  const script = JSON.parse((await holdfast('traffic', '--home', home, '--json')).out) as {
    id: string;
    costUsd: number;
  }[];
  assert.deepEqual(
    script.map((each) => each.id),
    ['aaaaaaaa-1111', 'bbbbbbbb-2222'],
  );
  assert.equal(script[0]?.costUsd, 0.0048);
  const one = await holdfast('traffic', '--home', home, '--last', '1', '--json');
  assert.deepEqual(
    (JSON.parse(one.out) as { id: string }[]).map((each) => each.id),
    ['bbbbbbbb-2222'],
  );
});

test('a filter chooses, and a wrong one is exit 2 with the place and the nearest field', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  await exchange(ledger, 'a1', 'main');
  await exchange(ledger, 'a2', 'scout', { error: 'ECONNRESET', status: 502, costUsd: 0 });
  await ledger.append(refusal('a3', 'main'));
  const ids = async (filter: string): Promise<string[]> => {
    const ran = await holdfast('traffic', '--home', home, '--json', '--filter', filter);
    assert.equal(ran.code, 0, ran.err);
    return (JSON.parse(ran.out) as { id: string }[]).map((each) => each.id);
  };
  assert.deepEqual(await ids('agent=main status>=400'), ['a3']);
  assert.deepEqual(await ids('cost>0.001 since:1h'), ['a1']);
  assert.deepEqual(await ids('verdict=failed'), ['a2']);
  assert.deepEqual(await ids('verdict=refused'), ['a3']);
  assert.deepEqual(await ids('verdict=passed'), ['a1']);
  const shown = await holdfast('traffic', '--home', home, '--filter', 'id=a2');
  assert.match(shown.out, / failed cut off$/m);
  const former = await holdfast('traffic', '--home', home, '--filter', 'verdict=refuse');
  assert.equal(former.code, 2);
  assert.match(
    former.err,
    /position 9: got the unknown verdict “refuse”, expected one of passed, refused, failed, open\. Did you mean “refused”\?/,
  );
  const far = await holdfast('traffic', '--home', home, '--filter', 'nope=1');
  assert.doesNotMatch(far.err, /Did you mean/);
  const none = await holdfast('traffic', '--home', home, '--filter', 'agent=nobody');
  assert.deepEqual([none.code, none.out, none.err], [0, '', 'No exchange matches.\n']);
  const wrong = await holdfast('traffic', '--home', home, '--filter', 'agent=main modle~x');
  assert.equal(wrong.code, 2);
  assert.match(
    wrong.err,
    /position 12: got the unknown field “modle”.*Did you mean “model”\?\n {2}agent=main modle~x\n {13}\^/,
  );
});

test('one exchange is shown in full: the way, the bodies rebuilt, keys masked', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  await exchange(ledger, 'cccccccc-1', 'main');
  const ran = await holdfast('traffic', 'show', 'cccc', '--home', home);
  assert.equal(ran.code, 0, ran.err);
  for (const line of [
    /^id +cccccccc-1$/m,
    /^asked +POST \/v1\/messages, model smart$/m,
    /^answered by +anthropic\/claude-sonnet-4-5$/m,
    /^ {2}1\. ollama@pi\/llama3\.2 {2}busy {2}1 ms$/m,
    /^tokens +in 120, cached 100, out 8$/m,
    /^cost +0\.004800 USD$/m,
    /^ {2}user-agent: sdk\/1\.0$/m,
    /^request \(\d+ bytes, 1 masked\):$/m,
    /"text": "Hi\."/,
    /Hello ⟨U\+202E⟩/,
  ]) {
    assert.match(ran.out, line);
  }
  assert.ok(!ran.out.includes(key) && !ran.out.includes('\u202e'));
  const whole = JSON.parse((await holdfast('traffic', 'show', 'cccccccc-1', '--home', home, '--json')).out);
  assert.equal(JSON.parse(whole.request).model, 'smart');
  assert.equal(JSON.parse(whole.answer).content[0].text, 'Hi.');
  const missing = await holdfast('traffic', 'show', 'zzzz', '--home', home);
  assert.deepEqual([missing.code, missing.out], [1, '']);
  assert.match(missing.err, /there is no exchange zzzz/);
});

test('an id that begins more than one is exit 2 with those it may be', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  await exchange(ledger, 'dddd-1', 'main');
  await ledger.append(refusal('dddd-2', 'scout'));
  const two = await holdfast('traffic', 'show', 'dd', '--home', home);
  assert.deepEqual([two.code, two.out], [2, '']);
  assert.match(
    two.err,
    /more than one id begins with dd\nID +TIME +AGENT +ASKED\ndddd-2 .*scout.*\ndddd-1 .*main/,
  );
  const empty = await holdfast('traffic', 'show', '', '--home', home);
  assert.equal(empty.code, 2);
  assert.match(empty.err, /an id is needed, or its beginning\nID[\s\S]*dddd-1/);
  for (let at = 0; at < 12; at++) await ledger.append(refusal(`dddd-3${at}`, 'scout'));
  const many = await holdfast('traffic', 'show', 'dddd', '--home', home);
  assert.equal(many.err.split('\n').filter((line) => line.startsWith('dddd-')).length, 10);
  assert.match(many.err, /\n\.\.\.\n$/);
  assert.equal(
    (await holdfast('traffic', '--home', home, 'show', 'dddd-1')).code,
    0,
    'the whole of one is it',
  );
});

test('who was asked and did not answer is not said to have answered, and what was only reserved is marked', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  const hops = [
    { provider: 'ollama@pi', model: 'llama3.2', why: 'ECONNREFUSED', ms: 1 },
    { provider: 'anthropic', model: 'claude-sonnet-4-5', why: 'UND_ERR_SOCKET', ms: 9 },
  ];
  const asked = { kind: 'request', agent: 'main', method: 'POST', path: '/v1/messages', asked: 'smart' };
  await ledger.append({ ...asked, id: 'fff-1', provider: 'ollama@pi', model: 'llama3.2' });
  await ledger.append({
    kind: 'outcome',
    id: 'fff-1',
    agent: 'main',
    hops,
    status: 502,
    ms: 9,
    error: 'dead-end',
  });
  const failed = await holdfast('traffic', 'show', 'fff-1', '--home', home);
  assert.match(failed.out, /^no answer from +ollama@pi\/llama3\.2, anthropic\/claude-sonnet-4-5$/m);
  assert.doesNotMatch(failed.out, /answered by/);
  assert.match(failed.out, /^ {2}2\. anthropic\/claude-sonnet-4-5 {2}cut off {2}9 ms$/m);
  const reserved = { usdNano: 16_400_000, tokens: 9000, day: '2026-02-03' };
  await ledger.append({ ...asked, id: 'fff-2', provider: 'openai', model: 'gpt-5', reserved });
  await ledger.append({
    kind: 'outcome',
    id: 'fff-2',
    agent: 'main',
    provider: 'openai',
    model: 'gpt-5',
    status: 200,
    ms: 9,
    cost: { usdNano: 16_400_000, tokens: 9000 },
    costUsd: 0.0164,
    error: 'UND_ERR_SOCKET',
  });
  const cut = await holdfast('traffic', 'show', 'fff-2', '--home', home);
  assert.match(cut.out, /^answered by +openai\/gpt-5$/m);
  assert.match(cut.out, /^verdict +failed cut off \(UND_ERR_SOCKET\), status 200$/m);
  assert.match(cut.out, /^cost +0\.0164 USD \(reserved\)$/m);
  await ledger.append({ ...asked, id: 'fff-3', provider: 'openai', model: 'gpt-5' });
  assert.match((await holdfast('traffic', 'show', 'fff-3', '--home', home)).out, /^sent to +openai\/gpt-5$/m);
  const rows = (await holdfast('traffic', '--home', home)).out;
  assert.match(rows, /fff-2 .* 0\.0164 \(reserved\) .*failed cut off$/m);
  assert.match(rows, /fff-3 .* open$/m);
});

test('an answer that streamed is said to be put together', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  const blobs = createBlobs();
  for (const [id, frame] of [
    ['s-1', '{"model":"m","stream":true}'],
    ['s-2', '{"model":"m"}'],
  ] as const) {
    await ledger.append({
      kind: 'request',
      id,
      agent: 'main',
      method: 'POST',
      path: '/v1/x',
      body: { frame },
    });
    await ledger.group((segment) => {
      const { refs, records } = blobs.lines(segment, [Buffer.from('{"content":"Hi."}')]);
      return [
        ...records,
        { kind: 'outcome', id, agent: 'main', provider: 'p', status: 200, answer: refs[0] },
      ];
    });
  }
  const [streamed, whole] = await Promise.all(
    ['s-1', 's-2'].map((id) => holdfast('traffic', 'show', id, '--home', home)),
  );
  assert.match(streamed?.out ?? '', /^answer, put together from a stream \(17 bytes\):$/m);
  assert.match(whole?.out ?? '', /^answer \(17 bytes\):$/m);
});

test('a row of another day has its date', () => {
  const each = exchangeOf({
    refusal: { kind: 'refusal', id: 'x', at: '2026-02-03T12:00:00.000Z', rule: 'path' },
  });
  const at = Date.parse('2026-02-03T12:00:00Z');
  assert.match(String(row(each, at)[0]), /^\d\d:00:00$/);
  assert.match(String(row(each, at + 48 * 3_600_000)[0]), /^2026-02-0[34] \d\d:00$/);
});

test('without a ledger nothing is on record yet, and a folder that is no home is a slip', async (t) => {
  const home = tempHome(t);
  const wrong = await holdfast('traffic', '--home', home);
  assert.deepEqual([wrong.code, wrong.out], [2, '']);
  assert.match(wrong.err, /is no home of Holdfast\nName its home folder/);
  writeFileSync(join(home, 'holdfast.yaml'), '');
  const fresh = await holdfast('traffic', '--home', home);
  assert.deepEqual(
    [fresh.code, fresh.out, fresh.err],
    [0, '', `No exchange with a model is on record yet under ${home}.\n`],
  );
  assert.equal((await holdfast('traffic', '--home', home, '--json')).out, '[]\n');
  assert.equal((await holdfast('traffic', 'show', 'x', '--home', home)).code, 1);
});

/** http://www.softwareishard.com/blog/har-12-spec/ : what a reader may rely on. Strict, so that nothing but _ extensions is ours. */
const pair = z.strictObject({ name: z.string(), value: z.string(), comment: z.string().optional() });
const har = z.strictObject({
  log: z.strictObject({
    version: z.literal('1.2'),
    creator: z.strictObject({ name: z.string(), version: z.string() }),
    entries: z.array(
      z.strictObject({
        startedDateTime: z.iso.datetime({ offset: true }),
        time: z.number().min(0),
        request: z.strictObject({
          method: z.string().min(1),
          url: z.url(),
          httpVersion: z.string(),
          cookies: z.array(z.never()),
          headers: z.array(pair),
          queryString: z.array(pair),
          postData: z
            .strictObject({ mimeType: z.string(), text: z.string(), comment: z.string().optional() })
            .optional(),
          headersSize: z.int().min(-1),
          bodySize: z.int().min(-1),
        }),
        response: z.strictObject({
          status: z.int().min(0).max(599),
          statusText: z.string(),
          httpVersion: z.string(),
          cookies: z.array(z.never()),
          headers: z.array(pair),
          content: z.strictObject({
            size: z.int().min(0),
            mimeType: z.string(),
            text: z.string().optional(),
            comment: z.string().optional(),
          }),
          redirectURL: z.string(),
          headersSize: z.int().min(-1),
          bodySize: z.int().min(-1),
        }),
        cache: z.strictObject({}),
        timings: z.strictObject({
          send: z.number().min(0),
          wait: z.number().min(0),
          receive: z.number().min(0),
        }),
        _holdfast: z.record(z.string(), z.unknown()),
      }),
    ),
  }),
});

test('a HAR is valid, private and holds no key', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  await exchange(ledger, 'h1', 'main');
  await ledger.rotate();
  await exchange(ledger, 'h2', 'main');
  await ledger.append(refusal('h3', 'main'));
  await ledger.append({
    kind: 'request',
    id: 'h4',
    agent: 'main',
    method: 'GET',
    path: '/v1beta/models/{model}',
    asked: 'a b',
  });
  const out = join(home, 'out.har');
  const ran = await holdfast('traffic', 'har', '--home', home, '--out', out);
  assert.deepEqual([ran.code, ran.out], [0, `${out}: 4 exchanges\n`], ran.err);
  assert.equal(statSync(out).mode & 0o777, 0o600);
  const text = readFileSync(out, 'utf8');
  assert.ok(!text.includes(key));
  const { log } = har.parse(JSON.parse(text));
  assert.deepEqual(
    log.entries.map((each) => each._holdfast.id),
    ['h4', 'h3', 'h2', 'h1'],
  );
  assert.equal(log.entries[0]?.request.url, 'http://127.0.0.1:9090/v1beta/models/a%20b');
  assert.equal(log.entries[1]?.response.statusText, 'Payment Required');
  assert.equal(log.entries[1]?._holdfast.rule, 'budget-usd-day');
  assert.deepEqual(
    log.entries.map(({ request }) => [request.bodySize, request.postData === undefined]),
    [
      [-1, true],
      [-1, true],
      [60, false],
      [60, false],
    ],
  );
  for (const each of log.entries.slice(2)) {
    assert.equal(JSON.parse(each.request.postData?.text ?? '').model, 'smart');
    assert.equal(each.response.content.text, '{"content":[{"type":"text","text":"Hi."}]}');
    assert.deepEqual([each.time, each.timings.wait], [950.4, 400]);
  }
  const some = await holdfast('traffic', 'har', '--home', home, '--out', out, '--filter', 'id=h1', '--json');
  assert.deepEqual(JSON.parse(some.out), { file: out, entries: 1 });
  const one = ['traffic', 'har', '--filter', 'id=h1', '--home', home];
  const near = await holdfastFrom(home, ...one, '--out', 'near.har');
  assert.deepEqual([near.code, near.out], [0, `${join(home, 'near.har')}: 1 exchange\n`], near.err);
  const piped = await holdfast(...one, '--out', '-');
  assert.deepEqual([piped.code, piped.err], [0, '']);
  assert.equal(piped.out, readFileSync(join(home, 'near.har'), 'utf8'));
  const nowhere = await holdfast('traffic', 'har', '--home', home, '--out', '/nonexistent/x.har');
  assert.equal(nowhere.code, 1);
  assert.match(nowhere.err, /cannot be written/);
});

test('--follow prints an exchange when its outcome is there, over a rotation', async (t) => {
  const { home, ledger } = await ledgerIn(t);
  await exchange(ledger, 'before', 'main');
  await ledger.append({ kind: 'request', id: 'begun', agent: 'main', asked: 'x', provider: 'p', model: 'm' });
  const child = spawn(
    process.execPath,
    [program, 'traffic', '--follow', '--json', '--home', home, '--filter', 'agent=main'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.after(() => child.kill('SIGKILL'));
  const seen: Record<string, unknown>[] = [];
  let rest = '';
  child.stdout.on('data', (bytes: Buffer) => {
    const lines = `${rest}${bytes}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) seen.push(JSON.parse(line) as Record<string, unknown>);
  });
  const until = async (count: number): Promise<void> => {
    for (let waited = 0; seen.length < count; waited += 50) {
      assert.ok(waited < 20_000, JSON.stringify(seen));
      await new Promise((wake) => setTimeout(wake, 50));
    }
  };
  await until(1);
  await ledger.append({ kind: 'outcome', id: 'begun', status: 200, ms: 5 });
  await ledger.rotate();
  await exchange(ledger, 'other', 'scout');
  await ledger.append(refusal('refused', 'main'));
  await until(3);
  assert.deepEqual(
    seen.map((each) => [each.id, each.verdict, each.model]),
    [
      ['before', 'passed', 'claude-sonnet-4-5'],
      ['begun', 'passed', 'm'],
      ['refused', 'refused', null],
    ],
  );
});
