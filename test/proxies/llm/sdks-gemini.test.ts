/** The unmodified @google/genai SDK through a real door: every endpoint, streamed and not, with the same bytes as without it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, GoogleGenAI } from '@google/genai';
import { post, startBoth } from './rig.ts';
import { startThrough } from './through.ts';

const clientOf = (baseUrl: string, apiVersion?: string): GoogleGenAI =>
  new GoogleGenAI({
    apiKey: 'placeholder',
    httpOptions: { baseUrl, ...(apiVersion === undefined ? {} : { apiVersion }) },
  });

test('generateContent, streamed and not, by either version of the path and by name', async (t) => {
  const { url, rig, compare } = await startThrough(t, 'gemini');
  for (const client of [clientOf(url), clientOf(url, 'v1beta'), clientOf(`${url}/gemini`)]) {
    const asked = { model: 'practice', contents: 'Grüße, 世界 🎈' };
    assert.equal((await client.models.generateContent(asked)).text, 'You said: Grüße, 世界 🎈');
    let text = '';
    for await (const chunk of await client.models.generateContentStream(asked)) text += chunk.text ?? '';
    assert.equal(text, 'You said: Grüße, 世界 🎈');
  }
  for (const count of [1, 2]) {
    const { in: input, out } = (await rig.line('outcome', count)).tokens as Record<string, number>;
    assert.deepEqual([input, out], [6, 5]);
  }
  assert.equal(await compare(), 6);
});

test('generateContent calls a tool, streamed and not, and hears its result', async (t) => {
  const { url, compare } = await startThrough(t, 'gemini');
  const client = clientOf(url);
  const config = {
    systemInstruction: 'You are terse.',
    tools: [{ functionDeclarations: [{ name: 'shell', description: 'runs a command' }] }],
  };
  const asked = { model: 'practice', contents: 'run: ls /workspace', config };
  const calls = [(await client.models.generateContent(asked)).functionCalls?.[0]];
  for await (const chunk of await client.models.generateContentStream(asked)) {
    calls.push(chunk.functionCalls?.[0]);
  }
  for (const call of calls) assert.deepEqual(call?.args, { command: 'ls /workspace' });
  const after = await client.models.generateContent({
    ...asked,
    contents: [
      { role: 'user', parts: [{ text: asked.contents }] },
      { role: 'model', parts: [{ functionCall: { name: 'shell', args: { command: 'ls' } } }] },
      { role: 'user', parts: [{ functionResponse: { name: 'shell', response: { output: 'notes.txt' } } }] },
    ],
  });
  assert.match(after.text ?? '', /The tool answered:\n> .*notes\.txt/);
  assert.equal(await compare(), 3);
});

test('embedContent, countTokens, and models, all and one', async (t) => {
  const { url, compare } = await startThrough(t, 'gemini');
  const client = clientOf(url, 'v1beta');
  const embedded = await client.models.embedContent({ model: 'practice', contents: ['one', 'two'] });
  assert.equal(embedded.embeddings?.[1]?.values?.length, 8);
  const counted = await client.models.countTokens({ model: 'practice', contents: 'Good morning' });
  assert.ok((counted.totalTokens ?? 0) > 0);
  const [first] = (await client.models.list()).page;
  assert.equal(first?.name, 'models/practice');
  assert.equal((await client.models.get({ model: 'practice' })).name, 'models/practice');
  await assert.rejects(
    client.models.get({ model: 'no-such-model' }),
    (error: unknown) => error instanceof ApiError && error.status === 404,
  );
  assert.equal(await compare(), 5);
});

test('one embedding, and a key in the query, which goes nowhere', async (t) => {
  const { url, provider, compare } = await startThrough(t, 'gemini');
  const answer = await post(`${url}/v1beta/models/practice:embedContent?key=placeholder`, {
    model: 'models/practice',
    content: { parts: [{ text: 'hello' }] },
  });
  const { embedding } = (await answer.json()) as { embedding: { values: number[] } };
  assert.equal(embedding.values.length, 8);
  for (const { url: asked } of provider.requests) assert.doesNotMatch(asked, /placeholder/);
  assert.equal(await compare(), 1);
});

test('a stream that is one long array is refused: it has no place for an error in its midst', async (t) => {
  const { provider, rig } = await startBoth(t, 'gemini');
  const answer = await post(`${rig.url}/v1beta/models/practice:streamGenerateContent`, {
    contents: [{ role: 'user', parts: [{ text: 'hello' }] }],
  });
  assert.equal(answer.status, 400);
  assert.match(await answer.text(), /stream-not-sse.*alt=sse/);
  assert.equal(provider.requests.length, 0);
});
