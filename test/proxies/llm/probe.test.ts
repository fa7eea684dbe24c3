/** The prober: how often a node is asked, and what makes it down. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Provider } from '../../../proxies/llm/kinds/kind.ts';
import { type Aliases, chained } from '../../../proxies/llm/route/chain.ts';
import { createNodes } from '../../../proxies/llm/route/node.ts';
import { createProber, type ProbeParts } from '../../../proxies/llm/route/probe.ts';
import { type HandClock, type HandLease, handClock, handLease, settled } from './handclock.ts';

const pi: Provider = { name: 'pi', kind: 'ollama', baseUrl: 'http://pi:11434' };

function given(t: TestContext, ask: ProbeParts['ask'], armed = true) {
  const clock: HandClock = handClock();
  const nodes = createNodes({ wait: clock.wait });
  const lease: HandLease = handLease(armed);
  const asked: { at: number; signal: AbortSignal }[] = [];
  const prober = createProber({
    nodes,
    armed: lease,
    wait: clock.wait,
    ask: (provider, signal) => {
      asked.push({ at: clock.now() - 1_000_000, signal });
      return ask(provider, signal);
    },
  });
  t.after(() => prober.close());
  return {
    clock,
    nodes,
    lease,
    prober,
    asked,
    times: () => asked.map(({ at }) => at),
    up: () => nodes.of(pi).up(),
  };
}

test('a node that is up is asked every 30 s', async (t) => {
  const { prober, clock, times, up } = given(t, async () => true);
  prober.watch([pi]);
  await clock.turn(95_000);
  assert.deepEqual(times(), [0, 30_000, 60_000, 90_000]);
  assert.equal(up(), true);
});

test('a node that was never up is down at once, and asked ever less often, every minute at last', async (t) => {
  const { prober, clock, times, up } = given(t, async () => false);
  prober.watch([pi]);
  await settled();
  assert.equal(up(), false);
  await clock.turn(200_000);
  assert.deepEqual(times(), [0, 5000, 15_000, 35_000, 75_000, 135_000, 195_000]);
});

test('one lost answer does not make it down, a second does, and one answer makes it up again', async (t) => {
  const answers = [true, false, true, false, false, true];
  const { prober, clock, up } = given(t, async () => answers.shift() ?? true);
  const seen: boolean[] = [];
  prober.watch([pi]);
  await settled();
  seen.push(up());
  for (const ms of [30_000, 5000, 30_000, 5000, 10_000]) {
    await clock.turn(ms);
    seen.push(up());
  }
  assert.deepEqual(seen, [true, true, true, true, false, true]);
  assert.equal(answers.length, 0);
});

test('what throws, and what does not answer in 5 s and heeds no signal, is no', async (t) => {
  const thrown = given(t, () => Promise.reject(new Error('refused')));
  thrown.prober.watch([pi]);
  await settled();
  assert.equal(thrown.up(), false);

  const mute = given(t, () => new Promise(() => {}));
  mute.prober.watch([pi]);
  await mute.clock.turn(4999);
  assert.equal(mute.up(), true);
  await mute.clock.turn(1);
  assert.equal(mute.up(), false);
  assert.equal(mute.asked[0]?.signal.aborted, true);
  await mute.clock.turn(5000);
  assert.deepEqual(mute.times(), [0, 10_000]);
});

test('nothing leaves before the lease is there, and what was under way ends with it', async (t) => {
  const { prober, clock, lease, asked, up } = given(t, () => new Promise(() => {}), false);
  prober.watch([pi]);
  await clock.turn(10_000);
  assert.equal(asked.length, 0);
  lease.restore();
  await clock.turn(1000);
  assert.equal(asked.length, 1);
  lease.lose();
  assert.equal(asked[0]?.signal.aborted, true);
  await clock.turn(30_000);
  assert.equal(asked.length, 1);
  assert.equal(up(), true, 'a lost lease says nothing about the node');
});

test('one prober for each, until it is not watched any more', async (t) => {
  const { prober, clock, asked, nodes, up } = given(t, async () => false);
  prober.watch([pi]);
  await settled();
  prober.watch([{ ...pi, concurrency: 2 }]);
  await settled();
  assert.equal(asked.length, 1, 'the same node is not asked anew');
  prober.watch([{ ...pi, baseUrl: 'http://other:11434' }]);
  await settled();
  assert.equal(asked.length, 2, 'another address is another node');
  assert.equal(up(), false);
  prober.watch([]);
  assert.equal(nodes.of(pi).up(), true, 'nobody looks any more');
  await clock.turn(120_000);
  assert.equal(asked.length, 2);
  assert.equal(clock.pending(), 0);
});

test('only what stands in a chain with somebody else is watched', () => {
  const providers = ['pi', 'dev', 'vendor', 'alone'].map((name): Provider => ({ ...pi, name }));
  const tables: Aliases[] = [
    { fast: ['pi/a', 'dev/a'], same: ['alone/a', 'alone/b'] },
    { own: ['alone/x'], constructor: ['nobody/x', 'vendor/y'] },
  ];
  assert.deepEqual(
    chained(tables, providers).map(({ name }) => name),
    ['pi', 'dev', 'vendor'],
  );
});

test('a real server that goes away and comes back is noticed', async (t) => {
  const server = createServer((_req, res) => res.end('{"version":"0.12.0"}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const real: Provider = { ...pi, baseUrl: `http://127.0.0.1:${port}` };
  const clock = handClock();
  const nodes = createNodes();
  let heard = (): void => {};
  const prober = createProber({
    nodes,
    armed: handLease(),
    wait: clock.wait,
    ask: async ({ baseUrl }, signal) => {
      try {
        return (await fetch(`${baseUrl}/api/version`, { signal, redirect: 'error' })).ok;
      } finally {
        setImmediate(() => heard());
      }
    },
  });
  t.after(() => {
    prober.close();
    server.close();
  });
  const next = async (ms: number): Promise<boolean> => {
    const done = new Promise<void>((resolve) => {
      heard = resolve;
    });
    if (ms > 0) await clock.turn(ms);
    else prober.watch([real]);
    await done;
    await settled();
    return nodes.of(real).up();
  };
  assert.equal(await next(0), true);
  server.close();
  server.closeAllConnections();
  assert.equal(await next(30_000), true);
  assert.equal(await next(5000), false);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  assert.equal(await next(10_000), true);
});
