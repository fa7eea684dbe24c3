/** Invariant 2, provider part: no provider fetches on an agent's behalf what its policy would refuse. One test per provider kind, with its own SDK, through a real door. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { post, startBoth } from '../proxies/llm/rig.ts';

const messages = [{ role: 'user' as const, content: 'hello' }];

/** The SDK does not know that these are refused here: what it can send is what is tried. */
type Loose = Record<string, unknown>;

test('OpenAI: neither search, nor remote tools, nor URLs, nor stored objects', async (t) => {
  const { provider, rig } = await startBoth(t, 'openai');
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
  const image = (url: string): Loose => ({
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
  });
  const tries: Loose[] = [
    { web_search_options: {} },
    { tools: [{ type: 'web_search' }] },
    { tools: [{ type: 'mcp', server_url: 'https://evil.example' }] },
    { store: true },
    { model: 'gpt-4o-search-preview' },
    { plugins: [{ id: 'web' }] },
    image('https://evil.example/?secret'),
    image('http://169.254.169.254/latest'),
    { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] },
  ];
  for (const extra of tries) {
    await assert.rejects(
      client.chat.completions.create({ model: 'practice', messages, ...extra } as never),
      OpenAI.PermissionDeniedError,
      JSON.stringify(extra),
    );
  }
  for (const call of [
    () => client.responses.create({ model: 'practice', input: 'x' }),
    () => client.files.list(),
    () => client.batches.list(),
    () =>
      client.post('/chat/completions', {
        body: { model: 'practice', messages },
        query: { proxy: 'http://x' },
      }),
  ]) {
    await assert.rejects(call(), OpenAI.APIError);
  }
  assert.equal(provider.requests.length, 0);
  await client.chat.completions.create({
    model: 'practice',
    messages,
    ...image('data:image/png;base64,AA=='),
  } as never);
  assert.equal(provider.requests.length, 1, 'the control: the same client reaches the provider');
});

test('Anthropic: neither server tools, nor MCP servers, nor containers, nor URLs, nor files', async (t) => {
  const { provider, rig } = await startBoth(t, 'anthropic');
  const client = new Anthropic({ baseURL: rig.url, apiKey: 'placeholder' });
  const source = (value: Loose): Loose => ({
    messages: [{ role: 'user', content: [{ type: 'document', source: value }] }],
  });
  const tries: Loose[] = [
    { tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
    { tools: [{ type: 'web_fetch_20250910', name: 'web_fetch' }] },
    { tools: [{ type: 'code_execution_20250825', name: 'code_execution' }] },
    { mcp_servers: [{ type: 'url', url: 'https://evil.example', name: 'x' }] },
    { container: 'container_1' },
    source({ type: 'url', url: 'https://evil.example/?secret' }),
    source({ type: 'file', file_id: 'file_1' }),
  ];
  const asked = { model: 'practice', max_tokens: 5, messages };
  for (const extra of tries) {
    await assert.rejects(
      client.messages.create({ ...asked, ...extra } as never),
      Anthropic.PermissionDeniedError,
      JSON.stringify(extra),
    );
  }
  await assert.rejects(client.messages.batches.list(), Anthropic.NotFoundError);
  await assert.rejects(client.beta.files.list(), Anthropic.NotFoundError);
  assert.equal(provider.requests.length, 0);
  await client.messages.create({
    ...asked,
    ...source({ type: 'text', media_type: 'text/plain', data: 'x' }),
  } as never);
  assert.equal(provider.requests.length, 1, 'the control: the same client reaches the provider');
});

test('Ollama: neither cloud models, nor pull, push, create, copy and delete, nor image URLs', async (t) => {
  const { provider, rig } = await startBoth(t, 'ollama');
  const client = new Ollama({ host: rig.url });
  const refused = /Holdfast \(/;
  await assert.rejects(client.chat({ model: 'gpt-oss:120b-cloud', messages }), refused);
  await assert.rejects(client.chat({ model: 'glm-4.6:cloud', messages, stream: true }), refused);
  await assert.rejects(
    client.chat({
      model: 'practice',
      messages: [{ role: 'user', content: 'x', images: ['https://evil.example'] }],
    }),
    refused,
  );
  await assert.rejects(client.pull({ model: 'evil.example/x/y' }), refused);
  await assert.rejects(client.push({ model: 'evil.example/x/y' }), refused);
  await assert.rejects(client.create({ model: 'x', from: 'y' }), refused);
  await assert.rejects(client.copy({ source: 'x', destination: 'y' }), refused);
  await assert.rejects(client.delete({ model: 'x' }), refused);
  assert.equal(provider.requests.length, 0);
  await client.chat({ model: 'practice', messages });
  assert.equal(provider.requests.length, 1, 'the control: the same client reaches the provider');
});

test('a body that cannot be scanned is refused', async (t) => {
  const { provider, rig } = await startBoth(t, 'openai');
  const bodies: [string, Record<string, string>][] = [
    ['{"model":"practice","messages":[],"store":false,"store":true}', {}],
    ['{"model":"practice","messages":[]', {}],
    ['model=practice', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['{"model":"practice","messages":[]}', { 'content-encoding': 'gzip' }],
  ];
  for (const [body, headers] of bodies) {
    const answer = await post(`${rig.url}/v1/chat/completions`, body, headers);
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), /cannot-scan/);
  }
  assert.equal(provider.requests.length, 0);
});

test('a client cannot choose the upstream by a header', async (t) => {
  const { provider, rig } = await startBoth(t, 'openai');
  await post(
    `${rig.url}/v1/chat/completions`,
    { model: 'practice', messages },
    {
      'x-portkey-custom-host': 'https://evil.example',
      'x-forwarded-host': 'evil.example',
      'helicone-target-url': 'https://evil.example',
      'openai-organization': 'org-other',
    },
  );
  assert.doesNotMatch(JSON.stringify(provider.requests[0]?.headers), /evil|org-other/);
});
