/** Money and tokens by day and month: reserved before, set right after, and the same after a restart. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimate } from '../../../../proxies/llm/spend/estimate.ts';
import { type Price, priceOf } from '../../../../proxies/llm/spend/price.ts';
import { bid, createRig, freeBid, paid, usd } from './rig.ts';

test('of fifty requests at once against a budget for ten exactly ten pass', async () => {
  const rig = createRig({ usdPerDay: 1 });
  const passed: string[] = [];
  await Promise.all(
    Array.from({ length: 50 }, async (_, n) => {
      await new Promise((resolve) => setTimeout(resolve, n % 3));
      const got = rig.tryAsk(`r${n}`, bid(0.1));
      if ('allow' in got) return;
      passed.push(got.reservation.id);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }),
  );
  assert.equal(passed.length, 10);
  const { day } = rig.spend.standing();
  assert.deepEqual([day.usd, day.reservedUsd], [0, 1]);
});

test('a reservation becomes what it cost, and what it did not need is free again', () => {
  const rig = createRig({ usdPerDay: 1 });
  const first = rig.ask('a', bid(0.9));
  assert.throws(() => rig.ask('b', bid(0.2)), /spent 0.00 of 1.00 USD today and reserved 0.90 USD/);
  rig.tell(first, paid(0.05 * usd));
  rig.tell(rig.ask('b', bid(0.95)), paid(null));
  assert.equal(rig.spend.standing().day.usd, 1);
});

test('a denial names the rule, what is used of how much, when it resets and the field', () => {
  const rig = createRig({ usdPerDay: 5 });
  rig.tell(rig.ask('a', bid(4.98)), paid(4.98 * usd));
  assert.deepEqual(rig.tryAsk('b', bid(0.41)), {
    allow: false,
    status: 402,
    rule: 'budget-usd-day',
    reason: 'scout has spent 4.98 of 5.00 USD today, and this request may come to 0.41 USD',
    hint: 'It resets at 2026-11-22T00:00:00Z. Ask for fewer output tokens, raise agents.scout.limits.usdPerDay in holdfast.yaml, or ask a model that is free.',
  });
  const never = rig.tryAsk('c', bid(6));
  assert.ok('allow' in never);
  assert.match(never.hint, /^It is more than the whole limit: /);
});

test('each budget has its rule, and the longer window is named first', () => {
  const ruleOf = (limits: Parameters<typeof createRig>[0]) => {
    const got = createRig(limits).tryAsk('a', bid(1));
    return 'allow' in got ? [got.rule, got.hint.includes('2026-12-01T00:00:00Z')] : undefined;
  };
  assert.deepEqual(ruleOf({ usdPerMonth: 0.5 }), ['budget-usd-month', false]);
  assert.deepEqual(ruleOf({ tokensPerDay: 10 }), ['budget-tokens-day', false]);
  assert.deepEqual(ruleOf({ tokensPerMonth: 10 }), ['budget-tokens-month', false]);
  assert.deepEqual(ruleOf({ usdPerDay: 0.5, usdPerMonth: 0.5 }), ['budget-usd-month', false]);
  assert.equal(ruleOf({ usdPerDay: 1, usdPerMonth: 1, tokensPerDay: 1_000_000 }), undefined);
  const rig = createRig({ usdPerMonth: 1 });
  rig.tell(rig.ask('a', bid(1)), paid(null));
  const got = rig.tryAsk('b', bid(0.1));
  assert.ok('allow' in got && got.hint.startsWith('It resets at 2026-12-01T00:00:00Z.'));
});

test('unknown usage costs the reservation; what no upstream got costs nothing; what is no number is unknown', () => {
  const rig = createRig({ usdPerDay: 100 });
  const charged = (came: Parameters<typeof rig.tell>[1]) => {
    const reservation = rig.ask(`r${rig.lines.length}`, bid(1));
    return rig.spend.settle(reservation, came);
  };
  const all = { usdNano: usd, tokens: 1_000_000 };
  assert.deepEqual(charged(paid(null)), all);
  assert.deepEqual(charged(paid(-5)), all);
  assert.deepEqual(charged(paid(Number.NaN)), all);
  assert.deepEqual(charged(paid(0.5)), all);
  assert.deepEqual(charged(paid(null, { sent: false })), { usdNano: 0, tokens: 0 });
  assert.deepEqual(charged(paid(7000)), { usdNano: 7000, tokens: 7 });
});

test('what costs more than was reserved is charged in full and blocks the next', () => {
  const rig = createRig({ usdPerDay: 1 });
  rig.tell(rig.ask('a', bid(0.1)), paid(3 * usd));
  assert.equal(rig.spend.standing().day.usd, 3);
  assert.throws(() => rig.ask('b', bid(0.000001)), /spent 3.00 of 1.00 USD/);
});

test('a free model goes on after the cap, and costs the budget nothing', () => {
  const rig = createRig({ usdPerDay: 1, tokensPerDay: 2_000_000 });
  rig.tell(rig.ask('a', bid(1)), paid(null));
  const got = rig.tryAsk('b', bid(0.5), freeBid);
  assert.ok(!('allow' in got));
  assert.deepEqual(got.affordable, [false, true]);
  assert.deepEqual([got.reservation.usdNano, got.reservation.tokens], [0, 0]);
  assert.deepEqual(rig.spend.settle(got.reservation, { usdNano: 0, tokens: 900_000, sent: true }), {
    usdNano: 0,
    tokens: 0,
  });
  // Free before paid in one chain: the paid one is reserved, the free one answers.
  const mixed = createRig({ tokensPerDay: 10_000_000 });
  const reservation = mixed.ask('c', freeBid, bid(0.5));
  assert.equal(reservation.usdNano, 0.5 * usd);
  const came = mixed.spend.settle(reservation, { usdNano: 0, tokens: 900, sent: true, free: true });
  assert.deepEqual(came, { usdNano: 0, tokens: 0 });
});

test('the dearest of the affordable bids is reserved', () => {
  const rig = createRig({ usdPerDay: 1 });
  const got = rig.tryAsk('a', bid(2), bid(0.3), bid(0.8));
  assert.ok(!('allow' in got));
  assert.deepEqual(got.affordable, [false, true, true]);
  assert.equal(got.reservation.usdNano, 0.8 * usd);
});

test('a request without max_tokens does not take the whole of a budget', () => {
  const rig = createRig({ usdPerDay: 2000 });
  rig.tell(rig.ask('before', bid(0.14)), paid(null));
  const provider = { name: 'o', kind: 'openai' as const, baseUrl: 'https://api.openai.com/v1' };
  const price = priceOf(provider, 'gpt-5.5') as Exclude<Price, { free: true }>;
  const guess = estimate({ bodyBytes: 200_000, maxOutputTokens: null, ...price });
  for (let n = 0; n < 100; n++) rig.ask(`r${n}`, { provider: 'o', model: 'gpt-5.5', price, estimate: guess });
  assert.ok(rig.spend.standing().day.reservedUsd < 100);
});

test('what settles after midnight belongs to the day of its reservation', () => {
  const rig = createRig({ usdPerDay: 1, usdPerMonth: 10 }, '2026-11-21T23:59:59Z');
  const late = rig.ask('a', bid(0.9));
  assert.deepEqual(late.window, { day: '2026-11-21', month: '2026-11' });
  rig.set('2026-11-22T00:00:01Z');
  assert.equal(rig.spend.standing().day.reservedUsd, 0);
  rig.tell(late, paid(0.5 * usd));
  const { day, month, resets } = rig.spend.standing();
  assert.deepEqual([day.usd, month.usd], [0, 0.5]);
  assert.deepEqual(resets, { day: '2026-11-23T00:00:00Z', month: '2026-12-01T00:00:00Z' });
  rig.set('2026-12-01T00:00:00Z');
  assert.equal(rig.spend.standing().month.usd, 0);
});

test('windows never go back: a clock that was set back on a restart goes on from the record', () => {
  const rig = createRig({ usdPerDay: 1 });
  rig.tell(rig.ask('a', bid(1)), paid(null));
  rig.set('2026-10-21T12:00:00Z');
  rig.restart();
  assert.equal(rig.spend.standing().resets.day, '2026-11-22T00:00:00Z');
  assert.throws(() => rig.ask('b', bid(0.1)), /spent 1.00 of 1.00/);
  // A day of running opens the next one, not a month of waiting.
  rig.pass(24 * 3_600_000);
  assert.equal(rig.spend.standing().resets.day, '2026-11-23T00:00:00Z');
  rig.ask('b', bid(0.1));
  // A clock that goes back while it runs moves nothing either.
  rig.set('2026-01-01T00:00:00Z');
  assert.equal(rig.spend.standing().resets.day, '2026-11-23T00:00:00Z');
});

const openIn = (carry: Record<string, unknown>) => (carry.open as { id: string }[]).map(({ id }) => id);

test('a carry from a later day than the clock’s moves the window too', () => {
  const rig = createRig({ usdPerDay: 1 });
  rig.tell(rig.ask('a', bid(1)), paid(null));
  const carry = rig.spend.carry();
  rig.set('2026-01-01T00:00:00Z');
  rig.restart([carry]);
  assert.equal(rig.spend.standing().day.usd, 1);
  rig.pass(24 * 3_600_000);
  assert.equal(rig.spend.standing().resets.day, '2026-11-23T00:00:00Z');
});

test('a request that a crash left without an outcome costs its reservation', () => {
  const rig = createRig({ usdPerDay: 10 });
  rig.ask('lost', bid(2));
  rig.tell(rig.ask('known', bid(2)), paid(0.5 * usd));
  rig.restart();
  const { day } = rig.spend.standing();
  assert.deepEqual([day.usd, day.reservedUsd], [2.5, 0]);
  assert.deepEqual(openIn(rig.spend.carry()), ['lost']);
  rig.ask('next', bid(1));
  assert.deepEqual(openIn(rig.spend.carry()), ['next']);
  assert.deepEqual([rig.spend.standing().day.usd, rig.spend.standing().day.reservedUsd], [2.5, 1]);
});

test('a carry stands for all that was before it, what was under way included', () => {
  const rig = createRig({ usdPerDay: 10 });
  rig.ask('lost', bid(1));
  rig.tell(rig.ask('done', bid(1)), paid(0.25 * usd));
  const open = rig.ask('open', bid(3));
  const from = rig.lines.length;
  rig.spend.stored(5000);
  rig.lines.push(rig.spend.carry());
  rig.tell(open, paid(0.5 * usd));
  const live = rig.spend.standing();
  assert.deepEqual(rig.restart(rig.lines.slice(from)).standing().day.usd, 1.75);
  assert.equal(rig.restart().standing().day.usd, 1.75);
  assert.equal(live.day.usd + live.day.reservedUsd, 1.75);
  assert.equal(rig.spend.standing().audit.bytes, 5000);
});

test('absurd costs, twice, are a sum that can be read back', () => {
  const rig = createRig({});
  const most = paid(Number.MAX_SAFE_INTEGER, { tokens: Number.MAX_SAFE_INTEGER });
  for (const id of ['a', 'b']) rig.tell(rig.ask(id, bid(1)), most);
  const { day } = rig.restart([rig.spend.carry()]).standing();
  assert.deepEqual([day.usd, day.tokens], [Number.MAX_SAFE_INTEGER / usd, Number.MAX_SAFE_INTEGER]);
});

test('an outcome that the carry knows already is not charged twice', () => {
  const rig = createRig({ usdPerDay: 10 });
  const open = rig.ask('a', bid(1));
  const cost = rig.spend.settle(open, paid(0.5 * usd));
  const after = [rig.spend.carry(), { kind: 'outcome', id: 'a', cost }];
  assert.equal(rig.restart(after).standing().day.usd, 0.5);
  assert.equal(rig.restart([...rig.lines, ...after]).standing().day.usd, 0.5);
});

test('other lines and those of before this record are passed over, a broken sum is not', () => {
  const { spend } = createRig({ usdPerDay: 10 });
  for (const line of [
    { kind: 'refusal', id: 'a', rule: 'x' },
    { kind: 'request', id: 'a', model: 'm' },
    { kind: 'outcome', id: 'a', status: 200 },
    { kind: 'outcome', id: 'never', cost: { usdNano: 5, tokens: 5 } },
    {},
  ])
    spend.replay(line);
  assert.equal(spend.standing().day.usd, 0);
  for (const reserved of [
    {},
    { usdNano: -1, tokens: 0, day: '2026-11-21' },
    { usdNano: 1, tokens: 0, day: 5 },
  ])
    assert.throws(
      () => spend.replay({ kind: 'request', id: 'b', reserved }),
      /a ledger line of the llm door/,
    );
  assert.throws(() => spend.replay({ kind: 'carry' }), /a ledger line of the llm door/);
});

test('warnings at 50 and 80 percent come once in a window, and not again after a restart', () => {
  const rig = createRig({ usdPerDay: 10 });
  const spendOne = (id: string) => rig.tell(rig.ask(id, bid(1)), paid(null));
  for (const id of ['1', '2', '3', '4']) spendOne(id);
  assert.deepEqual(rig.warned, []);
  spendOne('5');
  assert.deepEqual(rig.warned, ['50: 5.00 of 10.00 USD today (agents.scout.limits.usdPerDay)']);
  spendOne('6');
  rig.restart();
  assert.deepEqual(rig.spend.standing().warned, [50]);
  for (const id of ['7', '8', '9']) spendOne(id);
  assert.deepEqual(rig.warned.slice(1), ['80: 8.00 of 10.00 USD today (agents.scout.limits.usdPerDay)']);
  assert.deepEqual(rig.spend.standing().warned, [50, 80]);
  rig.set('2026-11-22T01:00:00Z');
  assert.deepEqual(rig.spend.standing().warned, []);
  rig.tell(rig.ask('big', bid(9)), paid(null));
  assert.equal(rig.warned.length, 4);
});

test('settling twice, or reserving the same twice, is a fault', () => {
  const rig = createRig({});
  const reservation = rig.ask('a', bid(1));
  assert.throws(() => rig.ask('a', bid(1)), /open already/);
  rig.tell(reservation, paid(null));
  assert.throws(() => rig.tell(reservation, paid(null)), /not open/);
});

test('a new limit holds at once', () => {
  const rig = createRig({ usdPerDay: 1 });
  const { limitUsd } = rig.spend.standing().day;
  assert.equal(limitUsd, 1);
  assert.throws(() => rig.ask('a', bid(2)));
  rig.spend.relimit({
    usdPerDay: 3,
    usdPerMonth: null,
    tokensPerDay: null,
    tokensPerMonth: null,
    requestsPerMinute: null,
    tokensPerMinute: null,
    roundsPerTurn: null,
    repeats: null,
    auditMbPerDay: null,
    bodyMb: 32,
  });
  rig.ask('a', bid(2));
});
