/** Invariant 13: a secret never appears in a log, an error, a URL or a page. Here: whatever the llm door writes, says or asks for, on good days and bad ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { asProblemJson, Problem } from '../../appliance/problem.ts';
import { Secret } from '../../proxies/secret.ts';
import { misbehaviours } from '../provider/provider.ts';
import {
  chatBody,
  type Line,
  post,
  realKey,
  startBoth,
  startDoor,
  startProvider,
} from '../proxies/llm/rig.ts';

const chat = '/v1/chat/completions';
const clientKey = 'client-key-9876543210';

test('a secret prints its name, whichever way it is printed', () => {
  const secret = new Secret('openai', realKey);
  const printed = [
    String(secret),
    `${secret}`,
    JSON.stringify({ secret }),
    inspect(secret, { depth: 9, showHidden: true }),
    inspect({ deep: { secret } }, { depth: 9 }),
    Object.values(secret).join(),
    JSON.stringify(asProblemJson(new Problem('x', 500, `with ${secret}`, 'y', secret))),
    new Error('x', { cause: secret }).stack ?? '',
  ].join('\n');
  assert.match(printed, /\[secret openai\]/);
  assert.equal(printed.includes(realKey), false);
});

test('neither record, nor log, nor answer, nor URL holds a key, on any bad day of the provider', async (t) => {
  const { provider, rig } = await startBoth(t);
  const said: string[] = [];
  for (const how of ['practice', ...misbehaviours.map((each) => `practice-${each}`)]) {
    for (const stream of [true, false]) {
      const answer = await fetch(`${rig.url}${chat}?key=${clientKey}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${clientKey}` },
        body: JSON.stringify(chatBody('hello', { model: how, stream })),
        signal: AbortSignal.timeout(how.endsWith('hang') ? 100 : 5000),
      }).catch((error: unknown) => inspect(error));
      if (typeof answer === 'string') said.push(answer);
      else said.push(inspect(answer.headers), await answer.text().catch((error: unknown) => inspect(error)));
    }
  }
  const written = JSON.stringify(rig.lines) + rig.logged.join() + said.join();
  for (const key of [realKey, clientKey]) {
    assert.equal(written.includes(key), false);
    assert.equal(JSON.stringify(provider.requests.map((request) => request.url)).includes(key), false);
  }
  assert.ok(rig.lines.length >= 2 * misbehaviours.length);
  assert.ok(JSON.stringify(provider.requests).includes(realKey), 'the control: the key was in use');
});

test('nor on our own bad days: refusals, no disk, no provider, a fault', async (t) => {
  const gone = await startProvider(t);
  await gone.close();
  const configured = { name: 'p', kind: 'openai' as const, baseUrl: gone.url, key: 'real' };
  const broken = { ...configured, name: 'q' };
  const full = (line: Line): Promise<void> =>
    line.model === 'full' ? Promise.reject(new Error(`disk full near ${realKey}`)) : Promise.resolve();
  const rig = await startDoor(t, { providers: [configured, broken], record: full });
  const written: string[] = [];
  const headers = { authorization: `Bearer ${clientKey}`, 'x-api-key': clientKey };
  for (const [path, body] of [
    [chat, chatBody('hello')],
    [chat, chatBody('hello', { model: 'full' })],
    [chat, `{"${clientKey}":1}{`],
    [`/v1/files?key=${clientKey}`, {}],
    [`${chat}?api_key=${clientKey}`, { model: '' }],
  ] as const) {
    const answer = await post(rig.url + path, body, headers);
    assert.ok(answer.status >= 400);
    written.push(inspect(answer.headers), await answer.text());
  }
  written.push(JSON.stringify(rig.lines), ...rig.logged);
  for (const key of [realKey, clientKey]) assert.equal(written.join().includes(key), false);
  assert.match(rig.logged.join(), /could not be recorded/);
});
