/** Which provider answers which path, and that nothing else is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Provider } from '../../../proxies/llm/kinds/kind.ts';
import { findTarget } from '../../../proxies/llm/kinds/paths.ts';
import { post, startBoth, startDoor, startProvider } from './rig.ts';

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
const all = [local, openai, claude];

const targetOf = (method: string, url: string, providers: Provider[] = all, preferred?: string): string => {
  const found = findTarget(method, url, providers, preferred);
  return 'allow' in found ? `${found.status} ${found.rule}` : `${found.origin}${found.path}${found.query}`;
};

test('the configured provider answers if it speaks the path, else the first that does', () => {
  assert.equal(targetOf('POST', '/v1/chat/completions'), 'http://10.0.0.2:11434/v1/chat/completions');
  assert.equal(
    targetOf('POST', '/v1/chat/completions', all, 'openai'),
    'https://api.openai.com/v1/chat/completions',
  );
  assert.equal(targetOf('POST', '/v1/messages', all, 'openai'), 'https://api.anthropic.com/v1/messages');
  assert.equal(targetOf('POST', '/api/chat', all, 'claude'), 'http://10.0.0.2:11434/api/chat');
  assert.equal(targetOf('GET', '/v1/models', all, 'claude'), 'https://api.anthropic.com/v1/models');
});

test('a prefix asks one provider by its name and no other', () => {
  assert.equal(targetOf('GET', '/openai/v1/models'), 'https://api.openai.com/v1/models');
  assert.equal(targetOf('GET', '/openai/api/tags'), '404 path-not-spoken');
  assert.equal(targetOf('GET', '/nobody/v1/models'), '404 path-not-listed');
});

test('a base URL means what its kind means by it', () => {
  const at = (kind: Provider['kind'], baseUrl: string, path: string): string =>
    targetOf('POST', path, [{ name: 'one', kind, baseUrl }]);
  const chat = '/v1/chat/completions';
  assert.equal(
    at('openai', 'https://openrouter.ai/api/v1/', chat),
    'https://openrouter.ai/api/v1/chat/completions',
  );
  assert.equal(at('openai', 'http://10.0.0.2:8000', chat), 'http://10.0.0.2:8000/v1/chat/completions');
  assert.equal(at('openai', 'https://h/v1beta/openai', chat), 'https://h/v1beta/openai/chat/completions');
  assert.equal(at('ollama', 'http://10.0.0.2:11434/v1', '/api/chat'), 'http://10.0.0.2:11434/api/chat');
  assert.equal(at('anthropic', 'https://h/proxy/v1', '/v1/messages'), 'https://h/proxy/v1/messages');
});

test('listed query parameters pass, credentials vanish, anything else is refused', () => {
  assert.equal(
    targetOf('GET', '/v1/models?limit=5&key=sk-x&after_id=a%20b', [claude]),
    'https://api.anthropic.com/v1/models?limit=5&after_id=a+b',
  );
  assert.equal(targetOf('GET', '/v1/models?key=sk-x', [openai]), 'https://api.openai.com/v1/models');
  assert.equal(targetOf('GET', '/v1/models?callback=http://x', [openai]), '403 query-not-listed');
});

const refusedPaths = [
  'GET /',
  'HEAD /v1/models',
  'GET /v1/chat/completions',
  'DELETE /v1/models/x',
  'POST /v1/files',
  'GET /v1/files/file-1/content',
  'POST /v1/batches',
  'POST /v1/responses',
  'POST /v1/responses/x/cancel',
  'GET /v1/chat/completions/x',
  'POST /v1/messages/batches',
  'POST /v1/fine_tuning/jobs',
  'POST /api/pull',
  'POST /api/push',
  'POST /api/create',
  'POST /api/copy',
  'DELETE /api/delete',
  'POST /api/web_fetch',
  'POST /api/web_search',
  'POST //v1/chat/completions',
  'POST /v1//chat/completions',
  'POST /v1/chat/completions/',
  'POST /v1/chat/../chat/completions',
  'POST /v1/chat/%63ompletions',
  'POST /V1/chat/completions',
  'POST /v1/chat/completions;x',
  'POST http://evil.example/v1/chat/completions',
  'GET /openai/v1/files',
  'GET /openai/../v1/models',
  'GET /openai//v1/models',
];

test('everything that is not on the list is refused, however it is spelled', () => {
  for (const line of refusedPaths) {
    const [method = '', url = ''] = line.split(' ');
    assert.equal(targetOf(method, url), '404 path-not-listed', line);
  }
});

test('a refused path reaches no provider and says what the door serves', async (t) => {
  const { provider, rig } = await startBoth(t, 'ollama');
  for (const path of ['/v1/files', '/api/pull', '/api/push', '/v1/responses']) {
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
  rig.llm.reconfigure({ providers: [{ name: 'p', kind: 'openai', baseUrl: provider.url }] });
  assert.equal((await ask()).status, 200);
  rig.llm.reconfigure({ providers: [] });
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
  const message = new RegExp(`pi at ${gone.url} did not answer \\(ECONNREFUSED\\)`);
  assert.match(
    ((await said('/v1/chat/completions')) as { error: { message: string } }).error.message,
    message,
  );
  const anthropic = (await said('/v1/messages')) as {
    type: string;
    error: { type: string; message: string };
  };
  assert.equal(anthropic.type, 'error');
  assert.equal(anthropic.error.type, 'api_error');
  assert.match(anthropic.error.message, /claude at/);
  const outcome = await rig.line('outcome');
  assert.equal(outcome.status, 502);
  assert.equal(outcome.error, 'ECONNREFUSED');
});
