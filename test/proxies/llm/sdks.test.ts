/** The unmodified openai SDK through a real door: every endpoint, streamed and not, with the same bytes as without it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI, { toFile } from 'openai';
import { chatBody, post, realKey, startBoth, startDoor, startProvider } from './rig.ts';
import { startThrough } from './through.ts';

const clientOf = (url: string): OpenAI => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'placeholder' });

const tool = {
  name: 'shell',
  description: 'runs a command',
  // Names that would be refused as content are a tool's own affair.
  parameters: {
    type: 'object',
    properties: { command: { type: 'string' }, image_url: { type: 'string' } },
  },
};
const chatTool = { type: 'function' as const, function: tool };

const tokensIn = (line: Record<string, unknown>) =>
  line.tokens as { in: number; out: number; cached?: number };

test('chat completions, streamed with and without usage, and not streamed', async (t) => {
  const { url, rig, compare } = await startThrough(t, 'openai');
  const client = clientOf(url);
  const asked = {
    model: 'practice',
    messages: [{ role: 'user' as const, content: 'Grüße, 世界 🎈' }],
  };
  const whole = await client.chat.completions.create(asked);
  assert.equal(whole.choices[0]?.message.content, 'You said: Grüße, 世界 🎈');
  for (const options of [{ stream_options: { include_usage: true } }, {}]) {
    const stream = await client.chat.completions.create({ ...asked, stream: true, ...options });
    let text = '';
    let usage: unknown;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, 'You said: Grüße, 世界 🎈');
    assert.equal(usage !== undefined, 'stream_options' in options, 'usage comes to who asked for it');
  }
  for (const count of [1, 2, 3]) {
    const { in: input, out } = tokensIn(await rig.line('outcome', count));
    assert.deepEqual([input, out], [6, 5], 'we know the usage even where the agent did not ask');
  }
  assert.equal(await compare(), 3);
});

test('chat completions call a tool, streamed and not, and hear its result', async (t) => {
  const { url, compare } = await startThrough(t, 'openai');
  const client = clientOf(url);
  const asked = {
    model: 'practice',
    messages: [{ role: 'user' as const, content: 'please run: echo hello there' }],
    tools: [chatTool],
  };
  const final = await client.chat.completions.stream(asked).finalChatCompletion();
  const call = final.choices[0]?.message.tool_calls?.[0];
  assert.ok(call?.type === 'function');
  assert.equal(call.function.name, 'shell');
  assert.deepEqual(JSON.parse(call.function.arguments), { command: 'echo hello there' });
  const whole = await client.chat.completions.create(asked);
  const message = whole.choices[0]?.message;
  assert.ok(message?.tool_calls);
  const after = await client.chat.completions.create({
    ...asked,
    messages: [
      ...asked.messages,
      message,
      { role: 'tool', tool_call_id: message.tool_calls[0]?.id ?? '', content: 'hello there\n' },
    ],
  });
  assert.equal(after.choices[0]?.message.content, 'The tool answered:\n> hello there');
  assert.equal(await compare(), 3);
});

test('responses, streamed and not, with a tool and its result', async (t) => {
  const { url, rig, provider, compare } = await startThrough(t, 'openai');
  const client = clientOf(url);
  const whole = await client.responses.create({ model: 'practice', input: 'hello', store: false });
  assert.equal(whole.output_text, 'You said: hello');
  const events: string[] = [];
  for await (const event of await client.responses.create({
    model: 'practice',
    instructions: 'Be brief.',
    input: 'hello',
    store: false,
    stream: true,
  })) {
    events.push(event.type);
  }
  assert.equal(events[0], 'response.created');
  assert.equal(events.at(-1), 'response.completed');
  const asked = {
    model: 'practice',
    input: [{ role: 'user' as const, content: 'run: ls /workspace' }],
    tools: [{ type: 'function' as const, ...tool, strict: false }],
    store: false,
  };
  const final = await client.responses.stream(asked).finalResponse();
  const call = final.output[0];
  assert.ok(call?.type === 'function_call');
  assert.deepEqual(JSON.parse(call.arguments), { command: 'ls /workspace' });
  const after = await client.responses.create({
    ...asked,
    input: [
      ...asked.input,
      { type: 'function_call', call_id: call.call_id, name: call.name, arguments: call.arguments },
      { type: 'function_call_output', call_id: call.call_id, output: 'notes.txt' },
    ],
  });
  assert.equal(after.output_text, 'The tool answered:\n> notes.txt');
  for (const { body } of provider.requests) assert.equal(JSON.parse(body).store, false);
  const { in: input, out } = tokensIn(await rig.line('outcome', 1));
  assert.deepEqual([input, out], [4, 3]);
  assert.equal(await compare(), 4);
});

test('a response that says nothing of storing is not stored', async (t) => {
  const { provider, rig } = await startBoth(t);
  await clientOf(rig.url).responses.create({ model: 'practice', input: 'hello' });
  assert.equal(JSON.parse(provider.requests[0]?.body ?? '').store, false, "the vendor's default is to store");
});

test('embeddings, as numbers and as base64', async (t) => {
  const { url, compare } = await startThrough(t, 'openai');
  const client = clientOf(url);
  const asked = { model: 'practice', input: ['one', 'two'] };
  const packed = await client.embeddings.create(asked); // the SDK asks for base64 and unpacks it
  const numbers = await client.embeddings.create({ ...asked, encoding_format: 'float' });
  assert.equal(numbers.data[1]?.embedding.length, 8);
  assert.deepEqual(
    packed.data.map(({ embedding }) => [...embedding]),
    numbers.data.map(({ embedding }) => embedding),
  );
  assert.equal(await compare(), 2);
});

test('audio: a transcription, streamed and not, and speech', async (t) => {
  const { url, provider, compare } = await startThrough(t, 'openai');
  const client = clientOf(url);
  // What no text survives: every byte, line ends, and a boundary that is none.
  const sound = Buffer.concat([
    Buffer.from(Array.from({ length: 256 }, (_, at) => at)),
    Buffer.from('\r\n--x\r\n'),
  ]);
  const asked = { model: 'practice', file: await toFile(sound, 'note.wav', { type: 'audio/wav' }) };
  const heard = await client.audio.transcriptions.create(asked);
  assert.match(heard.text, /^263 bytes of sound from note\.wav/);
  const events: string[] = [];
  for await (const event of await client.audio.transcriptions.create({ ...asked, stream: true })) {
    events.push(event.type);
  }
  assert.equal(events.at(-1), 'transcript.text.done');
  assert.ok(provider.requests[0]?.raw.includes(sound), 'the sound came through unharmed');
  const spoken = await client.audio.speech.create({ model: 'practice', voice: 'alloy', input: 'hello' });
  assert.equal(spoken.headers.get('content-type'), 'audio/mpeg');
  assert.equal((await spoken.arrayBuffer()).byteLength, 8192);
  assert.equal(await compare(), 3);
});

test('models, all and one', async (t) => {
  const { url, compare } = await startThrough(t, 'openai');
  const client = clientOf(url);
  assert.equal((await client.models.list()).data[0]?.id, 'practice');
  assert.equal((await client.models.retrieve('practice')).id, 'practice');
  await assert.rejects(client.models.retrieve('no-such-model'), OpenAI.NotFoundError);
  assert.equal(await compare(), 3);
});

test('the openai SDK reaches Ollama and Anthropic by their compatible path', async (t) => {
  for (const kind of ['ollama', 'anthropic'] as const) {
    const { url, compare } = await startThrough(t, kind);
    const client = clientOf(url);
    const answer = await client.chat.completions.create({
      model: 'practice',
      messages: [{ role: 'user', content: 'hello' }],
    });
    assert.equal(answer.choices[0]?.message.content, 'You said: hello');
    assert.equal((await client.models.list()).data.length > 0, true);
    if (kind === 'ollama') assert.equal(await compare(), 2);
  }
});

test('a name in front of the path chooses the provider', async (t) => {
  const one = await startProvider(t);
  const two = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [
      { name: 'openai', kind: 'openai', baseUrl: one.url },
      { name: 'lab', kind: 'openai', baseUrl: `${two.url}/v1` },
    ],
  });
  for (const prefix of ['/openai', '/lab', '']) {
    const answer = await clientOf(rig.url + prefix).chat.completions.create({
      model: 'practice',
      messages: [{ role: 'user', content: 'hello' }],
    });
    assert.equal(answer.choices[0]?.message.content, 'You said: hello');
  }
  assert.deepEqual([one.requests.length, two.requests.length], [2, 1]);
  for (const { url } of [...one.requests, ...two.requests]) assert.equal(url, '/v1/chat/completions');
});

test('answers that are no answers come through byte for byte too', async (t) => {
  const provider = await startProvider(t, { requireKey: realKey });
  const configured = { name: 'openai', kind: 'openai' as const, baseUrl: provider.url, key: 'real' };
  const rig = await startDoor(t, { providers: [configured] });
  for (const model of [
    'practice-error',
    'practice-malformed',
    'practice-usage-missing',
    'practice-no-access',
  ]) {
    for (const stream of [false, true]) {
      const body = chatBody('naïve 🎈', { model, stream });
      const direct = await post(`${provider.url}/v1/chat/completions`, body, {
        authorization: `Bearer ${realKey}`,
      });
      const through = await post(`${rig.url}/v1/chat/completions`, body);
      assert.equal(through.status, direct.status);
      assert.equal(through.headers.get('content-type'), direct.headers.get('content-type'));
      assert.equal(await through.text(), await direct.text(), `${model} ${stream}`);
    }
  }
});
