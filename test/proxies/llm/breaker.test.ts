/** The circuit breaker of one agent towards one provider. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Breaker,
  type BreakerEvent,
  type BreakerState,
  createBreakers,
  nextState,
} from '../../../proxies/llm/route/breaker.ts';

function one(random = 1): { breaker: Breaker; later(ms: number): void } {
  let at = 0;
  const breaker = createBreakers(
    () => at,
    () => random,
  ).of('pi');
  return {
    breaker,
    later: (ms) => {
      at += ms;
    },
  };
}

const fail = (breaker: Breaker, times = 1): void => {
  for (let nth = 0; nth < times; nth += 1) breaker.enter()?.('failed');
};

test('every edge of the table, the doubtful ones towards leaving the provider alone', () => {
  const expected: [BreakerState, BreakerEvent, BreakerState][] = [
    ['closed', 'tripped', 'open'],
    ['closed', 'waited', 'closed'],
    ['closed', 'answered', 'closed'],
    ['closed', 'failed', 'closed'],
    ['open', 'tripped', 'open'],
    ['open', 'waited', 'half-open'],
    ['open', 'answered', 'open'],
    ['open', 'failed', 'open'],
    ['half-open', 'tripped', 'open'],
    ['half-open', 'waited', 'half-open'],
    ['half-open', 'answered', 'closed'],
    ['half-open', 'failed', 'open'],
  ];
  for (const [state, event, next] of expected)
    assert.equal(nextState(state, event), next, `${state} ${event}`);
});

test('opens after five failures in a row, and lets one through when it has rested', () => {
  const { breaker, later } = one();
  fail(breaker, 4);
  assert.equal(breaker.state(), 'closed');
  fail(breaker);
  assert.equal(breaker.state(), 'open');
  assert.equal(breaker.enter(), undefined);
  assert.equal(breaker.restMs(), 5000);
  later(5000);
  assert.equal(breaker.state(), 'half-open');
  assert.equal(breaker.restMs(), 0);
  const pass = breaker.enter();
  assert.ok(pass);
  assert.equal(breaker.enter(), undefined, 'a second one while the first is under way');
  assert.equal(breaker.restMs(), null);
  pass('answered');
  assert.equal(breaker.state(), 'closed');
});

test('a whole answer between failures, or a minute, begins the count anew', () => {
  const { breaker, later } = one();
  fail(breaker, 4);
  breaker.enter()?.('answered');
  breaker.over(true);
  fail(breaker, 4);
  assert.equal(breaker.state(), 'closed');
  later(60_000);
  fail(breaker, 4);
  assert.equal(breaker.state(), 'closed');
});

test('rests twice as long after each failed try, two minutes at most', () => {
  const { breaker, later } = one();
  fail(breaker, 5);
  const rests: (number | null)[] = [];
  for (let nth = 0; nth < 7; nth += 1) {
    rests.push(breaker.restMs());
    later(breaker.restMs() ?? 0);
    fail(breaker);
    assert.equal(breaker.state(), 'open');
  }
  assert.deepEqual(rests, [5000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000]);
  later(120_000);
  breaker.enter()?.('answered');
  fail(breaker, 5);
  assert.equal(breaker.restMs(), 5000, 'it was well in between');
});

test('agents do not come back in one moment', () => {
  const { breaker } = one(0);
  fail(breaker, 5);
  assert.equal(breaker.restMs(), 2500);
});

test('a try that the agent left says nothing, and gives the one place of half-open back', () => {
  const { breaker, later } = one();
  fail(breaker, 5);
  later(5000);
  breaker.enter()?.('unknown');
  assert.equal(breaker.state(), 'half-open');
  assert.ok(breaker.enter());
});

test('a late word of an exchange that began before it opened changes nothing', () => {
  const { breaker, later } = one();
  const old = breaker.enter();
  const other = breaker.enter();
  fail(breaker, 5);
  old?.('answered');
  assert.equal(breaker.state(), 'open');
  later(5000);
  assert.equal(breaker.state(), 'half-open');
  const pass = breaker.enter();
  other?.('failed');
  assert.equal(breaker.state(), 'half-open');
  assert.equal(breaker.enter(), undefined, 'the place is still taken');
  pass?.('answered');
  pass?.('failed');
  assert.equal(breaker.state(), 'closed');
});

test('answers that begin and are cut off count like failed ones', () => {
  const { breaker } = one();
  for (let nth = 0; nth < 5; nth += 1) {
    breaker.enter()?.('answered');
    breaker.over(false);
  }
  assert.equal(breaker.state(), 'open');
});

test('breakers know their providers apart and forget those that are gone', () => {
  const breakers = createBreakers(() => 0);
  fail(breakers.of('pi'), 5);
  breakers.of('constructor').enter()?.('answered');
  assert.deepEqual(breakers.states(), { pi: 'open', constructor: 'closed' });
  breakers.keep(new Set(['constructor']));
  assert.deepEqual(breakers.states(), { constructor: 'closed' });
  assert.equal(breakers.of('pi').state(), 'closed');
});
