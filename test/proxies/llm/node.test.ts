/** The slots of a provider and the fair queue before them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Provider } from '../../../proxies/llm/kinds/kind.ts';
import { createNodes, type Release, type Taken } from '../../../proxies/llm/route/node.ts';
import { type HandClock, handClock, settled } from './handclock.ts';

const pi = (concurrency?: number): Provider => ({
  name: 'pi',
  kind: 'ollama',
  baseUrl: 'http://pi:11434',
  ...(concurrency === undefined ? {} : { concurrency }),
});
const never = new AbortController().signal;

function given(concurrency?: number): { clock: HandClock; nodes: ReturnType<typeof createNodes> } {
  const clock = handClock();
  const nodes = createNodes({ wait: clock.wait });
  nodes.of(pi(concurrency));
  return { clock, nodes };
}

const release = (taken: Taken): void => {
  assert.equal(typeof taken, 'function');
  (taken as Release)();
};

test('gives as many slots as are configured: one to an Ollama, sixteen to a vendor, unless it is said', async () => {
  for (const [provider, slots] of [
    [pi(), 1],
    [pi(3), 3],
    [{ name: 'vendor', kind: 'openai', baseUrl: 'https://api.example.com' } as const, 16],
  ] as const) {
    const node = createNodes().of(provider);
    assert.equal(node.standing().slots, slots);
    for (let nth = 0; nth < slots; nth += 1)
      assert.equal(typeof (await node.take('main', never)), 'function');
    assert.equal(await node.take('main', never, 0), 'busy');
    assert.deepEqual(node.standing(), { provider: provider.name, slots, busy: slots, waiting: 0, up: true });
  }
});

test('an agent with many waiting gets no more turns than one with few', async () => {
  const { nodes } = given(1);
  const node = nodes.of(pi(1));
  const first = await node.take('loud', never);
  const order: string[] = [];
  const turn = async (agent: string): Promise<void> => {
    const slot = await node.take(agent, never);
    order.push(agent);
    release(slot);
  };
  const all = [...Array(5).fill('loud'), 'quiet', 'quiet', 'third'].map(turn);
  release(first);
  await Promise.all(all);
  assert.deepEqual(order, ['loud', 'quiet', 'third', 'loud', 'quiet', 'loud', 'loud', 'loud']);
});

test('a wait ends with the signal, after its time, or with the process, and leaves no place behind', async () => {
  const { clock, nodes } = given(1);
  const node = nodes.of(pi(1));
  const held = await node.take('main', never);
  const leaving = new AbortController();
  const left = node.take('main', leaving.signal);
  const late = node.take('main', never, 1000);
  const longer = node.take('other', never);
  const last = node.take('third', never);
  assert.equal(node.standing().waiting, 4);
  leaving.abort();
  assert.equal(await left, 'gone');
  await clock.turn(1000);
  assert.equal(await late, 'busy');
  assert.equal(node.standing().waiting, 2);
  release(held);
  const slot = await longer;
  assert.equal(node.standing().busy, 1);
  nodes.close();
  assert.equal(await last, 'closed');
  release(slot);
  assert.equal(await node.take('main', never), 'closed');
  assert.equal(clock.pending(), 0);
  assert.equal(await nodes.of(pi(1)).take('main', leaving.signal), 'gone');
});

test('waits a minute unless it is told otherwise', async () => {
  const { clock, nodes } = given(1);
  const node = nodes.of(pi(1));
  await node.take('main', never);
  let ended: Taken | undefined;
  node.take('main', never).then((taken) => {
    ended = taken;
  });
  await clock.turn(59_999);
  assert.equal(ended, undefined);
  await clock.turn(1);
  await settled();
  assert.equal(ended, 'busy');
});

test('one agent cannot fill the queue of another', async () => {
  const { nodes } = given(1);
  const node = nodes.of(pi(1));
  const held = await node.take('loop', never);
  const waiting = Array.from({ length: 32 }, () => node.take('loop', never));
  assert.equal(await node.take('loop', never), 'busy');
  const other = node.take('main', never);
  assert.equal(node.standing().waiting, 33);
  release(held);
  release(await (waiting[0] as Promise<Taken>));
  release(await other);
});

test('a slot that is given back twice is one slot', async () => {
  const { nodes } = given(1);
  const node = nodes.of(pi(1));
  const slot = await node.take('main', never);
  release(slot);
  release(slot);
  assert.equal(node.standing().busy, 0);
  await node.take('main', never);
  assert.equal(await node.take('main', never, 0), 'busy');
});

test('a changed concurrency serves who waits; a provider that is gone lets its queue go', async () => {
  const { nodes } = given(1);
  const node = nodes.of(pi(1));
  await node.take('main', never);
  const second = node.take('main', never);
  const third = node.take('main', never);
  nodes.reconfigure([pi(2)]);
  assert.equal(typeof (await second), 'function');
  nodes.reconfigure([]);
  assert.equal(await third, 'closed');
  assert.deepEqual(nodes.list(), []);
});

test('whatever happens in whatever order: slots are never exceeded, none is lost, and nobody starves', async () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('take' as const), agent: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ what: fc.constant('release' as const), nth: fc.nat() }),
    fc.record({ what: fc.constant('abort' as const), nth: fc.nat() }),
    fc.record({ what: fc.constant('turn' as const), ms: fc.integer({ min: 1, max: 40_000 }) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(step, { maxLength: 80, size: 'max' }),
      async (slots, steps) => {
        const clock = handClock();
        const node = createNodes({ wait: clock.wait }).of(pi(slots));
        type Ask = {
          agent: string;
          own: AbortController;
          at: number;
          slot?: Release;
          ended: boolean;
          passed: Map<string, number>;
        };
        const asks: Ask[] = [];
        const held = () => asks.filter((ask) => ask.slot);
        const waiting = () => asks.filter((ask) => !ask.slot && !ask.ended);
        const check = async (): Promise<void> => {
          await settled();
          assert.ok(held().length <= slots, 'more slots than there are');
          assert.equal(node.standing().busy, held().length, 'a slot was lost or made up');
          assert.equal(node.standing().waiting, waiting().length);
          assert.ok(waiting().length === 0 || held().length === slots, 'somebody waits before a free slot');
        };
        for (const each of steps) {
          if (each.what === 'take') {
            const ask: Ask = {
              agent: `a${each.agent}`,
              own: new AbortController(),
              at: clock.now(),
              ended: false,
              passed: new Map(),
            };
            asks.push(ask);
            node.take(ask.agent, ask.own.signal).then((taken) => {
              if (typeof taken !== 'function') {
                ask.ended = true;
                return;
              }
              ask.slot = taken;
              // Between two turns of one waiter's agent, each other agent has at most one.
              for (const other of waiting()) {
                if (other.agent === ask.agent) other.passed.clear();
                else other.passed.set(ask.agent, (other.passed.get(ask.agent) ?? 0) + 1);
                for (const [agent, turns] of other.passed)
                  assert.ok(turns <= 1, `${agent} went ${turns} times before ${other.agent}`);
              }
            });
          } else if (each.what === 'release') {
            const ask = held()[each.nth % Math.max(1, held().length)];
            if (ask) {
              ask.slot?.();
              delete ask.slot;
              ask.ended = true;
            }
          } else if (each.what === 'abort') {
            waiting()[each.nth % Math.max(1, waiting().length)]?.own.abort();
          } else await clock.turn(each.ms);
          await check();
        }
        // Given back one after another, everybody who still waits is served.
        for (let rounds = 0; waiting().length > 0; rounds += 1) {
          assert.ok(rounds < 200);
          const ask = held()[0];
          ask?.slot?.();
          if (ask) {
            delete ask.slot;
            ask.ended = true;
          }
          await check();
        }
      },
    ),
    { numRuns: 150 },
  );
});
