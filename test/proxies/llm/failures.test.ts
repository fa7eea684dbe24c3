/** What goes wrong elsewhere (issue threads of LiteLLM, Portkey, vercel/ai and others), done to our door in each format. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import type { KindName } from '../../../proxies/llm/kinds/kind.ts';
import { createNodes } from '../../../proxies/llm/route/node.ts';
import {
  chatBody,
  createTestClock,
  type Line,
  post,
  startBoth,
  startDoor,
  startProvider,
  until,
} from './rig.ts';
import { ask, heard, kinds } from './streams.ts';

const chat = '/v1/chat/completions';

for (const each of kinds) {
  const name = `${each.kind} ${each.name}`;

  test(`${name}: a reset mid-stream is a cut with an error in the stream's own words, never an end`, async (t) => {
    const { rig } = await startBoth(t, each.kind);
    const answer = await ask(rig.url, each.ask('one two three four five', 'practice-reset'));
    assert.equal(answer.status, 200);
    const { text, cut } = await heard(answer);
    assert.ok(cut, 'the connection did not end well');
    assert.doesNotMatch(text, each.end);
    assert.match(text, each.error);
    assert.match(text, /provider-cut/);
    const outcome = await rig.line('outcome');
    assert.equal(outcome.status, 200);
    assert.match(String(outcome.error), /ECONNRESET|UND_ERR_SOCKET/);
  });

  test(`${name}: split inside characters and events, with CRLF, or compressed: the same words, counted the same`, async (t) => {
    const { rig } = await startBoth(t, each.kind);
    const text = 'naïve 世界 🎈 done';
    for (const [at, how] of ['practice', 'practice-split', 'practice-crlf', 'practice-gzip'].entries()) {
      const said = await heard(await ask(rig.url, each.ask(text, how)));
      assert.equal(said.cut, false, how);
      assert.equal(each.words(said.text), `You said: ${text}`, how);
      assert.match(said.text, each.end, how);
      const { tokens, stop } = (await rig.line('outcome', at + 1)) as Line & { tokens: Line };
      assert.deepEqual([tokens?.in, tokens?.out], [7, 6], how);
      assert.ok(stop, `${how}: why it stopped is on record`);
    }
  });

  test(`${name}: an error inside a 200 is passed on as it is, and is on record as an error`, async (t) => {
    const { rig, provider } = await startBoth(t, each.kind);
    const said = await heard(await ask(rig.url, each.ask('one two three', 'practice-error')));
    const direct = await startProvider(t);
    const path = provider.requests[0]?.url ?? '';
    const alone = await fetch(direct.url + path, {
      method: 'POST',
      headers: { 'anthropic-version': '2023-06-01' },
      body: JSON.stringify(each.ask('one two three', 'practice-error').body),
    });
    assert.equal(said.text, await alone.text());
    assert.match(String((await rig.line('outcome')).error), /^answered-/);
  });

  test(`${name}: what was recorded of the answer is what the agent got`, async (t) => {
    const { rig } = await startBoth(t, each.kind);
    const text = 'naïve 世界 🎈';
    const said = each.words((await heard(await ask(rig.url, each.ask(text)))).text);
    const { answer } = await rig.line('outcome');
    const blob = rig.blobs.find(({ sha256 }) => sha256 === answer);
    assert.ok(blob, 'the answer lies by its address');
    assert.ok(JSON.stringify(blob.json).includes(JSON.stringify(said).slice(1, -1)));
    assert.equal(createHash('sha256').update(JSON.stringify(blob.json)).digest('hex'), answer);
  });
}

test('five minutes of silence are no fault: local prefill and reasoning take so long', async (t) => {
  const clock = createTestClock();
  const provider = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [{ name: 'p', kind: 'openai', baseUrl: provider.url }],
    now: clock.now,
  });
  const answer = await post(
    rig.url + chat,
    chatBody('one two three', { model: 'practice-silent', stream: true }),
  );
  const said = heard(answer);
  clock.advance(301_000);
  await new Promise((done) => setTimeout(done, 1500)); // the door looks once a second
  assert.equal(provider.requests[0]?.goneAt, undefined);
  provider.speak();
  const { text, cut } = await said;
  assert.equal(cut, false);
  assert.match(text, /\[DONE\]/);
});

test('five minutes before the first byte are no fault either', async (t) => {
  const clock = createTestClock();
  const provider = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [{ name: 'p', kind: 'openai', baseUrl: provider.url }],
    now: clock.now,
  });
  const answer = post(rig.url + chat, chatBody('one two three', { model: 'practice-silent' }));
  await until(() => provider.requests.length === 1);
  clock.advance(301_000);
  await new Promise((done) => setTimeout(done, 1500));
  assert.equal(provider.requests[0]?.goneAt, undefined);
  provider.speak();
  assert.equal((await answer).status, 200);
  assert.equal(provider.requests.length, 1);
});

test('a tool call that was streamed is on record whole', async (t) => {
  const shell = { name: 'shell', description: 'runs a command' };
  const messages = [{ role: 'user', content: 'run: ls /workspace' }];
  const asks: [KindName, string, Line][] = [
    ['openai', chat, { messages, tools: [{ type: 'function', function: shell }] }],
    ['openai', '/v1/responses', { input: messages, store: false, tools: [{ type: 'function', ...shell }] }],
    [
      'anthropic',
      '/v1/messages',
      { messages, max_tokens: 100, tools: [{ ...shell, input_schema: { type: 'object' } }] },
    ],
    ['ollama', '/api/chat', { messages, tools: [{ type: 'function', function: shell }] }],
  ];
  for (const [kind, path, body] of asks) {
    const { rig } = await startBoth(t, kind);
    const said = await heard(await post(rig.url + path, { model: 'practice', stream: true, ...body }));
    assert.equal(said.cut, false);
    const { answer } = await rig.line('outcome');
    const stored = JSON.stringify(rig.blobs.find(({ sha256 }) => sha256 === answer)?.json);
    assert.match(stored, /"name":"shell"/, path);
    // An object at Anthropic and Ollama, its text at OpenAI.
    assert.match(stored, /\\?"command\\?":\\?"ls \/workspace\\?"/, path);
  }
});

test('ten minutes of silence are the end, and it is said', async (t) => {
  const clock = createTestClock();
  const provider = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [{ name: 'p', kind: 'openai', baseUrl: provider.url }],
    now: clock.now,
  });
  const answer = await post(
    rig.url + chat,
    chatBody('one two three', { model: 'practice-silent', stream: true }),
  );
  const said = heard(answer);
  clock.advance(601_000);
  const { text, cut } = await said;
  assert.ok(cut);
  assert.match(text, /provider-cut/);
  assert.doesNotMatch(text, /\[DONE\]/);
  await until(() => provider.requests[0]?.goneAt !== undefined);
  assert.equal((await rig.line('outcome')).error, 'provider-silent');
});

test('an answer of 5 MB comes whole, and its record too', async (t) => {
  const { rig } = await startBoth(t);
  const openai = kinds[0];
  assert.ok(openai);
  const { text, cut } = await heard(await ask(rig.url, openai.ask('much, please', 'practice-big')));
  assert.equal(cut, false);
  const words = openai.words(text);
  assert.ok(words.length > 4_900_000);
  const { answer } = await rig.line('outcome');
  const stored = rig.blobs.filter(({ sha256 }) => sha256 === answer);
  assert.ok(stored.length > 1, 'a long answer lies in parts');
  const whole = Buffer.concat(stored.map(({ base64 }) => Buffer.from(String(base64), 'base64')));
  assert.ok(whole.toString('utf8').includes(words));
});

test('a body of 10 MB passes whole, in each format', async (t) => {
  const text = 'x'.repeat(10_000_000);
  for (const each of kinds) {
    const { provider, rig } = await startBoth(t, each.kind);
    const asked = each.ask(text, 'practice-error'); // the answer need not be as long
    assert.equal((await heard(await ask(rig.url, asked))).cut, false);
    assert.ok(provider.requests[0]?.body.includes(text), each.name);
  }
});

test('a wrong key is said to be one, and so is a model that the key may not use', async (t) => {
  const { provider, configured } = await startBoth(t);
  const rig = await startDoor(t, { providers: [configured], secrets: { real: 'an-old-key-of-ours' } });
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'x' });
  const messages = [{ role: 'user' as const, content: 'hi' }];
  await assert.rejects(
    client.chat.completions.create({ model: 'practice', messages }),
    (error: unknown) => error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key',
  );
  assert.equal(provider.requests.length, 1, 'not asked again');
  assert.equal((await rig.line('outcome')).status, 401);
  const { rig: second } = await startBoth(t);
  const allowed = new OpenAI({ baseURL: `${second.url}/v1`, apiKey: 'x' });
  await assert.rejects(
    allowed.chat.completions.create({ model: 'practice-no-access', messages }),
    /Key not allowed to access model/,
  );
  await second.line('outcome');
  for (const each of [rig, second]) {
    const notice = each.notices[0];
    assert.ok(notice?.kind === 'key-refused');
    assert.equal(notice.status, 401);
  }
});

test('a guest in a loop is stopped: of 1,000 identical calls the provider sees 20', async (t) => {
  const { provider, rig } = await startBoth(t, 'openai', { limits: { repeats: 20 } });
  const rules = new Map<number, number>();
  let reason = '';
  for (let call = 0; call < 1000; call++) {
    const answer = await post(rig.url + chat, chatBody('again'));
    rules.set(answer.status, (rules.get(answer.status) ?? 0) + 1);
    const text = await answer.text();
    if (answer.status !== 429) continue;
    reason = text;
    assert.equal(answer.headers.get('x-should-retry'), 'false');
  }
  assert.equal(provider.requests.length, 20);
  assert.deepEqual(
    [...rules],
    [
      [200, 20],
      [429, 980],
    ],
  );
  assert.match(reason, /repeats/);
  assert.ok(rig.lines.filter(({ kind }) => kind === 'refusal').length <= 600, 'nor does it flood the ledger');
  assert.equal((await post(rig.url + chat, chatBody('something else'))).status, 200);
});

test('a guest that ignores what it is told is not helped by its SDK: one refusal, one request', async (t) => {
  const { provider, rig } = await startBoth(t, 'anthropic', { limits: { requestsPerMinute: 1 } });
  const client = new Anthropic({ baseURL: rig.url, apiKey: 'x', maxRetries: 5 });
  const asked = { model: 'practice', max_tokens: 9, messages: [{ role: 'user' as const, content: 'hi' }] };
  await client.messages.create(asked);
  await assert.rejects(client.messages.create(asked), Anthropic.RateLimitError);
  assert.equal(provider.requests.length, 1);
  assert.equal(rig.lines.filter(({ kind }) => kind === 'refusal').length, 1);
});

/** A provider that writes events for as long as somebody takes them; a body that asks for `little` gets one and the end. */
async function startEndless(t: TestContext): Promise<{ baseUrl: string; sent(): number }> {
  let sent = 0;
  const endless = createServer((req, res) => {
    let asked = '';
    req.on('data', (chunk: Buffer) => {
      asked += chunk.toString();
    });
    const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(10_000) } }] })}\n\n`;
    const more = (): void => {
      while (!res.destroyed) {
        sent += event.length;
        if (!res.write(event)) return void res.once('drain', more);
      }
    };
    req.on('end', () => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      if (asked.includes('little')) res.end(`${event}data: [DONE]\n\n`);
      else more();
    });
  }).listen(0, '127.0.0.1');
  await once(endless, 'listening');
  t.after(() => {
    endless.closeAllConnections();
    endless.close();
  });
  return { baseUrl: `http://127.0.0.1:${(endless.address() as AddressInfo).port}/v1`, sent: () => sent };
}

/** Asks for much and reads nothing of it. */
function stall(t: TestContext, port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  t.after(() => socket.destroy());
  const body = JSON.stringify(chatBody('much', { stream: true }));
  socket.write(`POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
  return socket;
}

test('an endless answer to a reader that stalls stops the provider', async (t) => {
  const endless = await startEndless(t);
  const rig = await startDoor(t, {
    providers: [{ name: 'p', kind: 'openai', baseUrl: endless.baseUrl }],
    stallMs: 100,
  });
  const before = process.memoryUsage().arrayBuffers;
  const socket = stall(t, rig.port);
  await until(() => endless.sent() > 100_000);
  await new Promise((done) => setTimeout(done, 700));
  const stalled = endless.sent();
  await new Promise((done) => setTimeout(done, 300));
  assert.equal(endless.sent(), stalled, 'nobody reads, so nobody writes');
  // Two sockets, with what the kernel holds for each.
  assert.ok(endless.sent() < 40e6, `${endless.sent()} bytes`);
  assert.ok(process.memoryUsage().arrayBuffers - before < 20e6);
  socket.destroy();
  // It was not cut for reading nothing: nobody else waited.
  assert.equal((await rig.line('outcome')).error, 'agent-gone');
});

test('an agent that reads nothing keeps a shared machine only until another waits for it', async (t) => {
  const endless = await startEndless(t);
  const nodes = createNodes();
  const providers = [{ name: 'p', kind: 'openai' as const, baseUrl: endless.baseUrl, concurrency: 1 }];
  const evil = await startDoor(t, { agent: 'evil', providers, nodes, stallMs: 300 });
  const good = await startDoor(t, { agent: 'good', providers, nodes });
  stall(t, evil.port);
  await until(() => endless.sent() > 100_000);
  const answer = await post(good.url + chat, chatBody('little', { stream: true }));
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /DONE/);
  assert.equal((await evil.line('outcome')).error, 'agent-stalled');
});
