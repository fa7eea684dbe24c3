/** The unmodified ollama package through a real door: every endpoint, streamed and not, with the same bytes as without it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';
import { startThrough } from './through.ts';

const tool = {
  type: 'function',
  function: {
    name: 'shell',
    description: 'runs a command',
    parameters: { type: 'object', properties: { command: { type: 'string' } } },
  },
};

test('chat, streamed and not, with a tool and its result', async (t) => {
  const { url, rig, compare } = await startThrough(t, 'ollama');
  const client = new Ollama({ host: url });
  const asked = { model: 'practice', messages: [{ role: 'user', content: 'Good morning' }] };
  assert.equal((await client.chat(asked)).message.content, 'You said: Good morning');
  let text = '';
  for await (const part of await client.chat({ ...asked, stream: true })) text += part.message.content;
  assert.equal(text, 'You said: Good morning');
  for (const count of [1, 2]) {
    const { in: input, out } = (await rig.line('outcome', count)).tokens as Record<string, number>;
    assert.deepEqual([input, out], [5, 4]);
  }
  const run = { model: 'practice', messages: [{ role: 'user', content: 'run date' }], tools: [tool] };
  const called = await client.chat(run);
  assert.deepEqual(called.message.tool_calls?.[0]?.function.arguments, { command: 'date' });
  const result = { role: 'tool', content: 'Monday', tool_name: 'shell' };
  const after = await client.chat({ ...run, messages: [...run.messages, called.message, result] });
  assert.equal(after.message.content, 'The tool answered:\n> Monday');
  assert.equal(await compare(), 4);
});

test('generate, streamed and not, and embed', async (t) => {
  const { url, compare } = await startThrough(t, 'ollama');
  const client = new Ollama({ host: `${url}/ollama` });
  const asked = { model: 'practice', prompt: 'Good morning', system: 'You are terse.' };
  assert.equal((await client.generate(asked)).response, 'You said: Good morning');
  let text = '';
  for await (const part of await client.generate({ ...asked, stream: true })) text += part.response;
  assert.equal(text, 'You said: Good morning');
  const embedded = await client.embed({ model: 'practice', input: ['one', 'two'] });
  assert.equal(embedded.embeddings[1]?.length, 8);
  assert.equal(await compare(), 3);
});

test('tags, ps and show', async (t) => {
  const { url, compare } = await startThrough(t, 'ollama');
  const client = new Ollama({ host: url });
  assert.equal((await client.list()).models[0]?.name, 'practice:latest');
  assert.equal((await client.ps()).models[0]?.name, 'practice:latest');
  assert.equal((await client.show({ model: 'practice' })).details.family, 'practice');
  assert.equal(await compare(), 3);
});

test('pull, push, create, copy and delete are not for agents', async (t) => {
  const { url, provider } = await startThrough(t, 'ollama');
  const client = new Ollama({ host: url });
  for (const call of [
    () => client.pull({ model: 'practice' }),
    () => client.push({ model: 'practice' }),
    () => client.create({ model: 'mine', from: 'practice' }),
    () => client.copy({ source: 'practice', destination: 'mine' }),
    () => client.delete({ model: 'practice' }),
  ]) {
    await assert.rejects(call(), /path-not-listed/);
  }
  assert.equal(provider.requests.length, 0);
});
