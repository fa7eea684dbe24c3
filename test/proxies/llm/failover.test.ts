/** From one provider to the next: before the first byte and never after it, with the reason of each hop on record, and no key to the wrong host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import type { Provider as Configured } from '../../../proxies/llm/kinds/kind.ts';
import type { Provider, ProviderOptions } from '../../provider/provider.ts';
import { chatBody, type Line, post, type Rig, type RigOptions, startDoor, startProvider } from './rig.ts';
import { ask, heard, kinds } from './streams.ts';

const chat = '/v1/chat/completions';

type Two = { first: Provider; second: Provider; rig: Rig };

/** `best` is a chain of two: the first's model has bad days, the second's is well. */
async function startTwo(
  t: Parameters<typeof startProvider>[0],
  how: string,
  options: { first?: ProviderOptions; second?: Partial<Configured>; rig?: RigOptions } = {},
): Promise<Two> {
  const first = await startProvider(t, { requireKey: 'key-of-the-first', ...options.first });
  const second = await startProvider(t, { requireKey: 'key-of-the-second' });
  const rig = await startDoor(t, {
    providers: [
      { name: 'first', kind: 'openai', baseUrl: first.url, key: 'first', concurrency: 64 },
      {
        name: 'second',
        kind: 'openai',
        baseUrl: second.url,
        key: 'second',
        concurrency: 64,
        ...options.second,
      },
    ],
    secrets: { first: 'key-of-the-first', second: 'key-of-the-second' },
    aliases: { best: [`first/practice${how}`, 'second/practice'] },
    ...options.rig,
  });
  return { first, second, rig };
}

const whys = (outcome: Line): string[] => (outcome.hops as { why: string }[]).map(({ why }) => why);

test('a provider that is not there is passed over, and the model of the chain is asked', async (t) => {
  const { first, second, rig } = await startTwo(t, '');
  await first.close();
  const answer = await post(rig.url + chat, chatBody('hello', { model: 'best' }));
  assert.equal(answer.status, 200);
  assert.equal(((await answer.json()) as { model: string }).model, 'practice');
  assert.equal(
    JSON.parse(second.requests[0]?.body ?? '').model,
    'practice',
    "the alias is this house's word",
  );
  const outcome = await rig.line('outcome');
  assert.deepEqual(whys(outcome), ['ECONNREFUSED', 'answered']);
  assert.deepEqual([outcome.provider, outcome.model], ['second', 'practice']);
  const request = await rig.line('request');
  assert.equal(request.asked, 'best');
});

test('an error as the first event of a good answer is passed over: the agent hears only the next', async (t) => {
  for (const each of kinds) {
    const bad = await startProvider(t);
    const good = await startProvider(t);
    const rig = await startDoor(t, {
      providers: [
        { name: 'bad', kind: each.kind, baseUrl: bad.url },
        { name: 'good', kind: each.kind, baseUrl: good.url },
      ],
      aliases: { best: ['bad/practice-overloaded', 'good/practice'] },
    });
    const said = await heard(await ask(rig.url, each.ask('hello', 'best')));
    assert.equal(each.words(said.text), 'You said: hello', each.name);
    assert.doesNotMatch(said.text, /"error":\{|overloaded/, each.name);
    assert.equal(bad.requests.length, 1, each.name);
    const [why] = whys(await rig.line('outcome'));
    assert.match(why ?? '', /^first-event-/, each.name);
  }
});

test('after the first byte there is no other provider: a cut is a cut', async (t) => {
  for (const how of ['-cut', '-reset']) {
    const { second, rig } = await startTwo(t, how);
    const answer = await post(
      rig.url + chat,
      chatBody('one two three four', { model: 'best', stream: true }),
    );
    const { cut, text } = await heard(answer);
    assert.ok(cut);
    assert.doesNotMatch(text, /\[DONE\]/);
    assert.equal(second.requests.length, 0);
    assert.deepEqual(whys(await rig.line('outcome')), ['answered']);
  }
});

test('busy and broken: tried again, then elsewhere; with Retry-After and another at hand, elsewhere at once', async (t) => {
  const well = await startTwo(t, '-flaky', { first: { failures: 2 } });
  assert.equal((await post(well.rig.url + chat, chatBody('hello', { model: 'best' }))).status, 200);
  assert.deepEqual(whys(await well.rig.line('outcome')), ['status-503', 'status-503', 'answered']);
  assert.equal(well.second.requests.length, 0);

  const ill = await startTwo(t, '-flaky', { first: { failures: 100 } });
  assert.equal((await post(ill.rig.url + chat, chatBody('hello', { model: 'best' }))).status, 200);
  assert.deepEqual(whys(await ill.rig.line('outcome')), [
    'status-503',
    'status-503',
    'status-503',
    'answered',
  ]);

  const limited = await startTwo(t, '-rate-limited', { first: { retryAfterS: 5 } });
  const from = performance.now();
  assert.equal((await post(limited.rig.url + chat, chatBody('hello', { model: 'best' }))).status, 200);
  assert.ok(performance.now() - from < 1000);
  assert.deepEqual(whys(await limited.rig.line('outcome')), ['status-429', 'answered']);
});

test('where nobody else is left, Retry-After is waited for, and the last word is handed on', async (t) => {
  const first = await startProvider(t, { retryAfterS: 1 });
  const rig = await startDoor(t, { providers: [{ name: 'p', kind: 'openai', baseUrl: first.url }] });
  const from = performance.now();
  const answer = await post(rig.url + chat, chatBody('hello', { model: 'practice-rate-limited' }));
  assert.ok(performance.now() - from > 1900, 'two waits of a second');
  assert.equal(answer.status, 429);
  assert.match(await answer.text(), /Rate limit reached/);
  assert.equal(first.requests.length, 3);
});

test('a key goes to its own host alone: along a chain, with swapped names and paths, after a redirect', async (t) => {
  const { first, second, rig } = await startTwo(t, '-redirect', {});
  const elsewhere = await startProvider(t);
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder', maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'hello' }];
  await client.chat.completions.create({ model: 'best', messages });
  for (const path of [
    `/first${chat}`,
    `/second${chat}`,
    `/first/second${chat}`,
    `/second/../first${chat}`,
    `/first${chat}?base_url=${elsewhere.url}`,
    `//${new URL(elsewhere.url).host}${chat}`,
    `/${elsewhere.url}${chat}`,
  ]) {
    for (const model of ['first/practice', 'second/practice', 'practice']) {
      await post(rig.url + path, chatBody('hello', { model }), {
        host: new URL(second.url).host,
        'x-forwarded-host': new URL(elsewhere.url).host,
        'x-portkey-custom-host': elsewhere.url,
      }).catch(() => {});
    }
  }
  assert.ok(first.requests.length > 1 && second.requests.length > 1, 'the control: both were asked');
  assert.match(JSON.stringify(first.requests.map(({ headers }) => headers)), /key-of-the-first/);
  assert.doesNotMatch(JSON.stringify(first.requests), /key-of-the-second/);
  assert.match(JSON.stringify(second.requests.map(({ headers }) => headers)), /key-of-the-second/);
  assert.doesNotMatch(JSON.stringify(second.requests), /key-of-the-first/);
  assert.equal(elsewhere.requests.length, 0);
});

test('an echo of the key is masked in whatever shape it comes back, in each format', async (t) => {
  for (const each of kinds) {
    const provider = await startProvider(t);
    const key = 'key-of-the-first-0123456789';
    const rig = await startDoor(t, {
      providers: [{ name: 'p', kind: each.kind, baseUrl: provider.url, key: 'real' }],
      secrets: { real: key },
    });
    const bytes = Buffer.from(key);
    for (const [at, how] of ['', '-base64', '-hex', '-percent'].entries()) {
      const { text } = await heard(await ask(rig.url, each.ask('your key?', `practice-echo-key${how}`)));
      for (const shape of [key, bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')]) {
        assert.equal(text.toLowerCase().includes(shape.toLowerCase()), false, `${each.name} ${how}`);
      }
      assert.doesNotMatch(text, /%6b%65%79/i);
      assert.match(text, /\*{27,}/);
      assert.equal((await rig.line('outcome', at + 1)).keyEchoed, true);
    }
    assert.equal(JSON.stringify([rig.lines, rig.blobs]).includes(key), false, 'nor is it on record');
  }
});

test('an agent that may not use a model is refused before anything leaves, and a chain goes on without it', async (t) => {
  const { first, second, rig } = await startTwo(t, '', { rig: { allow: ['second/*'] } });
  const refused = await post(rig.url + chat, chatBody('hello', { model: 'first/practice' }));
  assert.equal(refused.status, 403);
  assert.match(await refused.text(), /model-not-allowed/);
  for (const model of ['best', 'second/practice']) {
    assert.equal((await post(rig.url + chat, chatBody('hello', { model }))).status, 200, model);
  }
  assert.deepEqual([first.requests.length, second.requests.length], [0, 2]);
});

test("an input that is too long for one model goes to the next that takes it, by the model's own limit", async (t) => {
  const small = await startProvider(t);
  const large = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [
      {
        name: 'small',
        kind: 'openai',
        baseUrl: small.url,
        contextTokens: 100_000,
        modelContextTokens: { 'practice*': 500 },
      },
      { name: 'large', kind: 'openai', baseUrl: large.url },
    ],
    aliases: { either: ['small/practice', 'large/practice'] },
  });
  const ask = (words: number) =>
    post(`${rig.url}/v1/chat/completions`, chatBody('word '.repeat(words), { model: 'either' }));
  assert.equal((await ask(10)).status, 200);
  assert.equal((await ask(2000)).status, 200);
  assert.deepEqual([small.requests.length, large.requests.length], [1, 1]);
  const hops = (await rig.line('outcome', 2)).hops as { provider: string; why: string }[];
  assert.deepEqual(
    hops.map(({ provider, why }) => [provider, why]),
    [
      ['small', 'context'],
      ['large', 'answered'],
    ],
  );
});
