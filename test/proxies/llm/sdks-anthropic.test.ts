/** The unmodified Anthropic SDK through a real door: every endpoint, streamed and not, with the same bytes as without it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { startThrough } from './through.ts';

const tool = {
  name: 'shell',
  description: 'runs a command',
  input_schema: { type: 'object' as const, properties: { command: { type: 'string' } } },
};

test('messages, streamed and not', async (t) => {
  const { url, rig, compare } = await startThrough(t, 'anthropic');
  const client = new Anthropic({ baseURL: url, apiKey: 'placeholder' });
  const asked = {
    model: 'practice',
    max_tokens: 100,
    messages: [{ role: 'user' as const, content: 'Good morning, 世界 🎈' }],
  };
  const whole = await client.messages.create(asked);
  assert.deepEqual(whole.content, [{ type: 'text', text: 'You said: Good morning, 世界 🎈' }]);
  const events: string[] = [];
  for await (const event of await client.messages.create({ ...asked, stream: true })) events.push(event.type);
  assert.equal(events[0], 'message_start');
  assert.equal(events.at(-1), 'message_stop');
  assert.equal(await client.messages.stream(asked).finalText(), 'You said: Good morning, 世界 🎈');
  for (const count of [1, 2, 3]) {
    const { in: input, out } = (await rig.line('outcome', count)).tokens as Record<string, number>;
    assert.deepEqual([input, out], [7, 6]);
  }
  assert.equal(await compare(), 3);
});

test('messages call a tool, streamed and not, and hear its result', async (t) => {
  const { url, compare } = await startThrough(t, 'anthropic');
  const client = new Anthropic({ baseURL: `${url}/anthropic`, apiKey: 'placeholder' });
  const asked = {
    model: 'practice',
    max_tokens: 100,
    system: 'You are terse.',
    messages: [{ role: 'user' as const, content: 'run: ls /workspace' }],
    tools: [tool],
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
  assert.equal(await compare(), 4);
});

test('count_tokens, and models, all and one', async (t) => {
  const { url, rig, compare } = await startThrough(t, 'anthropic');
  const client = new Anthropic({ baseURL: url, apiKey: 'placeholder' });
  const counted = await client.messages.countTokens({
    model: 'practice',
    system: 'You are terse.',
    messages: [{ role: 'user', content: 'Good morning' }],
  });
  assert.ok(counted.input_tokens > 0);
  assert.equal((await client.models.list()).data[0]?.id, 'practice');
  assert.equal((await client.models.retrieve('practice')).id, 'practice');
  await assert.rejects(client.models.retrieve('no-such-model'), Anthropic.NotFoundError);
  assert.equal(await compare(), 4);
  await rig.line('outcome', 4);
  assert.equal(
    rig.lines.some((line) => 'reserved' in line),
    false,
    'none of it costs anything',
  );
});
