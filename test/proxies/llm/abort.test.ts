/** An agent that goes away: its provider stops at once, and what cannot be counted any more costs what was reserved. In each format, at each moment. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatBody, startBoth, until } from './rig.ts';
import { kinds, textOf } from './streams.ts';

const longText = 'word '.repeat(400);
const withinMs = 100;

for (const { kind, name, ask } of kinds) {
  test(`${kind} ${name}: leaving after 0, 1 or 5 chunks cancels the upstream within 100 ms`, async (t) => {
    const { provider, rig } = await startBoth(t, kind);
    for (const chunks of [0, 1, 5]) {
      const controller = new AbortController();
      const asked = provider.requests.length;
      const { path, body } = ask(longText, chunks === 0 ? 'practice-hang' : 'practice-slow');
      const answer = fetch(rig.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: controller.signal,
      });
      if (chunks > 0) {
        const reader = (await answer).body?.getReader();
        for (let read = 0; read < chunks; read++) await reader?.read();
      }
      await until(() => (provider.requests[asked]?.body.length ?? 0) > 0);
      const aborted = performance.now();
      controller.abort();
      await answer.catch(() => {});
      await until(() => provider.requests[asked]?.goneAt !== undefined);
      const tookMs = (provider.requests[asked]?.goneAt ?? Number.POSITIVE_INFINITY) - aborted;
      assert.ok(tookMs < withinMs, `${tookMs} ms after ${chunks} chunks`);
    }
    assert.equal((await rig.line('outcome', 3)).error, 'agent-gone');
    assert.equal(provider.requests.length, 3, 'nothing was tried again for nobody');
    assert.deepEqual(rig.logged, []);
  });
}

test('leaving before an answer that is not streamed cancels it too', async (t) => {
  const { provider, rig } = await startBoth(t);
  const controller = new AbortController();
  const answer = fetch(`${rig.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(chatBody(longText, { model: 'practice-slow' })),
    signal: controller.signal,
  });
  const gone = assert.rejects(answer);
  await until(() => (provider.requests[0]?.body.length ?? 0) > 0);
  const aborted = performance.now();
  controller.abort();
  await gone;
  await until(() => provider.requests[0]?.goneAt !== undefined);
  assert.ok((provider.requests[0]?.goneAt ?? Number.POSITIVE_INFINITY) - aborted < withinMs);
});

test('who leaves early pays what was reserved, because nobody knows what was made', async (t) => {
  const price = { inputUsdPerMillion: 1, outputUsdPerMillion: 10 };
  const { rig } = await startBoth(t, 'openai', { change: { price } });
  const controller = new AbortController();
  const answer = await fetch(`${rig.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify(chatBody(longText, { model: 'practice-slow', stream: true, max_tokens: 1000 })),
    signal: controller.signal,
  });
  assert.ok((await textOf(answer, 3)).length > 0);
  controller.abort();
  const { reserved } = (await rig.line('request')) as { reserved: { usdNano: number } };
  const { cost } = (await rig.line('outcome')) as unknown as { cost: { usdNano: number } };
  assert.ok(reserved.usdNano > 0);
  assert.equal(cost.usdNano, reserved.usdNano);
  assert.equal(rig.spend.standing().day.usd, reserved.usdNano / 1e9);
});
