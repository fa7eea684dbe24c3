/** What a body may ask of a vendor: one table of what passes and one of what does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scan } from '../../../proxies/llm/asked/scan.ts';
import type { KindName } from '../../../proxies/llm/kinds/kind.ts';
import { kinds } from '../../../proxies/llm/kinds/paths.ts';

type Body = Record<string, unknown>;

const ruleOf = (speaks: KindName, body: Body, provider: KindName = speaks): string =>
  scan({ model: 'm', messages: [], ...body }, kinds[speaks].body, kinds[provider])?.rule ?? 'passes';

const says = (content: unknown, more: Body = {}): Body => ({
  messages: [{ role: 'user', content, ...more }],
});
const tool = (type: unknown): Body => ({ tools: [{ type, function: { name: 'x' } }] });
const png = 'data:image/png;base64,iVBORw0KGgo=';

const passing: [KindName, Body][] = [
  ['openai', says('look at https://example.com and file_id 7')],
  ['openai', says([{ type: 'text', text: 'https://example.com' }])],
  ['openai', says([{ type: 'image_url', image_url: { url: png, detail: 'low' } }])],
  [
    'openai',
    says([{ type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,AA==' } }]),
  ],
  ['openai', says([{ type: 'input_audio', input_audio: { data: 'AA==', format: 'wav' } }])],
  ['openai', tool('function')],
  ['openai', tool('custom')],
  ['openai', { tools: [], web_search_options: null, store: false }],
  ['openai', { tools: null }],
  [
    'openai',
    { tools: [{ type: 'function', function: { parameters: { properties: { url: { type: 'x' } } } } }] },
  ],
  // What the SDK returns is what agents send back.
  [
    'openai',
    { messages: [{ role: 'assistant', content: null, refusal: null, audio: null, annotations: [] }] },
  ],
  [
    'openai',
    { messages: [{ role: 'assistant', tool_calls: [{ function: { arguments: '{"url":"http://x"}' } }] }] },
  ],
  ['anthropic', says([{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA==' } }])],
  ['anthropic', says([{ type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'x' } }])],
  ['anthropic', says([{ type: 'search_result', source: 'https://a.example', title: 't', content: [] }])],
  [
    'anthropic',
    { messages: [{ role: 'assistant', content: [{ type: 'tool_use', input: { url: 'http://x' } }] }] },
  ],
  ['anthropic', says([{ type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'x' }] }])],
  ['anthropic', { system: [{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }] }],
  ['anthropic', { tools: [{ name: 'shell', input_schema: { properties: { file_id: {} } } }] }],
  ['anthropic', { tools: [{ type: 'custom', name: 'shell' }], thinking: { type: 'adaptive' } }],
  ['ollama', says('hi', { images: ['iVBORw0KGgo='] })],
  ['ollama', { ...tool('function'), options: { num_ctx: 8192 }, think: true, keep_alive: '5m' }],
  [
    'ollama',
    { messages: [{ role: 'assistant', tool_calls: [{ function: { arguments: { url: 'http://x' } } }] }] },
  ],
];

test('an ordinary conversation passes', () => {
  for (const [speaks, body] of passing) assert.equal(ruleOf(speaks, body), 'passes', JSON.stringify(body));
});

const refused: [string, KindName, Body][] = [
  ['provider-executed', 'openai', { web_search_options: {} }],
  ['provider-executed', 'openai', { store: true }],
  ['provider-executed', 'openai', tool('web_search')],
  ['provider-executed', 'openai', tool('mcp')],
  ['provider-executed', 'openai', tool('code_interpreter')],
  ['provider-executed', 'openai', tool(undefined)],
  ['provider-executed', 'openai', tool(['function'])],
  ['provider-executed', 'openai', { tools: [{ type: 'function', Type: 'web_search' }] }],
  ['cannot-scan', 'openai', { tools: { 0: { type: 'web_search' } } }],
  ['cannot-scan', 'openai', { tools: ['web_search'] }],
  ['field-not-listed', 'openai', { plugins: [{ id: 'web' }] }],
  ['field-not-listed', 'openai', { search_parameters: { mode: 'on' } }],
  ['field-not-listed', 'openai', { enable_search: true }],
  ['field-not-listed', 'openai', { previous_response_id: 'resp_1' }],
  ['field-not-listed', 'openai', { MODEL: 'x' }],
  ['field-not-listed', 'openai', { tool\u017f: [{ type: 'web_search' }] }],
  ['model-reaches-out', 'openai', { model: 'gpt-4o-search-preview' }],
  ['model-reaches-out', 'openai', { model: 'gpt-5-search-api-2025-10-14' }],
  ['model-reaches-out', 'openai', { model: 'openai/gpt-4o:online' }],
  ['no-model', 'openai', { model: '' }],
  ['no-model', 'openai', { model: ['m'] }],
  ['url-content', 'openai', says([{ type: 'image_url', image_url: { url: 'https://a.example/x.png' } }])],
  ['url-content', 'openai', says([{ type: 'image_url', image_url: 'http://a.example/x.png' }])],
  ['url-content', 'openai', says([{ type: 'text', text: 'x', IMAGE_URL: { URL: 'http://a.example' } }])],
  ['url-content', 'openai', says([{ type: 'image_url', image_url: { url: ' data:,x' } }])],
  ['url-content', 'openai', says([{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }])],
  ['part-not-listed', 'openai', says([{ type: 'video_url', video_url: { url: 'https://a.example' } }])],
  ['part-not-listed', 'openai', says([{ image_url: { url: png } }])],
  ['stored-object', 'openai', says([{ type: 'file', file: { file_id: 'file-1' } }])],
  ['stored-object', 'openai', { messages: [{ role: 'assistant', audio: { id: 'audio_1' } }] }],
  ['provider-executed', 'anthropic', { tools: [{ type: 'web_search_20250305', name: 'web_search' }] }],
  ['provider-executed', 'anthropic', { tools: [{ type: 'code_execution_20250825', name: 'x' }] }],
  ['provider-executed', 'anthropic', { tools: [{ type: 'web_fetch_20250910', name: 'x' }] }],
  ['provider-executed', 'anthropic', { mcp_servers: [{ type: 'url', url: 'https://a.example' }] }],
  ['provider-executed', 'anthropic', { container: 'c_1' }],
  ['url-content', 'anthropic', says([{ type: 'image', source: { type: 'url', url: 'https://a.example' } }])],
  ['url-content', 'anthropic', says([{ type: 'document', source: { type: 'file', file_id: 'f' } }])],
  [
    'url-content',
    'anthropic',
    says([
      {
        type: 'tool_result',
        content: [
          {
            type: 'document',
            source: { type: 'content', content: [{ type: 'image', source: { type: 'url' } }] },
          },
        ],
      },
    ]),
  ],
  ['part-not-listed', 'anthropic', says([{ type: 'container_upload', file_id: 'f' }])],
  ['part-not-listed', 'anthropic', { system: [{ type: 'image', input: 1 }, { type: 'server_tool_use' }] }],
  ['url-content', 'anthropic', says([{ type: 'text', text: 'x', input: { url: 'https://a.example' } }])],
  ['model-reaches-out', 'ollama', { model: 'gpt-oss:120b-cloud' }],
  ['model-reaches-out', 'ollama', { model: 'glm-4.6:CLOUD' }],
  ['url-content', 'ollama', says('x', { images: ['https://a.example/x.png'] })],
];

test('what makes a provider fetch, run or keep something is refused, with a rule and a hint', () => {
  for (const [rule, speaks, body] of refused) {
    assert.equal(ruleOf(speaks, body), rule, JSON.stringify(body));
    const denial = scan({ model: 'm', messages: [], ...body }, kinds[speaks].body, kinds[speaks]);
    assert.ok(denial && denial.hint.length > 10 && denial.reason.length > 10);
  }
});

test("an Ollama cloud model is refused on Ollama's OpenAI path too", () => {
  assert.equal(ruleOf('openai', { model: 'kimi-k2:1t-cloud' }, 'ollama'), 'model-reaches-out');
});
