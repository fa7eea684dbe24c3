/** Streams on bad days: aborts, cuts, errors inside a good answer, redirects, silence, a slow reader. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { chatBody, post, startBoth, startDoor, startProvider, until } from './rig.ts';

const chat = '/v1/chat/completions';
const longText = 'word '.repeat(400);

test('a client that goes away after 0, 1 or 3 chunks cancels the upstream within 100 ms', async (t) => {
  const { provider, rig } = await startBoth(t);
  for (const chunks of [0, 1, 3]) {
    const controller = new AbortController();
    const asked = provider.requests.length;
    const model = chunks === 0 ? 'practice-hang' : 'practice-slow';
    const answer = fetch(rig.url + chat, {
      method: 'POST',
      body: JSON.stringify(chatBody(longText, { model, stream: true })),
      signal: controller.signal,
    });
    if (chunks > 0) {
      const reader = (await answer).body?.getReader();
      for (let read = 0; read < chunks; read++) await reader?.read();
    }
    await until(() => (provider.requests[asked]?.body.length ?? 0) > 0);
    const aborted = performance.now();
    controller.abort();
    await answer.catch(() => {});
    await until(() => provider.requests[asked]?.goneAt !== undefined);
    const tookMs = (provider.requests[asked]?.goneAt ?? Number.POSITIVE_INFINITY) - aborted;
    assert.ok(tookMs < 100, `${tookMs} ms after ${chunks} chunks`);
  }
  const outcome = await rig.line('outcome', 3);
  assert.equal(outcome.error, 'agent-gone');
  assert.deepEqual(rig.logged, []);
});

test('an SDK stream that is left cancels the upstream', async (t) => {
  const { provider, rig } = await startBoth(t);
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'x' });
  const stream = await client.chat.completions.create({
    model: 'practice-slow',
    messages: [{ role: 'user', content: longText }],
    stream: true,
  });
  for await (const _chunk of stream) break;
  await until(() => provider.requests[0]?.goneAt !== undefined, 500);
});

test('a cut upstream is a cut downstream: no SDK takes it for a short answer', async (t) => {
  const { rig: openaiRig } = await startBoth(t);
  const { rig: anthropicRig } = await startBoth(t, 'anthropic');
  const { rig: ollamaRig } = await startBoth(t, 'ollama');
  const messages = [{ role: 'user' as const, content: longText }];
  const openai = new OpenAI({ baseURL: `${openaiRig.url}/v1`, apiKey: 'x' });
  await assert.rejects(openai.chat.completions.stream({ model: 'practice-cut', messages }).finalContent());
  const anthropic = new Anthropic({ baseURL: anthropicRig.url, apiKey: 'x' });
  await assert.rejects(
    anthropic.messages.stream({ model: 'practice-cut', messages, max_tokens: 9 }).finalText(),
  );
  const ollama = new Ollama({ host: ollamaRig.url });
  await assert.rejects(async () => {
    for await (const _part of await ollama.chat({ model: 'practice-cut', messages, stream: true }));
  });
  for (const rig of [openaiRig, anthropicRig, ollamaRig]) {
    const outcome = await rig.line('outcome');
    assert.equal(outcome.status, 200);
    assert.equal(outcome.error, 'UND_ERR_SOCKET');
  }
});

test('a whole answer that is cut is not delivered as whole', async (t) => {
  const { rig } = await startBoth(t);
  const answer = await post(rig.url + chat, chatBody(longText, { model: 'practice-cut' }));
  await assert.rejects(answer.text());
});

test('an error inside a 200 stream reaches the SDK as the error that it is', async (t) => {
  const { rig: openaiRig } = await startBoth(t);
  const { rig: anthropicRig } = await startBoth(t, 'anthropic');
  const { rig: ollamaRig } = await startBoth(t, 'ollama');
  const messages = [{ role: 'user' as const, content: 'hello' }];
  const openai = new OpenAI({ baseURL: `${openaiRig.url}/v1`, apiKey: 'x' });
  await assert.rejects(
    openai.chat.completions.stream({ model: 'practice-error', messages }).finalContent(),
    /The server had an error/,
  );
  const anthropic = new Anthropic({ baseURL: anthropicRig.url, apiKey: 'x' });
  await assert.rejects(
    anthropic.messages.stream({ model: 'practice-error', messages, max_tokens: 9 }).finalText(),
    /Overloaded/,
  );
  const ollama = new Ollama({ host: ollamaRig.url });
  await assert.rejects(async () => {
    for await (const _part of await ollama.chat({ model: 'practice-error', messages, stream: true }));
  }, /an error was encountered/);
});

test('a redirect is refused and not followed', async (t) => {
  const elsewhere = await startProvider(t);
  const { provider, rig } = await startBoth(t, 'openai', { redirectTo: `${elsewhere.url}${chat}` });
  const answer = await post(rig.url + chat, chatBody('hello', { model: 'practice-redirect' }));
  assert.equal(answer.status, 502);
  assert.equal(answer.headers.get('location'), null);
  assert.equal(answer.headers.get('x-should-retry'), 'false');
  assert.match(await answer.text(), /redirect-refused/);
  assert.equal(provider.requests.length, 1);
  assert.equal(elsewhere.requests.length, 0);
  assert.equal((await rig.line('outcome')).error, 'redirect-refused');
});

test('an answer that comes compressed all the same is decoded', async (t) => {
  const { provider, rig } = await startBoth(t);
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'x' });
  const messages = [{ role: 'user' as const, content: 'hello' }];
  const whole = await client.chat.completions.create({ model: 'practice-gzip', messages });
  assert.equal(whole.choices[0]?.message.content, 'You said: hello');
  const streamed = client.chat.completions.stream({ model: 'practice-gzip', messages });
  assert.equal(await streamed.finalContent(), 'You said: hello');
  assert.equal(provider.requests[0]?.headers['accept-encoding'], 'identity');
});

test('the first chunk arrives while the provider still writes', async (t) => {
  const { rig } = await startBoth(t);
  const answer = await post(rig.url + chat, chatBody(longText, { model: 'practice-slow', stream: true }));
  const reader = answer.body?.getReader();
  const started = performance.now();
  await reader?.read();
  assert.ok(performance.now() - started < 2000);
  assert.equal(
    rig.lines.some((line) => line.kind === 'outcome'),
    false,
  );
  await reader?.cancel();
});

test('a reader that stalls stops the provider instead of filling memory', async (t) => {
  const { provider, rig } = await startBoth(t);
  const body = JSON.stringify(chatBody('word '.repeat(200_000), { stream: true }));
  const before = process.memoryUsage().arrayBuffers;
  const socket = connect(rig.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.pause();
  socket.write(
    `POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  await until(() => provider.requests.length === 1);
  await new Promise((done) => setTimeout(done, 500));
  assert.equal(
    rig.lines.some((line) => line.kind === 'outcome'),
    false,
    'the answer of 40 MB is not through',
  );
  assert.ok(process.memoryUsage().arrayBuffers - before < 30e6);
  socket.destroy();
  assert.equal((await rig.line('outcome')).error, 'agent-gone');
});

test('a 401 of the provider is passed on as what it is', async (t) => {
  const { provider, configured } = await startBoth(t);
  const rig = await startDoor(t, { providers: [configured], secrets: { real: 'an-old-key-of-ours' } });
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'x' });
  await assert.rejects(
    client.chat.completions.create({ model: 'practice', messages: [{ role: 'user', content: 'hi' }] }),
    (error: unknown) => error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key',
  );
  assert.equal(provider.requests.length, 1);
  assert.equal((await rig.line('outcome')).status, 401);
});

test('a body over 32 MiB is refused with an answer, declared or not', async (t) => {
  const { provider, rig } = await startBoth(t);
  const big = Buffer.alloc(33 * 1024 * 1024, 0x20);
  const declared = await post(rig.url + chat, big.toString('latin1'));
  assert.equal(declared.status, 413);
  const chunked = await fetch(rig.url + chat, {
    method: 'POST',
    body: new ReadableStream({
      start(controller) {
        for (let at = 0; at < big.length; at += 1024 * 1024)
          controller.enqueue(big.subarray(at, at + 1024 * 1024));
        controller.close();
      },
    }),
    duplex: 'half',
  } as RequestInit);
  assert.equal(chunked.status, 413);
  assert.match(await chunked.text(), /body-too-large/);
  assert.equal(provider.requests.length, 0);
});

test('garbage on the door gets an answer and harms nobody', async (t) => {
  const { rig } = await startBoth(t);
  const sent = (bytes: string | Buffer): Promise<string> =>
    new Promise((done) => {
      const socket = connect(rig.port, '127.0.0.1', () => socket.write(bytes));
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('error', () => {});
      socket.on('close', () => done(text));
    });
  assert.match(await sent('\x16\x03\x01\x02\x00garbage\r\n\r\n'), /^HTTP\/1.1 400 .*not-http/s);
  assert.match(
    await sent('CONNECT evil.example:443 HTTP/1.1\r\nhost: x\r\n\r\n'),
    /^HTTP\/1.1 405 .*egress door/s,
  );
  assert.match(await sent(`GET /${'a'.repeat(40_000)} HTTP/1.1\r\n\r\n`), /^HTTP\/1.1 400/);
  assert.match(
    await sent(
      'GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n',
    ),
    /^HTTP\/1.1 200/,
  );
  assert.match(
    await sent('GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}'),
    /^HTTP\/1.1 400 .*a GET has none/s,
  );
  assert.equal((await post(rig.url + chat, chatBody('hello'))).status, 200);
});
