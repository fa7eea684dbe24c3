/** Budgets at the door: reserved before anything leaves, settled by what the provider counted, never more than the owner said. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { ApiError, GoogleGenAI } from '@google/genai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import type { KindName } from '../../../proxies/llm/kinds/kind.ts';
import {
  chatBody,
  type Line,
  post,
  type Rig,
  realKey,
  startBoth,
  startDoor,
  startProvider,
  until,
} from './rig.ts';
import { kinds } from './streams.ts';

const chat = '/v1/chat/completions';
/** A dollar a million in, ten cents from the cache, 1.25 into it, ten dollars out: a nano-dollar is easy to count. */
const price = {
  inputUsdPerMillion: 1,
  cachedUsdPerMillion: 0.1,
  cacheWriteUsdPerMillion: 1.25,
  outputUsdPerMillion: 10,
};

const costOf = (line: Line): { usdNano: number; tokens: number } =>
  line.cost as { usdNano: number; tokens: number };
const reservedOf = (line: Line): number => (line.reserved as { usdNano: number }).usdNano;

/** What one request of this shape reserves: a little less or more for each letter. */
async function reservation(rig: Rig, body: unknown): Promise<number> {
  await (await post(rig.url + chat, body)).arrayBuffer();
  return reservedOf(await rig.line('request'));
}

test('50 requests at once against a budget for 10: ten go out, and never more is spent', async (t) => {
  const body = (number: number) =>
    chatBody(`request number ${String(number).padStart(3, '0')}`, {
      model: 'practice-silent',
      stream: true,
      max_tokens: 100,
    });
  const probe = await startBoth(t, 'openai', { change: { price } });
  const one = await reservation(probe.rig, { ...body(0), model: 'practice-mutely' });
  const usdPerDay = (10 * one) / 1e9;
  const { provider, rig } = await startBoth(t, 'openai', { change: { price }, limits: { usdPerDay } });
  const answers = Array.from({ length: 50 }, (_, number) => post(rig.url + chat, body(number)));
  await until(() => rig.lines.filter(({ kind }) => kind === 'refusal').length === 40);
  await until(() => provider.requests.length === 10);
  await new Promise((done) => setTimeout(done, 100));
  assert.equal(provider.requests.length, 10);
  assert.equal(rig.spend.standing().day.reservedUsd, usdPerDay);
  provider.speak();
  const settled = await Promise.all(answers);
  const refused = settled.filter(({ status }) => status === 402);
  assert.equal(refused.length, 40);
  const said = await refused[0]?.text();
  assert.match(said ?? '', /budget-usd-day/);
  assert.match(said ?? '', /usdPerDay/);
  assert.match(said ?? '', /resets at \d{4}-\d\d-\d\dT00:00:00Z/);
  await Promise.all(settled.filter(({ status }) => status === 200).map((each) => each.arrayBuffer()));
  await rig.line('outcome', 10);
  const { usd, reservedUsd } = rig.spend.standing().day;
  assert.equal(reservedUsd, 0);
  assert.ok(usd > 0 && usd < usdPerDay, 'they cost less than was reserved');
  assert.equal(
    (await post(rig.url + chat, chatBody('once more', { max_tokens: 10 }))).status,
    200,
    'what was not used is there again',
  );
});

for (const each of kinds) {
  test(`${each.kind} ${each.name}: cached input and reasoning cost what they cost, streamed and not`, async (t) => {
    const { rig } = await startBoth(t, each.kind, { change: { price } });
    // 1,000 in of which 800 from the cache and, at Anthropic, 100 into it; 50 out of which 20 are thoughts. Ollama knows no cache.
    const expected =
      each.kind === 'anthropic'
        ? 100 * 1000 + 800 * 100 + 100 * 1250 + 50 * 10_000
        : each.kind === 'ollama'
          ? 1000 * 1000 + 50 * 10_000
          : 200 * 1000 + 800 * 100 + 50 * 10_000;
    const { path, body } = each.ask('hello', 'practice-cached');
    const whole = { ...body, stream: false };
    const asks: [string, unknown][] = [
      [path, body],
      each.kind === 'gemini'
        ? [path.replace('streamGenerateContent?alt=sse', 'generateContent'), body]
        : [path, whole],
    ];
    for (const [at, [to, ask]] of asks.entries()) {
      const answer = await post(rig.url + to, ask);
      assert.equal(answer.status, 200);
      await answer.arrayBuffer();
      const outcome = await rig.line('outcome', at + 1);
      assert.deepEqual(costOf(outcome), { usdNano: expected, tokens: 1050 }, JSON.stringify(outcome));
      assert.equal(outcome.costUsd, expected / 1e9);
    }
    assert.equal(rig.spend.standing().day.usd, (2 * expected) / 1e9);
  });

  test(`${each.kind} ${each.name}: usage that nobody tells costs the reservation, and a paid model never nothing`, async (t) => {
    const { rig } = await startBoth(t, each.kind, { change: { price } });
    const { path, body } = each.ask('hello', 'practice-usage-missing');
    await (await post(rig.url + path, body)).arrayBuffer();
    const outcome = await rig.line('outcome');
    assert.equal(costOf(outcome).usdNano, reservedOf(await rig.line('request')));
    assert.ok(costOf(outcome).usdNano > 0);
  });
}

test('every route that makes something is charged, known usage or not', async (t) => {
  const { rig } = await startBoth(t, 'openai', { change: { price } });
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'x' });
  await client.embeddings.create({ model: 'practice', input: 'hello' });
  await client.audio.speech.create({ model: 'practice', voice: 'alloy', input: 'hello' });
  await client.audio.transcriptions.create({ model: 'practice', file: new File(['sound'], 'a.wav') });
  await client.responses.create({ model: 'practice', input: 'hello', store: false });
  await rig.line('outcome', 4);
  for (const line of rig.lines.filter(({ kind }) => kind === 'outcome')) {
    assert.ok(costOf(line).usdNano > 0, JSON.stringify(line));
  }
});

test('what never reached a provider costs nothing, and so does what it refused', async (t) => {
  const gone = await startProvider(t);
  await gone.close();
  const dead = await startDoor(t, { providers: [{ name: 'p', kind: 'openai', baseUrl: gone.url, price }] });
  assert.equal((await post(dead.url + chat, chatBody('hello'))).status, 502);
  assert.equal(costOf(await dead.line('outcome')).usdNano, 0);
  const { rig } = await startBoth(t, 'openai', { change: { price }, requireKey: 'another' });
  assert.equal((await post(rig.url + chat, chatBody('hello'))).status, 401);
  assert.equal(costOf(await rig.line('outcome')).usdNano, 0);
  for (const each of [dead, rig]) assert.deepEqual(each.spend.standing().day.usd, 0);
});

test('a free local model goes on when the money is gone, also as the rest of a chain', async (t) => {
  const paid = await startProvider(t);
  const local = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [
      { name: 'vendor', kind: 'openai', baseUrl: paid.url, price },
      { name: 'pi', kind: 'ollama', baseUrl: local.url },
    ],
    aliases: { best: ['vendor/practice', 'pi/practice'] },
    limits: { usdPerDay: 0.000_001 },
  });
  const asked = (model: string) => post(rig.url + chat, chatBody('hello', { model }));
  assert.equal((await asked('vendor/practice')).status, 402);
  assert.equal((await asked('pi/practice')).status, 200);
  assert.equal((await asked('best')).status, 200);
  assert.deepEqual([paid.requests.length, local.requests.length], [0, 2]);
  assert.equal(costOf(await rig.line('outcome', 2)).usdNano, 0);
});

test('a model that nobody has priced is refused, and the owner hears of it once', async (t) => {
  const { provider, configured } = await startBoth(t);
  const { price: _price, ...unpriced } = configured;
  const rig = await startDoor(t, { providers: [unpriced], unpriced: true });
  for (const _ of [1, 2]) {
    const answer = await post(rig.url + chat, chatBody('hello'));
    assert.equal(answer.status, 403);
    assert.match(await answer.text(), /unpriced-model.*holdfast models price openai\/practice/s);
  }
  assert.equal(provider.requests.length, 0);
  assert.equal(rig.notices[0]?.kind, 'unpriced');
});

test('each SDK shows the refusal with its rule, and asks once', async (t) => {
  const limits = { usdPerDay: 0.000_001 };
  const rigOf = async (kind: KindName) => {
    const both = await startBoth(t, kind, { change: { price }, limits });
    return { ...both, url: both.rig.url };
  };
  const text = 'hello';
  const shows = /budget-usd-day.*usdPerDay/s;
  const openai = await rigOf('openai');
  await assert.rejects(
    new OpenAI({ baseURL: `${openai.url}/v1`, apiKey: 'x' }).chat.completions.create({
      model: 'practice',
      messages: [{ role: 'user', content: text }],
    }),
    (error: unknown) => error instanceof OpenAI.APIError && error.status === 402 && shows.test(error.message),
  );
  const anthropic = await rigOf('anthropic');
  await assert.rejects(
    new Anthropic({ baseURL: anthropic.url, apiKey: 'x' }).messages.create({
      model: 'practice',
      max_tokens: 100,
      messages: [{ role: 'user', content: text }],
    }),
    (error: unknown) =>
      error instanceof Anthropic.APIError && error.status === 402 && shows.test(error.message),
  );
  const gemini = await rigOf('gemini');
  await assert.rejects(
    new GoogleGenAI({ apiKey: 'x', httpOptions: { baseUrl: gemini.url } }).models.generateContent({
      model: 'practice',
      contents: text,
    }),
    (error: unknown) => error instanceof ApiError && error.status === 402 && shows.test(error.message),
  );
  const ollama = await rigOf('ollama');
  await assert.rejects(
    new Ollama({ host: ollama.url }).chat({ model: 'practice', messages: [{ role: 'user', content: text }] }),
    shows,
  );
  for (const { provider, rig } of [openai, anthropic, gemini, ollama]) {
    assert.equal(provider.requests.length, 0);
    assert.equal(rig.lines.filter(({ kind }) => kind === 'refusal').length, 1);
  }
});

test("the cost that an upstream tells in a header is believed, but not that a paid model's is nothing", async (t) => {
  const { createServer } = await import('node:http');
  let cost = '0.00125';
  const litellm = createServer((_req, res) => {
    res.setHeader('x-litellm-response-cost', cost);
    res.setHeader('content-type', 'application/json');
    res.end('{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}');
  });
  await new Promise<void>((done) => litellm.listen(0, '127.0.0.1', done));
  t.after(() => litellm.close());
  const { port } = litellm.address() as { port: number };
  const rig = await startDoor(t, {
    providers: [
      {
        name: 'litellm',
        kind: 'openai',
        baseUrl: `http://127.0.0.1:${port}/v1`,
        key: 'real',
        price: { costHeader: 'x-litellm-response-cost' },
      },
    ],
    secrets: { real: realKey },
  });
  await post(rig.url + chat, chatBody('hello'));
  assert.equal(costOf(await rig.line('outcome')).usdNano, 1_250_000);
  for (const [at, said] of ['0', '-1', 'nothing', ''].entries()) {
    cost = said;
    await post(rig.url + chat, chatBody('hello'));
    const outcome = await rig.line('outcome', at + 2);
    assert.equal(costOf(outcome).usdNano, reservedOf(await rig.line('request', at + 2)), `"${said}"`);
  }
});

test('an agent that leaves before the first byte pays what was reserved: the provider is at work', async (t) => {
  const { provider, rig } = await startBoth(t, 'openai', { change: { price } });
  const leaving = new AbortController();
  const left = fetch(rig.url + chat, {
    method: 'POST',
    body: JSON.stringify(chatBody('hello', { model: 'practice-hang', max_tokens: 100 })),
    signal: leaving.signal,
  });
  await until(() => (provider.requests[0]?.body.length ?? 0) > 0);
  leaving.abort();
  await assert.rejects(left);
  const outcome = await rig.line('outcome');
  assert.equal(outcome.error, 'agent-gone');
  assert.equal(costOf(outcome).usdNano, reservedOf(await rig.line('request')));
  assert.equal(rig.spend.standing().day.reservedUsd, 0);
});

test('a price cannot be had around by another spelling of the same Ollama model', async (t) => {
  const { rig } = await startBoth(t, 'ollama', {
    change: { prices: { practice: price } },
    limits: { usdPerDay: 0.000_001 },
  });
  for (const model of ['practice', 'practice:latest', 'Practice', 'PRACTICE:LATEST']) {
    const answer = await post(`${rig.url}/api/chat`, chatBody('hello', { model }));
    assert.equal(answer.status, 402, model);
    await answer.arrayBuffer();
  }
});

test('where the rest of a chain does not answer, the budget that closed its dear end is named', async (t) => {
  const gone = await startProvider(t);
  await gone.close();
  const dear = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [
      { name: 'near', kind: 'openai', baseUrl: gone.url },
      { name: 'dear', kind: 'openai', baseUrl: dear.url, price },
    ],
    aliases: { smart: ['near/practice', 'dear/practice'] },
    limits: { usdPerDay: 0.000_001 },
  });
  const answer = await post(rig.url + chat, chatBody('hello', { model: 'smart' }));
  assert.equal(answer.status, 502);
  assert.match(await answer.text(), /dear .*practice.*: budget.*models spend/);
  assert.equal(dear.requests.length, 0);
  const hops = (await rig.line('outcome')).hops as { provider: string; why: string }[];
  assert.deepEqual(hops[0], { provider: 'dear', model: 'practice', why: 'budget', ms: 0 });
});

test('an attempt that went out and was never heard of is billed at its reservation, beside the answer', async (t) => {
  const { rig } = await startBoth(t, 'openai', { change: { price } });
  // The first two connections break before an answer; the third is served.
  const broken = createServer();
  let connections = 0;
  const far = await startProvider(t, { requireKey: realKey });
  broken.on('connection', (socket) => {
    connections += 1;
    if (connections <= 2) socket.once('data', () => socket.resetAndDestroy());
    else {
      const on = connect(Number(new URL(far.url).port), '127.0.0.1');
      on.on('error', () => socket.destroy());
      socket.on('error', () => on.destroy());
      socket.pipe(on).pipe(socket);
    }
  });
  broken.listen(0, '127.0.0.1');
  await once(broken, 'listening');
  t.after(() => broken.close());
  const { port } = broken.address() as AddressInfo;
  const flaky = await startDoor(t, {
    providers: [{ name: 'p', kind: 'openai', baseUrl: `http://127.0.0.1:${port}`, key: 'real', price }],
  });
  const body = chatBody('hello', { max_tokens: 100 });
  const plain = await post(rig.url + chat, body);
  await plain.arrayBuffer();
  const one = costOf(await rig.line('outcome')).usdNano;
  const answer = await post(flaky.url + chat, body);
  assert.equal(answer.status, 200);
  await answer.arrayBuffer();
  const outcome = await flaky.line('outcome');
  assert.equal((outcome.hops as unknown[]).length, 3);
  assert.equal(costOf(outcome).usdNano, one + 2 * reservedOf(await flaky.line('request')));
});
