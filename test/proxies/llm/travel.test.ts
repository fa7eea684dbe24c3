/** The way of an exchange along its candidates. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { deny } from '../../../proxies/llm/denial.ts';
import type { Provider, Route } from '../../../proxies/llm/kinds/kind.ts';
import { createBreakers } from '../../../proxies/llm/route/breaker.ts';
import { createNodes } from '../../../proxies/llm/route/node.ts';
import type { Candidate } from '../../../proxies/llm/route/plan.ts';
import { retryAfterMs } from '../../../proxies/llm/route/retryafter.ts';
import { type Attempt, type Hop, travel } from '../../../proxies/llm/route/travel.ts';
import { type HandClock, handClock, settled } from './handclock.ts';

const route: Route = {
  method: 'POST',
  path: '/v1/chat/completions',
  format: 'openai-chat',
  speaks: 'openai',
  query: [],
  keyIn: 'authorization',
};

function candidate(name: string, model = 'm', more: Partial<Provider> = {}): Candidate {
  const provider: Provider = { name, kind: 'openai', baseUrl: `http://${name}`, concurrency: 1, ...more };
  return {
    provider,
    model,
    target: { provider, route, origin: provider.baseUrl, path: route.path, query: '' },
    contextTokens: provider.contextTokens,
  };
}

type Answer = string;
type Step = Attempt<Answer> | ((signal: AbortSignal) => Promise<Attempt<Answer>>);

const answer = (text: string): Attempt<Answer> => ({ kind: 'answer', answer: text });
const failed = (
  why: string,
  again: 'same' | 'next' | 'no',
  more: { retryAfterMs?: number; answer?: Answer; refused?: ReturnType<typeof deny> } = {},
): Attempt<Answer> => ({ kind: 'failed', why, again, ...more });

/** A world in which each candidate says what is written down for it. */
function world(script: Record<string, Step[]>, clock: HandClock = handClock()) {
  const gone = new AbortController();
  const slept: number[] = [];
  const asked: string[] = [];
  const discarded: string[] = [];
  const nodes = createNodes({ wait: clock.wait });
  const breakers = createBreakers(clock.now, () => 1);
  const go = (candidates: Candidate[], contextTokens = 100, agent = 'main') =>
    travel<Answer>(
      candidates,
      {
        agent,
        nodes,
        breakers,
        signal: gone.signal,
        now: clock.now,
        random: () => 0.5,
        sleep: async (ms) => {
          slept.push(ms);
          await clock.turn(ms);
        },
        need: { contextTokens },
      },
      async ({ provider }) => {
        asked.push(provider.name);
        const step = script[provider.name]?.shift();
        if (!step) throw new Error(`${provider.name} was not expected to be asked`);
        return typeof step === 'function' ? step(gone.signal) : step;
      },
      (text) => void discarded.push(text),
    );
  return { go, clock, nodes, breakers, gone, slept, asked, discarded };
}

const whys = (hops: Hop[]): string[] => hops.map(({ provider, why }) => `${provider} ${why}`);

function arrived<T extends object>(way: T | { denial: unknown }): Exclude<T, { denial: unknown }> {
  assert.ok(!('denial' in way), JSON.stringify(way));
  return way as Exclude<T, { denial: unknown }>;
}

function denied<T extends object>(way: T): Extract<T, { denial: unknown }> {
  assert.ok('denial' in way, JSON.stringify(way));
  return way as Extract<T, { denial: unknown }>;
}

test('the first that answers is the last that is asked, and its slot comes back when the answer is over', async () => {
  const { go, asked, nodes } = world({ pi: [answer('from pi')] });
  const [pi, vendor] = [candidate('pi'), candidate('vendor')];
  const way = arrived(await go([pi, vendor]));
  assert.equal(way.answer, 'from pi');
  assert.equal(way.candidate, pi);
  assert.deepEqual(whys(way.hops), ['pi answered']);
  assert.deepEqual(asked, ['pi']);
  assert.equal(nodes.of(pi.provider).standing().busy, 1);
  way.done(true);
  way.done(true);
  assert.equal(nodes.of(pi.provider).standing().busy, 0);
});

test('retries twice with full jitter, then goes to the next, each step on the record', async () => {
  const { go, slept, nodes } = world({
    pi: [
      failed('ECONNRESET', 'same'),
      failed('ECONNRESET', 'same'),
      failed('status-503', 'same', { answer: 'busy' }),
    ],
    vendor: [answer('ok')],
  });
  const [pi, vendor] = [candidate('pi'), candidate('vendor')];
  const way = arrived(await go([pi, vendor]));
  assert.deepEqual(whys(way.hops), ['pi ECONNRESET', 'pi ECONNRESET', 'pi status-503', 'vendor answered']);
  assert.deepEqual(slept, [125, 250], 'half of 250 and of 500 ms, the random number being one half');
  assert.equal(nodes.of(pi.provider).standing().busy, 0);
});

test('a refused connection is not asked again while there is somebody else, and an answer that nobody gets is let go', async () => {
  const { go, asked, discarded } = world({
    pi: [failed('ECONNREFUSED', 'next')],
    dev: [failed('first-event-overloaded', 'next', { answer: 'held open' })],
    vendor: [answer('ok')],
  });
  arrived(await go([candidate('pi'), candidate('dev'), candidate('vendor')]));
  assert.deepEqual(asked, ['pi', 'dev', 'vendor']);
  assert.deepEqual(discarded, ['held open']);
});

test('Retry-After is waited for when it is short and nobody else is left', async () => {
  const { go, slept } = world({
    vendor: [failed('status-429', 'same', { retryAfterMs: 3000, answer: 'no' }), answer('yes')],
  });
  assert.equal(arrived(await go([candidate('vendor')])).answer, 'yes');
  assert.deepEqual(slept, [3000]);
});

test('Retry-After sends it to the next at once when there is one', async () => {
  const { go, slept } = world({
    vendor: [failed('status-429', 'same', { retryAfterMs: 3000, answer: 'no' })],
    other: [answer('yes')],
  });
  arrived(await go([candidate('vendor'), candidate('other')]));
  assert.deepEqual(slept, []);
});

test('a Retry-After of more than 10 s, and the third 429, are handed on as they are', async () => {
  const long = world({ vendor: [failed('status-429', 'same', { retryAfterMs: 10_001, answer: 'later' })] });
  const way = arrived(await long.go([candidate('vendor')]));
  assert.equal(way.answer, 'later');
  assert.deepEqual(long.slept, []);
  assert.deepEqual(long.discarded, []);
  assert.deepEqual(whys(way.hops), ['vendor status-429']);

  const third = world({
    vendor: [1, 2, 3].map((nth) => failed('status-500', 'same', { answer: `no ${nth}` })),
  });
  const last = arrived(await third.go([candidate('vendor')]));
  assert.equal(last.answer, 'no 3');
  assert.deepEqual(third.discarded, ['no 1', 'no 2']);
  last.done(true);
  assert.equal(third.nodes.of(last.candidate.provider).standing().busy, 0);
});

test('an upstream that said no is the last word even when others could not be asked at all', async () => {
  const { go } = world({ vendor: [failed('status-429', 'next', { answer: 'no' })] });
  const way = arrived(await go([candidate('vendor'), candidate('small', 'm', { contextTokens: 10 })]));
  assert.equal(way.answer, 'no');
  assert.equal(way.candidate.provider.name, 'vendor');
  assert.deepEqual(whys(way.hops), ['vendor status-429', 'small context']);
});

test('when nobody answers, the denial names each and why', async () => {
  const { go, discarded } = world({
    vendor: [failed('status-500', 'next', { answer: 'no' })],
    pi: [failed('ECONNREFUSED', 'next')],
  });
  const { denial, hops } = denied(await go([candidate('vendor'), candidate('pi', 'llama\u0007')]));
  assert.equal(denial.status, 502);
  assert.equal(denial.rule, 'provider-unreachable');
  assert.equal(
    denial.reason,
    'no provider answered (vendor "m": status-500; pi "llama\\u0007": ECONNREFUSED)',
  );
  assert.match(denial.hint, /vendor at http:\/\/vendor, pi at http:\/\/pi/);
  assert.equal(denial.retryAfterS, undefined);
  assert.equal(hops.length, 2);
  assert.deepEqual(discarded, ['no']);
});

test('what the only provider was refused for is said as it is', async () => {
  const refused = deny(502, 'redirect', 'it wants to send us elsewhere', 'Set its baseUrl.');
  const { go } = world({
    pi: [failed('redirect', 'next', { refused })],
    dev: [failed('redirect', 'next', { refused })],
  });
  assert.equal(denied(await go([candidate('pi')])).denial, refused);
  const { go: again } = world({
    pi: [failed('redirect', 'next', { refused })],
    dev: [failed('gone', 'next')],
  });
  assert.equal(denied(await again([candidate('pi'), candidate('dev')])).denial.rule, 'provider-unreachable');
});

test('a request that is itself at fault is asked nowhere else', async () => {
  const { go, asked } = world({ pi: [failed('status-400', 'no', { answer: 'bad request' })] });
  const way = arrived(await go([candidate('pi'), candidate('vendor')]));
  assert.equal(way.answer, 'bad request');
  assert.deepEqual(asked, ['pi']);
});

test('a key that is refused is refused for every model of that provider, and says nothing about the next', async () => {
  for (const again of ['same', 'next', 'no'] as const) {
    const { go, asked, slept } = world({
      vendor: [failed('status-401', again, { answer: 'wrong key' })],
      other: [answer('ok')],
    });
    const way = arrived(await go([candidate('vendor', 'a'), candidate('vendor', 'b'), candidate('other')]));
    assert.equal(way.answer, 'ok');
    assert.deepEqual(asked, ['vendor', 'other']);
    assert.deepEqual(slept, []);
  }
  const { go } = world({ vendor: [failed('status-403', 'no', { answer: 'wrong key' })] });
  assert.equal(arrived(await go([candidate('vendor', 'a'), candidate('vendor', 'b')])).answer, 'wrong key');
});

test('a provider whose context is too short is passed over, and said when all are', async () => {
  const small = candidate('small', 'm', { contextTokens: 1000 });
  const { go } = world({ large: [answer('ok')] });
  const way = arrived(await go([small, candidate('large', 'm', { contextTokens: 2000 })], 1500));
  assert.deepEqual(whys(way.hops), ['small context', 'large answered']);
  const { denial } = denied(await world({}).go([small], 1001));
  assert.equal(denial.status, 413);
  assert.equal(denial.rule, 'context-too-long');
  assert.match(denial.reason, /about 1001 tokens.* 1000 /);
});

test('a node that is down is passed over while somebody else is left, and asked when nobody is', async () => {
  const pi = candidate('pi');
  const { go, nodes } = world({ vendor: [answer('a')], pi: [answer('b')] });
  nodes.of(pi.provider).tell(false);
  assert.deepEqual(whys(arrived(await go([pi, candidate('vendor')])).hops), ['pi down', 'vendor answered']);
  assert.deepEqual(whys(arrived(await go([pi])).hops), ['pi answered']);
});

test('a taken slot is waited for a minute, then the next is asked, or the agent hears that all are busy', async () => {
  const { go, clock, nodes } = world({ vendor: [answer('ok')] });
  const pi = candidate('pi');
  await nodes.of(pi.provider).take('other', new AbortController().signal);
  const going = go([pi, candidate('vendor')]);
  await clock.turn(60_000);
  const way = arrived(await going);
  assert.deepEqual(way.hops, [
    { provider: 'pi', model: 'm', why: 'busy', ms: 60_000 },
    { provider: 'vendor', model: 'm', why: 'answered', ms: 0 },
  ]);
  const alone = go([pi]);
  await clock.turn(60_000);
  const { denial } = denied(await alone);
  assert.equal(denial.rule, 'busy');
  assert.equal(denial.status, 503);
  assert.equal(denial.retryAfterS, 10);
});

test('all waits of one exchange together are two minutes at most', async () => {
  const { go, clock, nodes } = world({});
  const many = Array.from({ length: 10 }, (_, nth) => candidate(`n${nth}`));
  for (const { provider } of many) await nodes.of(provider).take('other', new AbortController().signal);
  const going = go(many);
  await clock.turn(120_000);
  const { hops } = denied(await going);
  assert.equal(hops.length, 10);
  assert.equal(
    hops.reduce((sum, { ms }) => sum + ms, 0),
    120_000,
  );
});

test('what failed five times is left alone, tried once when it has rested, and answers again', async () => {
  const fail = failed('ECONNREFUSED', 'next');
  const { go, clock, asked, breakers } = world({
    pi: [fail, fail, fail, fail, fail, answer('back'), answer('well')],
  });
  const pi = candidate('pi');
  for (let nth = 0; nth < 5; nth += 1) denied(await go([pi]));
  const { denial, hops } = denied(await go([pi]));
  assert.deepEqual(whys(hops), ['pi breaker-open']);
  assert.equal(denial.rule, 'breaker-open');
  assert.equal(denial.retryAfterS, 5);
  assert.equal(asked.length, 5);
  await clock.turn(5000);
  assert.equal(breakers.of('pi').state(), 'half-open');
  arrived(await go([pi])).done(true);
  assert.equal(breakers.of('pi').state(), 'closed');
});

test('a 429 or another 4xx opens no breaker, an answer that is cut does', async () => {
  const { go, breakers } = world({
    pi: [...Array(8).fill(failed('status-429', 'next')), ...Array(5).fill(answer('half'))],
  });
  const pi = candidate('pi');
  for (let nth = 0; nth < 8; nth += 1) denied(await go([pi]));
  assert.equal(breakers.of('pi').state(), 'closed');
  for (let nth = 0; nth < 5; nth += 1) arrived(await go([pi])).done(false);
  assert.equal(breakers.of('pi').state(), 'open');
});

test('ends at once when the agent leaves: in the queue, while asked, between tries', async () => {
  const pi = candidate('pi');
  const queued = world({});
  await queued.nodes.of(pi.provider).take('other', new AbortController().signal);
  const inQueue = queued.go([pi, candidate('vendor')]);
  await settled();
  queued.gone.abort();
  const left = denied(await inQueue);
  assert.deepEqual(whys(left.hops), ['pi agent-gone']);
  assert.equal(left.denial.rule, 'agent-gone');

  // An attempt that does not hear of it is left behind; what it brings later is thrown away, and its slot comes back then.
  let bring = (_late: Attempt<Answer>): void => {};
  const late = new Promise<Attempt<Answer>>((resolve) => {
    bring = resolve;
  });
  const under = world({ pi: [() => late] });
  const asking = under.go([pi]);
  await settled();
  under.gone.abort();
  denied(await asking);
  assert.equal(under.nodes.of(pi.provider).standing().busy, 1);
  bring(answer('too late'));
  await settled();
  assert.deepEqual(under.discarded, ['too late']);
  assert.equal(under.nodes.of(pi.provider).standing().busy, 0);
  assert.deepEqual(under.breakers.states(), { pi: 'closed' });

  const between = world({
    pi: [
      async () => {
        setImmediate(() => between.gone.abort());
        return failed('ECONNRESET', 'same', { answer: 'open' });
      },
    ],
  });
  denied(await between.go([pi, candidate('vendor')]));
  assert.deepEqual(between.asked, ['pi']);
  assert.deepEqual(between.discarded, ['open']);
  assert.equal(between.nodes.of(pi.provider).standing().busy, 0);

  const before = world({});
  before.gone.abort();
  denied(await before.go([pi]));
});

test('a fault of ours gives the slot back and is thrown', async () => {
  const pi = candidate('pi');
  const { go, nodes } = world({ pi: [() => Promise.reject(new TypeError('a mistake'))] });
  await assert.rejects(go([pi]), /a mistake/);
  assert.equal(nodes.of(pi.provider).standing().busy, 0);
});

test('nobody to ask is a denial too', async () => {
  assert.equal(denied(await world({}).go([])).denial.rule, 'provider-unreachable');
});

test('over real sockets: a closed port, a server that is busy for a second, and one that answers', async (t) => {
  let busy = 1;
  const server = createServer((_req, res) => {
    busy -= 1;
    if (busy < 0) res.end('answered');
    else res.writeHead(503, { 'retry-after': '1' }).end('later');
  });
  const closed = createServer();
  for (const each of [server, closed]) each.listen(0, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(closed, 'listening')]);
  const at = (name: string, { port }: AddressInfo): Candidate =>
    candidate(name, 'm', { baseUrl: `http://127.0.0.1:${port}` });
  const way = [at('off', closed.address() as AddressInfo), at('on', server.address() as AddressInfo)];
  closed.close();
  t.after(() => server.close());
  const gone = new AbortController();
  const began = performance.now();
  const came = arrived(
    await travel<Response>(
      way,
      {
        agent: 'main',
        nodes: createNodes(),
        breakers: createBreakers(() => performance.now()),
        signal: gone.signal,
        now: () => performance.now(),
        need: { contextTokens: 1 },
      },
      async ({ provider }) => {
        try {
          const got = await fetch(provider.baseUrl, { signal: gone.signal });
          if (got.ok) return { kind: 'answer', answer: got };
          const pauseMs = retryAfterMs(Object.fromEntries(got.headers), Date.now());
          return {
            kind: 'failed',
            why: `status-${got.status}`,
            again: 'same',
            answer: got,
            ...(pauseMs === undefined ? {} : { retryAfterMs: pauseMs }),
          };
        } catch (error) {
          return { kind: 'failed', why: (error as { cause: { code: string } }).cause.code, again: 'next' };
        }
      },
      (answer) => void answer.body?.cancel(),
    ),
  );
  assert.deepEqual(whys(came.hops), ['off ECONNREFUSED', 'on status-503', 'on answered']);
  assert.ok(performance.now() - began >= 990, 'a second, as it was asked');
  assert.equal(await came.answer.text(), 'answered');
  came.done(true);
});
