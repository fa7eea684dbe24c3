/** Unmodified SDKs through a real door: same answers, same bytes as without it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { chatBody, post, realKey, startBoth, startProvider } from './rig.ts';

const openaiTool = {
  type: 'function' as const,
  function: {
    name: 'shell',
    description: 'runs a command',
    // Names that would be refused as content are a tool's own affair.
    parameters: {
      type: 'object',
      properties: { command: { type: 'string' }, image_url: { type: 'string' } },
    },
  },
};

test('the openai SDK chats, streamed and not', async (t) => {
  const { rig } = await startBoth(t);
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
  const whole = await client.chat.completions.create({
    model: 'practice',
    messages: [{ role: 'user', content: 'Grüße, 世界 🎈' }],
  });
  assert.equal(whole.choices[0]?.message.content, 'You said: Grüße, 世界 🎈');
  const stream = await client.chat.completions.create({
    model: 'practice',
    messages: [{ role: 'user', content: 'Grüße, 世界 🎈' }],
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = '';
  let usage: unknown;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, 'You said: Grüße, 世界 🎈');
  assert.ok(usage);
  const outcome = await rig.line('outcome', 2);
  assert.deepEqual(outcome.tokens, { in: 6, out: 5 });
});

test('the openai SDK calls a tool, streamed and not, and hears its result', async (t) => {
  const { rig } = await startBoth(t);
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
  const asked = {
    model: 'practice',
    messages: [{ role: 'user' as const, content: 'please run: echo hello there' }],
    tools: [openaiTool],
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
});

test('the openai SDK lists models', async (t) => {
  const { rig } = await startBoth(t);
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
  const models = await client.models.list();
  assert.equal(models.data[0]?.id, 'practice');
});

const anthropicTool = {
  name: 'shell',
  description: 'runs a command',
  input_schema: { type: 'object' as const, properties: { command: { type: 'string' } } },
};

test('the Anthropic SDK chats, streamed and not', async (t) => {
  const { rig } = await startBoth(t, 'anthropic');
  const client = new Anthropic({ baseURL: rig.url, apiKey: 'placeholder' });
  const asked = {
    model: 'practice',
    max_tokens: 100,
    messages: [{ role: 'user' as const, content: 'Good morning' }],
  };
  const whole = await client.messages.create(asked);
  assert.deepEqual(whole.content, [{ type: 'text', text: 'You said: Good morning' }]);
  const events: string[] = [];
  for await (const event of await client.messages.create({ ...asked, stream: true })) events.push(event.type);
  assert.equal(events[0], 'message_start');
  assert.equal(events.at(-1), 'message_stop');
  assert.equal(await client.messages.stream(asked).finalText(), 'You said: Good morning');
  const outcome = await rig.line('outcome', 2);
  assert.deepEqual(outcome.tokens, { in: 5, out: 4 });
});

test('the Anthropic SDK calls a tool, streamed and not, hears its result and lists models', async (t) => {
  const { rig } = await startBoth(t, 'anthropic');
  const client = new Anthropic({ baseURL: rig.url, apiKey: 'placeholder' });
  const asked = {
    model: 'practice',
    max_tokens: 100,
    system: 'You are terse.',
    messages: [{ role: 'user' as const, content: 'run: ls /workspace' }],
    tools: [anthropicTool],
  };
  for (const message of [
    await client.messages.create(asked),
    await client.messages.stream(asked).finalMessage(),
  ]) {
    assert.equal(message.stop_reason, 'tool_use');
    const call = message.content[0];
    assert.ok(call?.type === 'tool_use');
    assert.deepEqual(call.input, { command: 'ls /workspace' });
    const after = await client.messages.create({
      ...asked,
      messages: [
        ...asked.messages,
        { role: 'assistant', content: message.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'notes.txt' }] },
      ],
    });
    assert.deepEqual(after.content, [{ type: 'text', text: 'The tool answered:\n> notes.txt' }]);
  }
  const models = await client.models.list();
  assert.equal(models.data[0]?.id, 'practice');
});

test('the ollama package chats, streamed and not, calls a tool and lists models', async (t) => {
  const { rig } = await startBoth(t, 'ollama');
  const client = new Ollama({ host: rig.url });
  const asked = { model: 'practice', messages: [{ role: 'user', content: 'Good morning' }] };
  const whole = await client.chat(asked);
  assert.equal(whole.message.content, 'You said: Good morning');
  let text = '';
  for await (const part of await client.chat({ ...asked, stream: true })) text += part.message.content;
  assert.equal(text, 'You said: Good morning');
  const outcome = await rig.line('outcome', 2);
  assert.deepEqual(outcome.tokens, { in: 5, out: 4 });
  const called = await client.chat({
    model: 'practice',
    messages: [{ role: 'user', content: 'run date' }],
    tools: [openaiTool],
  });
  assert.deepEqual(called.message.tool_calls?.[0]?.function.arguments, { command: 'date' });
  const after = await client.chat({
    model: 'practice',
    messages: [
      { role: 'user', content: 'run date' },
      called.message,
      { role: 'tool', content: 'Monday', tool_name: 'shell' },
    ],
    tools: [openaiTool],
  });
  assert.equal(after.message.content, 'The tool answered:\n> Monday');
  const { models } = await client.list();
  assert.equal(models[0]?.name, 'practice:latest');
});

test('the openai SDK reaches Ollama and Anthropic by their compatible path', async (t) => {
  for (const kind of ['ollama', 'anthropic'] as const) {
    const { rig } = await startBoth(t, kind);
    const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
    const answer = await client.chat.completions.create({
      model: 'practice',
      messages: [{ role: 'user', content: 'hello' }],
    });
    assert.equal(answer.choices[0]?.message.content, 'You said: hello');
    assert.equal((await client.models.list()).data.length > 0, true);
  }
});

test('every body through the door is byte for byte the direct one', async (t) => {
  const provider = await startProvider(t, { requireKey: realKey });
  const key = { authorization: `Bearer ${realKey}`, 'anthropic-version': '2023-06-01' };
  const cases = [
    ['openai', '/v1/chat/completions', chatBody('naïve 🎈')],
    ['openai', '/v1/chat/completions', chatBody('naïve 🎈', { stream: true })],
    ['openai', '/v1/chat/completions', chatBody('hello', { model: 'practice-error', stream: true })],
    ['openai', '/v1/chat/completions', chatBody('hello', { model: 'practice-malformed', stream: true })],
    ['anthropic', '/v1/messages', chatBody('naïve 🎈', { max_tokens: 9 })],
    ['anthropic', '/v1/messages', chatBody('naïve 🎈', { max_tokens: 9, stream: true })],
    ['ollama', '/api/chat', chatBody('naïve 🎈', { stream: false })],
    ['ollama', '/api/chat', chatBody('naïve 🎈')],
  ] as const;
  for (const [kind, path, body] of cases) {
    const configured = { name: kind, kind, baseUrl: provider.url, key: 'real' };
    const { rig } = await startBoth(t, kind, { providers: [configured] });
    const direct = await post(provider.url + path, body, key);
    const through = await post(rig.url + path, body);
    assert.equal(through.status, direct.status);
    assert.equal(through.headers.get('content-type'), direct.headers.get('content-type'));
    const directBytes = Buffer.from(await direct.arrayBuffer());
    assert.ok(directBytes.length > 0);
    assert.deepEqual(
      Buffer.from(await through.arrayBuffer()),
      directBytes,
      `${kind} ${JSON.stringify(body)}`,
    );
  }
});
