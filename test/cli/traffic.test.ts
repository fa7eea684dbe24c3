/** `holdfast traffic` on a ledger of its own: the table, filters, one exchange in full, a HAR, and following. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { z } from 'zod';
import { createBlobs } from '../../proxies/ledger/blobs.ts';
import { type Ledger, openLedger } from '../../proxies/ledger/ledger.ts';
import { holdfast, tempHome } from './fake.ts';

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
  assert.deepEqual(await ids('verdict=fail'), ['a2']);
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
  assert.deepEqual([missing.code, missing.out], [3, '']);
  assert.match(missing.err, /there is no exchange zzzz/);
});

test('without a ledger it says so', async (t) => {
  const ran = await holdfast('traffic', '--home', tempHome(t));
  assert.equal(ran.code, 3);
  assert.match(ran.err, /there is no ledger .*traffic\.jsonl\nName its home folder/);
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
  assert.equal(log.entries[1]?.response.statusText, 'budget-usd-day');
  for (const each of log.entries.slice(2)) {
    assert.equal(JSON.parse(each.request.postData?.text ?? '').model, 'smart');
    assert.equal(each.response.content.text, '{"content":[{"type":"text","text":"Hi."}]}');
    assert.deepEqual([each.time, each.timings.wait], [950.4, 400]);
  }
  const some = await holdfast('traffic', 'har', '--home', home, '--out', out, '--filter', 'id=h1', '--json');
  assert.deepEqual(JSON.parse(some.out), { file: out, entries: 1 });
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
      ['before', 'allow', 'claude-sonnet-4-5'],
      ['begun', 'allow', 'm'],
      ['refused', 'refuse', null],
    ],
  );
});
