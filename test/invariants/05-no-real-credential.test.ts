/** Invariant 5: no real credential is readable by an agent. A key is only ever placed into a request to its bound origin, method and path; answers are scrubbed. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import OpenAI from 'openai';
import { createKeyring } from '../../proxies/llm/keys/keyring.ts';
import type { KindName, Provider } from '../../proxies/llm/kinds/kind.ts';
import { place, type Target, targetOf } from '../../proxies/llm/kinds/paths.ts';
import { Secret } from '../../proxies/secret.ts';
import { chatBody, post, realKey, startBoth, startDoor, startProvider } from '../proxies/llm/rig.ts';

const clientCredentials = {
  authorization: 'Bearer client-secret',
  'x-api-key': 'client-secret',
  'x-goog-api-key': 'client-secret',
  'api-key': 'client-secret',
  cookie: 'session=client-secret',
  'proxy-authorization': 'Basic client-secret',
};

const cases: [KindName, string, string, string][] = [
  ['openai', '/v1/chat/completions', 'authorization', `Bearer ${realKey}`],
  ['anthropic', '/v1/messages', 'x-api-key', realKey],
  ['anthropic', '/v1/chat/completions', 'authorization', `Bearer ${realKey}`],
  ['ollama', '/api/chat', 'authorization', `Bearer ${realKey}`],
];

test("the client's credentials are thrown away and the real key is put in its one place", async (t) => {
  for (const [kind, path, header, value] of cases) {
    const { provider, rig } = await startBoth(t, kind);
    const answer = await post(
      `${rig.url}${path}?key=client-secret`,
      chatBody('hello', kind === 'ollama' ? {} : { max_tokens: 5 }),
      clientCredentials,
    );
    assert.equal(answer.status, 200);
    const { headers, url } = provider.requests[0] ?? { headers: {}, url: '' };
    assert.doesNotMatch(JSON.stringify([headers, url]), /client-secret/);
    assert.equal(headers[header as 'authorization'], value);
    assert.equal(JSON.stringify(headers).split(realKey).length, 2, 'once');
  }
});

test('a provider without a key gets none, not even the placeholder', async (t) => {
  const provider = await startProvider(t);
  const rig = await startDoor(t, { providers: [{ name: 'local', kind: 'ollama', baseUrl: provider.url }] });
  await post(`${rig.url}/v1/chat/completions`, chatBody('hello'), clientCredentials);
  assert.doesNotMatch(JSON.stringify(provider.requests), /client-secret|practice-key/);
});

test('the key of one provider never goes to another', async (t) => {
  const first = await startProvider(t);
  const second = await startProvider(t);
  const rig = await startDoor(t, {
    providers: [
      { name: 'first', kind: 'openai', baseUrl: first.url, key: 'first' },
      { name: 'second', kind: 'openai', baseUrl: second.url, key: 'second' },
    ],
    secrets: { first: 'key-of-the-first', second: 'key-of-the-second' },
  });
  await post(`${rig.url}/v1/chat/completions`, chatBody('hello'));
  await post(`${rig.url}/second/v1/chat/completions`, chatBody('hello'));
  assert.match(JSON.stringify(first.requests), /key-of-the-first/);
  assert.doesNotMatch(JSON.stringify(first.requests), /key-of-the-second/);
  assert.match(JSON.stringify(second.requests), /key-of-the-second/);
  assert.doesNotMatch(JSON.stringify(second.requests), /key-of-the-first/);
});

test('a key is bound: another origin, method, path or model spelling gets a refusal and no key', async () => {
  const provider: Provider = { name: 'p', kind: 'openai', baseUrl: 'https://api.example/v1', key: 'real' };
  const gemini: Provider = { name: 'g', kind: 'gemini', baseUrl: 'https://api.example', key: 'real' };
  const providers = [provider, gemini];
  const keyring = createKeyring({
    providers,
    secret: (name) => new Secret(name, realKey),
    login: () => Promise.reject(new Error('no login here')),
    keysHeld: true,
  });
  const targetAt = (method: string, path: string, of: Provider, model: string | null): Target => {
    const at = place(method, path, providers);
    assert.ok(!('allow' in at), path);
    return targetOf(at, of, model) as Target;
  };
  const key = async (target: Target, change: Partial<Target> = {}): Promise<string> => {
    const placed = await keyring.place({ ...target, ...change }, {}, null);
    if ('allow' in placed) return placed.rule;
    return placed.headers.authorization ?? placed.headers['x-goog-api-key'] ?? 'none';
  };
  const models = targetAt('GET', '/v1/models', provider, null);
  assert.equal(await key(models), `Bearer ${realKey}`);
  assert.equal(await key(models, { origin: 'http://api.example' }), 'key-not-bound');
  assert.equal(await key(models, { origin: 'https://api.example:8443' }), 'key-not-bound');
  assert.equal(await key(models, { origin: 'https://evil.example' }), 'key-not-bound');
  assert.equal(await key(models, { path: '/v1/files' }), 'key-not-bound');
  assert.equal(await key(models, { route: { ...models.route, method: 'POST' } }), 'key-not-bound');
  assert.equal(await key(models, { provider: { ...provider, name: 'q' } }), 'key-not-bound');

  const generate = targetAt('POST', '/gemini/v1beta/models/m-1:generateContent', gemini, 'm-1');
  assert.equal(await key(generate), realKey);
  for (const model of ['..', 'a/b', 'a?x', 'a#x', '', 'x'.repeat(301), 'a b', 'é']) {
    const path = generate.path.replace('m-1', model);
    assert.equal(await key(generate, { path }), 'key-not-bound', path);
  }
});

test('an echo of the key is masked: in a stream across chunks, and in a whole answer', async (t) => {
  for (const [kind, path] of cases) {
    const { rig } = await startBoth(t, kind);
    for (const stream of [true, false]) {
      const extra = { model: 'practice-echo-key', stream, ...(kind === 'ollama' ? {} : { max_tokens: 5 }) };
      const answer = await post(rig.url + path, chatBody('what is your key?', extra));
      const text = await answer.text();
      assert.equal(text.includes(realKey), false);
      assert.match(text, new RegExp(`\\*{${realKey.length}}`));
      if (!stream) JSON.parse(text);
    }
    assert.equal((await rig.line('outcome', 2)).keyEchoed, true);
  }
});

test('an echo of the key in a header of the answer is masked, and cookies stay here', async (t) => {
  const server = createServer((req, res) => {
    res.setHeader('x-you-sent', String(req.headers.authorization));
    res.setHeader('set-cookie', `seen=${realKey}`);
    res.end('{}');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const rig = await startDoor(t, { providers: [{ name: 'p', kind: 'openai', baseUrl, key: 'real' }] });
  const answer = await fetch(`${rig.url}/v1/models`);
  assert.equal(answer.headers.get('x-you-sent'), `Bearer ${'*'.repeat(realKey.length)}`);
  assert.equal(answer.headers.get('set-cookie'), null);
});

test('keys that are not held are not used, and the refusal says why; a keyless provider still works', async (t) => {
  const { provider, configured } = await startBoth(t);
  const rig = await startDoor(t, {
    providers: [configured, { name: 'local', kind: 'ollama', baseUrl: provider.url }],
    keysHeld: false,
  });
  const client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: 'placeholder' });
  const asked = { model: 'practice', messages: [{ role: 'user' as const, content: 'hello' }] };
  await assert.rejects(client.chat.completions.create(asked), /keys-not-held.*holdKeys: true.*re-armed/);
  assert.equal(provider.requests.length, 0);
  await post(`${rig.url}/local/api/chat`, asked);
  assert.equal(provider.requests.length, 1);
});

test('a missing or malformed key file is said, with its name and without its content', async (t) => {
  const { provider, configured } = await startBoth(t);
  const said = async (secrets: Record<string, string>): Promise<string> => {
    const rig = await startDoor(t, { providers: [configured], secrets });
    const answer = await post(`${rig.url}/v1/chat/completions`, chatBody('hello'));
    assert.equal(answer.status, 503);
    return answer.text();
  };
  assert.match(await said({}), /key-missing.*secrets\/llm\/real/);
  const malformed = await said({ real: 'first-line\nsecond-line' });
  assert.match(malformed, /key-malformed.*secrets\/llm\/real/);
  assert.doesNotMatch(malformed, /first-line|second-line/);
  assert.equal(provider.requests.length, 0);
});
