/** Invariant 2, provider part: the model vendor is not a way out. One test per provider kind, with its own SDK, through a real door. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import { Ollama } from 'ollama';
import OpenAI, { toFile } from 'openai';
import { deny } from '../../proxies/llm/denial.ts';
import type { Provider } from '../provider/provider.ts';
import { post, startBoth } from '../proxies/llm/rig.ts';

const messages = [{ role: 'user' as const, content: 'hello' }];
const evil = 'https://evil.example/?secret';

/** The SDK does not know that these are refused here: what it can send is what is tried. */
type Loose = Record<string, unknown>;

/** The same client reaches the provider: so it was the door that kept it from there before. */
const reached = async (provider: Provider, call: () => Promise<unknown>): Promise<void> => {
  assert.equal(provider.requests.length, 0);
  await call();
  assert.equal(provider.requests.length, 1);
  assert.doesNotMatch(JSON.stringify(provider.requests), /evil/);
};

test('OpenAI: the model vendor is not a way out', async (t) => {
  const { provider, rig } = await startBoth(t, 'openai');
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
  const image = (url: string): Loose => ({
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
  });
  const chats: Loose[] = [
    { web_search_options: {} },
    { tools: [{ type: 'web_search' }] },
    { tools: [{ type: 'mcp', server_url: evil }] },
    { store: true },
    { model: 'gpt-4o-search-preview' },
    { plugins: [{ id: 'web' }] },
    image(evil),
    image('http://169.254.169.254/latest'),
    { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] },
    { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] },
    { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { $ref: evil } } } },
  ];
  for (const extra of chats) {
    await assert.rejects(
      client.chat.completions.create({ model: 'practice', messages, ...extra } as never),
      OpenAI.PermissionDeniedError,
      JSON.stringify(extra),
    );
  }
  const hosted = ['web_search', 'file_search', 'code_interpreter', 'computer', 'image_generation', 'shell'];
  const user = (content: Loose): Loose => ({ input: [{ role: 'user', content: [content] }] });
  const responses: Loose[] = [
    ...hosted.map((type) => ({ tools: [{ type }] })),
    { tools: [{ type: 'mcp', server_label: 'x', server_url: evil }] },
    { tool_choice: { type: 'mcp', server_label: 'x' } },
    user({ type: 'input_image', image_url: evil }),
    user({ type: 'input_file', file_url: evil }),
    user({ type: 'input_file', file_id: 'file-1' }),
    { input: [{ type: 'item_reference', id: 'msg_1' }] },
    { input: [{ id: 'msg_1' }] },
    { input: [{ type: 'additional_tools', role: 'developer', tools: [{ type: 'mcp', server_url: evil }] }] },
    { store: true },
    { background: true },
    { previous_response_id: 'resp_1' },
    { conversation: 'conv_1' },
    { prompt: { id: 'pmpt_1' } },
  ];
  for (const extra of responses) {
    await assert.rejects(
      client.responses.create({ model: 'practice', input: 'x', ...extra } as never),
      OpenAI.PermissionDeniedError,
      JSON.stringify(extra),
    );
  }
  const speech = { model: 'practice', input: 'x', voice: { id: 'voice_1' } };
  await assert.rejects(client.audio.speech.create(speech as never), OpenAI.PermissionDeniedError);
  const file = await toFile(Buffer.from('RIFF'), 'a.wav');
  await assert.rejects(
    client.audio.transcriptions.create({ model: 'practice', file, url: evil } as never),
    OpenAI.PermissionDeniedError,
  );
  for (const call of [
    () => client.responses.retrieve('resp_1'),
    () => client.responses.delete('resp_1'),
    () => client.conversations.create(),
    () => client.files.list(),
    () => client.files.create({ file, purpose: 'user_data' }),
    () => client.batches.list(),
    () => client.vectorStores.list(),
    () => client.fineTuning.jobs.list(),
    () =>
      client.post('/chat/completions', {
        body: { model: 'practice', messages },
        query: { proxy: 'http://x' },
      }),
  ]) {
    await assert.rejects(call(), OpenAI.APIError);
  }
  const inline = image('data:image/png;base64,AA==');
  await reached(provider, () =>
    client.chat.completions.create({ model: 'practice', messages, ...inline } as never),
  );
});

test('OpenAI: what the responses API would keep, it is told not to keep', async (t) => {
  const { provider, rig } = await startBoth(t, 'openai');
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
  await client.responses.create({ model: 'practice', input: 'x' });
  await client.responses.create({ model: 'practice', input: 'x', store: null });
  for (const { body } of provider.requests) assert.equal((JSON.parse(body) as Loose).store, false);
  assert.equal(provider.requests.length, 2);
});

test('Anthropic: the model vendor is not a way out', async (t) => {
  const { provider, rig } = await startBoth(t, 'anthropic');
  const client = new Anthropic({ baseURL: rig.url, apiKey: 'placeholder' });
  const source = (value: Loose): Loose => ({
    messages: [{ role: 'user', content: [{ type: 'document', source: value }] }],
  });
  const tries: Loose[] = [
    { tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
    { tools: [{ type: 'web_fetch_20250910', name: 'web_fetch' }] },
    { tools: [{ type: 'code_execution_20250825', name: 'code_execution' }] },
    { tools: [{ type: 'mcp_toolset', mcp_server_name: 'x' }] },
    { mcp_servers: [{ type: 'url', url: evil, name: 'x' }] },
    { container: 'container_1' },
    { fallbacks: [{ model: 'another' }] },
    { messages: [{ role: 'user', content: [{ type: 'container_upload', file_id: 'file_1' }] }] },
    source({ type: 'url', url: evil }),
    source({ type: 'file', file_id: 'file_1' }),
  ];
  const asked = { model: 'practice', max_tokens: 5, messages };
  for (const extra of tries) {
    const said = JSON.stringify(extra);
    const body = { ...asked, ...extra } as never;
    await assert.rejects(client.messages.create(body), Anthropic.PermissionDeniedError, said);
    await assert.rejects(client.beta.messages.create(body), Anthropic.PermissionDeniedError, said);
    await assert.rejects(client.messages.countTokens(body), Anthropic.PermissionDeniedError, said);
  }
  await assert.rejects(client.messages.batches.list(), Anthropic.NotFoundError);
  await assert.rejects(client.beta.files.list(), Anthropic.NotFoundError);
  await assert.rejects(client.beta.skills.list(), Anthropic.NotFoundError);
  const inline = source({ type: 'text', media_type: 'text/plain', data: evil.replace('evil', 'good') });
  await reached(provider, () => client.messages.create({ ...asked, ...inline } as never));
});

test('Gemini: the model vendor is not a way out', async (t) => {
  const { provider, rig } = await startBoth(t, 'gemini');
  const client = new GoogleGenAI({ apiKey: 'placeholder', httpOptions: { baseUrl: rig.url } });
  const refused = /Holdfast \(/;
  const ask = (config: Loose, contents: unknown = 'hello'): Promise<unknown> =>
    client.models.generateContent({ model: 'practice', contents, config } as never);
  const tools = [
    'googleSearch',
    'googleSearchRetrieval',
    'urlContext',
    'codeExecution',
    'googleMaps',
    'fileSearch',
    'computerUse',
  ];
  for (const name of tools) {
    await assert.rejects(ask({ tools: [{ [name]: {} }] }), refused, name);
    const stream = client.models.generateContentStream({
      model: 'practice',
      contents: 'hello',
      config: { tools: [{ [name]: {} }] },
    });
    await assert.rejects(stream, refused, name);
  }
  await assert.rejects(ask({ cachedContent: 'cachedContents/1' }), refused);
  for (const fileUri of [evil, 'gs://evil/x', 'https://generativelanguage.googleapis.com/v1beta/files/x']) {
    await assert.rejects(ask({}, [{ fileData: { fileUri, mimeType: 'image/png' } }]), refused, fileUri);
  }
  await assert.rejects(client.files.list(), refused);
  await assert.rejects(client.caches.list(), refused);
  await assert.rejects(client.batches.list(), refused);
  const path = '/v1beta/models/practice:generateContent';
  const snake = await post(`${rig.url}${path}`, { contents: [], tools: [{ google_search: {} }] });
  assert.equal(snake.status, 403);
  const other = await post(`${rig.url}/v1beta/models/practice:embedContent`, {
    model: 'models/another',
    content: {},
  });
  assert.equal(other.status, 400);
  await reached(provider, () => ask({ tools: [{ functionDeclarations: [{ name: 'f' }] }] }));
});

test('Ollama: the model vendor is not a way out', async (t) => {
  const { provider, rig } = await startBoth(t, 'ollama');
  const client = new Ollama({ host: rig.url });
  const refused = /Holdfast \(/;
  await assert.rejects(client.chat({ model: 'gpt-oss:120b-cloud', messages }), refused);
  await assert.rejects(client.chat({ model: 'glm-4.6:cloud', messages, stream: true }), refused);
  await assert.rejects(client.generate({ model: 'glm-4.6:cloud', prompt: 'x' }), refused);
  await assert.rejects(client.embed({ model: 'glm-4.6:cloud', input: 'x' }), refused);
  await assert.rejects(client.show({ model: 'glm-4.6:cloud' }), refused);
  const images = ['https://evil.example'];
  await assert.rejects(
    client.chat({ model: 'practice', messages: [{ role: 'user', content: 'x', images }] }),
    refused,
  );
  await assert.rejects(client.generate({ model: 'practice', prompt: 'x', images }), refused);
  await assert.rejects(client.pull({ model: 'evil.example/x/y' }), refused);
  await assert.rejects(client.push({ model: 'evil.example/x/y' }), refused);
  await assert.rejects(client.create({ model: 'x', from: 'y' }), refused);
  await assert.rejects(client.copy({ source: 'x', destination: 'y' }), refused);
  await assert.rejects(client.delete({ model: 'x' }), refused);
  await reached(provider, () => client.chat({ model: 'practice', messages }));
});

test("where the owner allows URLs, each host is judged by the agent's policy", async (t) => {
  const judged: string[] = [];
  const { provider, rig } = await startBoth(t, 'openai', {
    change: { urls: true },
    judgeUrl(url) {
      judged.push(url);
      return url === 'https://good.example/x.png' ? undefined : deny(403, 'not-allowed', 'no', 'Allow it.');
    },
  });
  const image = (url: string): Promise<Response> =>
    post(`${rig.url}/v1/chat/completions`, {
      model: 'practice',
      messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
    });
  assert.equal((await image(evil)).status, 403);
  assert.equal((await image('file:///etc/passwd')).status, 403);
  assert.equal(provider.requests.length, 0);
  assert.equal((await image('https://good.example/x.png')).status, 200);
  assert.deepEqual(judged, [evil, 'https://good.example/x.png']);
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
