/** Which path is which request, where a provider answers it, and that nothing else is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Provider } from '../../../proxies/llm/kinds/kind.ts';
import { formatOf, place, targetOf } from '../../../proxies/llm/kinds/paths.ts';
import { post, startBoth, startDoor, startProvider, unlimited } from './rig.ts';

const local: Provider = { name: 'local', kind: 'ollama', baseUrl: 'http://10.0.0.2:11434' };
const openai: Provider = {
  name: 'openai',
  kind: 'openai',
  baseUrl: 'https://api.openai.com/v1',
  key: 'openai',
};
const claude: Provider = {
  name: 'claude',
  kind: 'anthropic',
  baseUrl: 'https://api.anthropic.com',
  key: 'c',
};
const google: Provider = {
  name: 'google',
  kind: 'gemini',
  baseUrl: 'https://generativelanguage.googleapis.com',
  key: 'g',
};
const all = [local, openai, claude, google];

/** At the first provider that speaks it, as with no model to route by. */
function addressOf(line: string, providers: Provider[] = all, model: string | null = null): string {
  const [method = '', url = ''] = line.split(' ');
  const asked = place(method, url, providers);
  if ('allow' in asked) return `${asked.status} ${asked.rule}`;
  const may = providers.filter(({ name }) => asked.prefix === null || asked.prefix === name);
  const [target] = may.flatMap((provider) => targetOf(asked, provider, model) ?? []);
  return target
    ? `${target.provider.name} ${target.origin}${target.path}${target.query} ${target.route.keyIn}`
    : 'nobody';
}

test('each provider answers its own API at its own address, with its key where it belongs', () => {
  const at = (line: string, provider: Provider): string =>
    addressOf(line, [provider]).split(' ').slice(1).join(' ');
  const vendor = 'https://api.openai.com/v1';
  for (const path of [
    'chat/completions',
    'responses',
    'embeddings',
    'audio/transcriptions',
    'audio/speech',
  ]) {
    assert.equal(at(`POST /v1/${path}`, openai), `${vendor}/${path} authorization`);
  }
  assert.equal(at('GET /v1/models', openai), `${vendor}/models authorization`);
  assert.equal(at('GET /v1/models/gpt-5', openai), `${vendor}/models/gpt-5 authorization`);
  for (const path of ['messages', 'messages/count_tokens']) {
    assert.equal(at(`POST /v1/${path}`, claude), `https://api.anthropic.com/v1/${path} x-api-key`);
  }
  assert.equal(
    at('POST /v1/chat/completions', claude),
    'https://api.anthropic.com/v1/chat/completions authorization',
  );
  const host = 'https://generativelanguage.googleapis.com';
  for (const call of ['generateContent', 'countTokens', 'embedContent', 'batchEmbedContents']) {
    for (const version of ['v1beta', 'v1']) {
      const path = `/${version}/models/gemini-3-pro:${call}`;
      assert.equal(at(`POST ${path}`, google), `${host}${path} x-goog-api-key`);
    }
  }
  assert.equal(
    at('GET /v1beta/models?pageSize=5&key=AIza', google),
    `${host}/v1beta/models?pageSize=5 x-goog-api-key`,
  );
  for (const asked of ['/v1', '/v1beta/openai']) {
    assert.equal(
      at(`POST ${asked}/chat/completions`, google),
      `${host}/v1beta/openai/chat/completions authorization`,
    );
    assert.equal(at(`POST ${asked}/embeddings`, google), `${host}/v1beta/openai/embeddings authorization`);
    assert.equal(at(`GET ${asked}/models`, google), `${host}/v1beta/openai/models authorization`);
    assert.equal(at(`GET ${asked}/models/x`, google), `${host}/v1beta/openai/models/x authorization`);
  }
  for (const path of ['chat', 'generate', 'embed', 'embeddings', 'show']) {
    assert.equal(at(`POST /api/${path}`, local), `http://10.0.0.2:11434/api/${path} authorization`);
  }
  for (const path of ['/api/tags', '/api/ps', '/api/version', '/v1/models', '/v1/models/a']) {
    assert.equal(at(`GET ${path}`, local), `http://10.0.0.2:11434${path} authorization`);
  }
  for (const path of ['chat/completions', 'embeddings', 'responses', 'messages']) {
    assert.equal(at(`POST /v1/${path}`, local), `http://10.0.0.2:11434/v1/${path} authorization`);
  }
});

test('a prefix asks a provider by its name, or the first of that kind, and no other', () => {
  assert.equal(addressOf('GET /openai/v1/models'), 'openai https://api.openai.com/v1/models authorization');
  assert.equal(
    addressOf('POST /anthropic/v1/messages'),
    'claude https://api.anthropic.com/v1/messages x-api-key',
  );
  assert.equal(
    addressOf('POST /claude/v1/messages'),
    'claude https://api.anthropic.com/v1/messages x-api-key',
  );
  assert.equal(addressOf('GET /ollama/api/tags'), 'local http://10.0.0.2:11434/api/tags authorization');
  assert.match(addressOf('POST /gemini/v1beta/models/m:generateContent'), /^google /);
  assert.equal(addressOf('GET /openai/api/tags'), '404 path-not-spoken');
  assert.equal(addressOf('POST /openai/v1/messages'), '404 path-not-spoken');
  assert.equal(addressOf('POST /gemini/v1/chat/completions', [openai]), '404 path-not-spoken');
  assert.equal(addressOf('GET /nobody/v1/models'), '404 path-not-listed');
  // A name goes before a kind.
  const odd: Provider = { name: 'anthropic', kind: 'openai', baseUrl: 'http://10.0.0.3' };
  assert.match(
    addressOf('GET /anthropic/v1/models', [claude, odd]),
    /^anthropic http:\/\/10\.0\.0\.3\/v1\/models/,
  );
});

test('what is asked is told apart before anybody is chosen', () => {
  const asked = (line: string): unknown => {
    const [method = '', url = ''] = line.split(' ');
    const found = place(method, url, all);
    assert.ok(!('allow' in found), line);
    return [found.route.format, found.route.speaks, found.model, found.stream, found.prefix];
  };
  assert.deepEqual(asked('POST /v1/chat/completions'), ['openai-chat', 'openai', null, null, null]);
  assert.deepEqual(asked('POST /v1/messages'), ['anthropic-messages', 'anthropic', null, null, null]);
  assert.deepEqual(asked('POST /v1beta/models/m:generateContent'), [
    'gemini-generate',
    'gemini',
    'm',
    false,
    null,
  ]);
  assert.deepEqual(asked('POST /gemini/v1beta/models/m:streamGenerateContent?alt=sse&key=x'), [
    'gemini-generate',
    'gemini',
    'm',
    true,
    'google',
  ]);
  assert.deepEqual(asked('POST /v1beta/models/qwen3:8b:countTokens'), [
    'gemini-count',
    'gemini',
    'qwen3:8b',
    null,
    null,
  ]);
  assert.deepEqual(asked('GET /v1/models/openai%2Fgpt-5'), ['listing', 'openai', 'openai/gpt-5', null, null]);
  assert.deepEqual(asked('POST /v1beta/models/a/b:embedContent'), [
    'gemini-embed',
    'gemini',
    'a/b',
    null,
    null,
  ]);
});

test('the real model goes into a path that names one, and cannot leave it', () => {
  const at = (model: string): string =>
    addressOf('POST /v1beta/models/alias:generateContent', [google], model);
  const host = 'google https://generativelanguage.googleapis.com/v1beta/models/';
  assert.equal(at('gemini-3-pro'), `${host}gemini-3-pro:generateContent x-goog-api-key`);
  assert.equal(
    at('a/b?c#d:e%2e $&'),
    `${host}a%2Fb%3Fc%23d%3Ae%252e%20%24%26:generateContent x-goog-api-key`,
  );
  for (const model of [
    '..',
    '../x',
    'a/../b',
    './a',
    'a//b',
    '%2e%2e',
    '%2E%2E%2Ffiles',
    'a%00',
    'a%0d',
    'a%3Fb',
    '%',
    '%zz',
    '',
    '/',
    'a/',
  ]) {
    assert.equal(addressOf(`GET /v1/models/${model}`, [openai]), '404 path-not-listed', model);
    assert.equal(
      addressOf(`POST /v1beta/models/${model}:generateContent`, [google]),
      '404 path-not-listed',
      model,
    );
  }
});

test('a base URL means what its kind means by it', () => {
  const at = (kind: Provider['kind'], baseUrl: string, path: string): string | undefined =>
    addressOf(`POST ${path}`, [{ name: 'one', kind, baseUrl }]).split(' ')[1];
  const chat = '/v1/chat/completions';
  assert.equal(
    at('openai', 'https://openrouter.ai/api/v1/', chat),
    'https://openrouter.ai/api/v1/chat/completions',
  );
  assert.equal(at('openai', 'http://10.0.0.2:8000', chat), 'http://10.0.0.2:8000/v1/chat/completions');
  assert.equal(at('openai', 'https://h/v1beta/openai', chat), 'https://h/v1beta/openai/chat/completions');
  assert.equal(at('ollama', 'http://10.0.0.2:11434/v1', '/api/chat'), 'http://10.0.0.2:11434/api/chat');
  assert.equal(at('ollama', 'http://10.0.0.2:11434/api', chat), 'http://10.0.0.2:11434/v1/chat/completions');
  assert.equal(at('anthropic', 'https://h/proxy/v1', '/v1/messages'), 'https://h/proxy/v1/messages');
  const generate = '/v1beta/models/m:generateContent';
  assert.equal(at('gemini', 'https://h/v1beta/', generate), `https://h${generate}`);
  assert.equal(at('gemini', 'https://h/proxy', generate), `https://h/proxy${generate}`);
  assert.equal(at('gemini', 'https://h/v1beta/openai', chat), 'https://h/v1beta/openai/chat/completions');
});

test('listed query parameters pass, credentials vanish, anything else is refused', () => {
  const models = 'GET /v1/models';
  assert.equal(
    addressOf(`${models}?limit=5&key=sk-x&after_id=a%20b`, [claude]),
    'claude https://api.anthropic.com/v1/models?limit=5&after_id=a+b x-api-key',
  );
  assert.equal(
    addressOf(`${models}?key=sk-x&API_KEY=y`, [openai]),
    'openai https://api.openai.com/v1/models authorization',
  );
  assert.equal(addressOf(`${models}?callback=http://x`, [openai]), '403 query-not-listed');
  assert.equal(addressOf(`${models}?limit=1&limit=2`, [claude]), '403 query-not-listed');
  assert.match(addressOf('POST /v1/messages?beta=true', [claude]), /messages\?beta=true/);
  // Who answers must take all of it.
  assert.match(addressOf(`${models}?limit=5`, [openai, claude]), /^claude /);
  const stream = 'POST /v1beta/models/m:streamGenerateContent';
  assert.match(
    addressOf(`${stream}?alt=sse&key=AIza`, [google]),
    /:streamGenerateContent\?alt=sse x-goog-api-key$/,
  );
  for (const query of ['', '?alt=json', '?alt=media', '?key=AIza']) {
    assert.equal(addressOf(`${stream}${query}`, [google]), '400 stream-not-sse', query);
  }
  assert.equal(addressOf(`${stream}?alt=sse&alt=proto`, [google]), '403 query-not-listed');
  assert.equal(
    addressOf('POST /v1beta/models/m:generateContent?$alt=media', [google]),
    '403 query-not-listed',
  );
});

test('a no before anything is known is said in the words of whoever seems to ask', () => {
  assert.equal(formatOf('/api/pull', {}), 'ollama');
  assert.equal(formatOf('/ollama/api/pull', {}), 'ollama');
  assert.equal(formatOf('/v1/messages/batches', {}), 'anthropic');
  assert.equal(formatOf('/v1/files', { 'anthropic-version': '2023-06-01' }), 'anthropic');
  assert.equal(formatOf('/gemini/v1beta/files', {}), 'gemini');
  assert.equal(formatOf('/v1/x', { 'x-goog-api-key': 'x' }), 'gemini');
  assert.equal(formatOf('/v1beta/openai/files', {}), 'openai');
  assert.equal(formatOf('/anything', {}), 'openai');
});

const refusedPaths = [
  'GET /',
  'HEAD /v1/models',
  'GET /v1/chat/completions',
  'POST /v1/models',
  'DELETE /v1/models/x',
  'POST /v1/files',
  'GET /v1/files/file-1/content',
  'POST /v1/batches',
  'POST /v1/assistants',
  'GET /v1/responses/resp_1',
  'DELETE /v1/responses/resp_1',
  'GET /v1/responses/resp_1/input_items',
  'POST /v1/responses/x/cancel',
  'POST /v1/responses/compact',
  'POST /v1/conversations',
  'GET /v1/chat/completions/x',
  'POST /v1/audio/translations',
  'POST /v1/images/generations',
  'POST /v1/vector_stores',
  'GET /v1/realtime',
  'POST /v1/messages/batches',
  'POST /v1/fine_tuning/jobs',
  'POST /v1/skills',
  'POST /v1beta/models/m:batchGenerateContent',
  'POST /v1beta/models/m:predict',
  'POST /v1beta/models/m:predictLongRunning',
  'POST /v1beta/tunedModels/m:generateContent',
  'GET /v1beta/files',
  'POST /upload/v1beta/files',
  'POST /v1beta/cachedContents',
  'POST /v1alpha/models/m:generateContent',
  'GET /v1beta/openai/files',
  'POST /api/pull',
  'POST /api/push',
  'POST /api/create',
  'POST /api/copy',
  'DELETE /api/delete',
  'POST /api/blobs/sha256:x',
  'HEAD /api/blobs/sha256:x',
  'POST /api/web_fetch',
  'POST /api/web_search',
  'POST /api/me',
  'POST //v1/chat/completions',
  'POST /v1//chat/completions',
  'POST /v1/chat/completions/',
  'POST /v1/chat/../chat/completions',
  'POST /v1/chat/%63ompletions',
  'POST /V1/chat/completions',
  'POST /v1/chat/completions;x',
  'POST /v1/chat/completions#x',
  'POST http://evil.example/v1/chat/completions',
  'GET /openai/v1/files',
  'GET /openai/../v1/models',
  'GET /openai//v1/models',
  'GET /openai/openai/v1/models',
  'GET /constructor/v1/models',
  'GET /__proto__/v1/models',
];

test('everything that is not on the list is refused, however it is spelled', () => {
  for (const line of refusedPaths) assert.equal(addressOf(line), '404 path-not-listed', line);
});

test('a refused path reaches no provider and says what the door serves', async (t) => {
  const { provider, rig } = await startBoth(t, 'ollama');
  for (const path of ['/v1/files', '/api/pull', '/api/push', '/v1/responses/x/cancel']) {
    const answer = await post(rig.url + path, { model: 'practice', name: 'practice' });
    assert.equal(answer.status, 404);
    assert.equal(answer.headers.get('x-should-retry'), 'false');
    assert.match(await answer.text(), /path-not-listed.*POST \/api\/chat/);
  }
  assert.equal(provider.requests.length, 0);
  assert.equal((await rig.line('refusal', 4)).rule, 'path-not-listed');
});

test('without any provider the answer says how to connect one', async (t) => {
  const rig = await startDoor(t, { providers: [] });
  const answer = await post(`${rig.url}/v1/chat/completions`, { model: 'x', messages: [] });
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('x-should-retry'), 'false');
  const { error } = (await answer.json()) as { error: { message: string; code: string } };
  assert.equal(error.code, 'no-provider');
  assert.match(error.message, /kind: ollama, baseUrl: 'http:\/\/ADDRESS:11434'/);
  assert.match(error.message, /secrets\/llm\/NAME/);
});

test('a provider added while running answers the next request, and one taken away does not', async (t) => {
  const provider = await startProvider(t);
  const rig = await startDoor(t, { providers: [] });
  const ask = (): Promise<Response> =>
    post(`${rig.url}/v1/chat/completions`, {
      model: 'practice',
      messages: [{ role: 'user', content: 'hi' }],
    });
  assert.equal((await ask()).status, 503);
  const rest = { aliases: {}, models: { aliases: {} }, limits: unlimited, keysHeld: true };
  rig.llm.reconfigure({
    ...rest,
    providers: [{ name: 'p', kind: 'openai', baseUrl: provider.url, price: { free: true } }],
  });
  assert.equal((await ask()).status, 200);
  rig.llm.reconfigure({ ...rest, providers: [] });
  assert.equal((await ask()).status, 503);
});

test('an unreachable provider is named with its address, in the format of the client', async (t) => {
  const gone = await startProvider(t);
  await gone.close();
  const rig = await startDoor(t, {
    providers: [
      { name: 'pi', kind: 'ollama', baseUrl: gone.url },
      { name: 'claude', kind: 'anthropic', baseUrl: gone.url },
    ],
  });
  const said = async (path: string): Promise<unknown> => {
    const answer = await post(rig.url + path, { model: 'practice', messages: [], max_tokens: 5 });
    assert.equal(answer.status, 502);
    return answer.json();
  };
  const message = new RegExp(`pi "practice": ECONNREFUSED.*pi at ${gone.url}`);
  assert.match(
    ((await said('/v1/chat/completions')) as { error: { message: string } }).error.message,
    message,
  );
  const anthropic = (await said('/claude/v1/messages')) as {
    type: string;
    error: { type: string; message: string };
  };
  assert.equal(anthropic.type, 'error');
  assert.equal(anthropic.error.type, 'api_error');
  assert.match(anthropic.error.message, /claude at/);
  const outcome = await rig.line('outcome');
  assert.equal(outcome.status, 502);
  assert.match(JSON.stringify(outcome.hops), /ECONNREFUSED/);
});
