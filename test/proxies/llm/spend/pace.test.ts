/** How fast and how often: a minute slides, a turn has its rounds, and a guest in a loop is stopped. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultLimits } from '../../../../proxies/llm/spend/limits.ts';
import { bid, createRig, paid } from './rig.ts';

const minute = 60_000;

test('a runaway guest with a thousand identical calls is stopped', () => {
  const rig = createRig({ repeats: defaultLimits.repeats });
  let passed = 0;
  for (let n = 0; n < 1000; n++) {
    if (rig.spend.admit({ turn: null, digest: 'same' }) === undefined) passed++;
    rig.pass(100);
  }
  assert.equal(passed, 20);
  assert.deepEqual(rig.spend.admit({ turn: null, digest: 'same' }), {
    allow: false,
    status: 429,
    rule: 'repeats',
    reason: 'scout has sent the same request 20 times in a row',
    hint: 'Another request may come at once, this one at 2026-11-21T13:00:00Z. The limit is agents.scout.limits.repeats in holdfast.yaml.',
  });
});

test('another request in between, or an hour, and the same may come again', () => {
  const rig = createRig({ repeats: 3 });
  const same = () => rig.spend.admit({ turn: null, digest: 'same' })?.rule;
  const other = () => rig.spend.admit({ turn: null, digest: 'other' })?.rule;
  assert.deepEqual([same(), same(), same(), same()], [undefined, undefined, undefined, 'repeats']);
  assert.deepEqual([other(), same()], [undefined, undefined]);
  same();
  same();
  rig.pass(60 * minute - 1);
  assert.equal(same(), 'repeats');
  rig.pass(1);
  assert.equal(same(), undefined);
  // A question every half hour is asked on purpose.
  for (let n = 0; n < 100; n++) {
    rig.pass(30 * minute);
    assert.equal(same(), undefined);
  }
});

test('requests are counted over a minute that slides, and only those that passed', () => {
  const rig = createRig({ requestsPerMinute: 3 });
  const ask = () => rig.spend.admit({ turn: null, digest: '' })?.rule;
  assert.deepEqual([ask(), ask()], [undefined, undefined]);
  rig.pass(30_000);
  assert.deepEqual([ask(), ask(), ask()], [undefined, 'rate-requests-minute', 'rate-requests-minute']);
  rig.pass(30_000);
  assert.deepEqual([ask(), ask(), ask()], [undefined, undefined, 'rate-requests-minute']);
  const denial = rig.spend.admit({ turn: null, digest: '' });
  assert.equal(denial?.reason, 'scout has sent 3 of 3 requests in the last minute');
  assert.match(denial?.hint ?? '', /^The next may come at 2026-11-21T12:01:30Z. .*requestsPerMinute/);
  assert.equal(denial?.retryAfterS, undefined);
});

test('tokens are counted as expected while they are under way, and as counted afterwards', () => {
  const rig = createRig({ tokensPerMinute: 1000 });
  const ask = () => rig.spend.admit({ turn: null, digest: '' })?.rule;
  const first = rig.ask('a', bid(0.0009));
  assert.equal(ask(), undefined);
  const second = rig.ask('b', bid(0.0009));
  assert.equal(ask(), 'rate-tokens-minute');
  rig.tell(first, paid(50_000));
  assert.equal(ask(), undefined);
  rig.tell(second, paid(2_000_000));
  assert.equal(rig.spend.standing().lastMinute.tokens, 2050);
  assert.equal(ask(), 'rate-tokens-minute');
  rig.tell(rig.ask('x', bid(0.000_007)), paid(null));
  assert.equal(rig.spend.standing().lastMinute.tokens, 2057);
  const late = rig.ask('c', bid(0.0001));
  rig.pass(minute);
  assert.equal(ask(), undefined);
  rig.tell(late, paid(5_000_000));
  assert.equal(rig.spend.standing().lastMinute.tokens, 0);
});

test('a turn has its rounds; what belongs to no turn has none', () => {
  const rig = createRig({ roundsPerTurn: 2 });
  const ask = (turn: string | null) => rig.spend.admit({ turn, digest: '' })?.rule;
  assert.deepEqual([ask('t1'), ask('t1'), ask('t1')], [undefined, undefined, 'rounds-per-turn']);
  assert.deepEqual(
    [ask('t2'), ask(null), ask(null), ask(null)],
    [undefined, undefined, undefined, undefined],
  );
  for (let n = 0; n < 1000; n++) ask(`turn ${n}`);
  assert.equal(ask('t2'), undefined, 'a turn that is long over is forgotten');
});

test('a turn that goes on is not forgotten over the others', () => {
  const rig = createRig({ roundsPerTurn: 100 });
  const ask = (turn: string) => rig.spend.admit({ turn, digest: '' })?.rule;
  for (let n = 0; n < 100; n++) {
    assert.equal(ask('long'), undefined);
    ask(`${n}`);
  }
  assert.equal(ask('long'), 'rounds-per-turn');
});

test('what the ledger had to hold counts against the day, live and after a restart', () => {
  const rig = createRig({ auditMbPerDay: 1 });
  const ask = () => rig.spend.admit({ turn: null, digest: '' })?.rule;
  rig.spend.stored(600_000);
  assert.equal(ask(), undefined);
  rig.spend.stored(400_000);
  assert.equal(ask(), 'audit-quota-day');
  rig.set('2026-11-22T00:00:00Z');
  assert.equal(ask(), undefined);
  rig.restart([
    { kind: 'request', id: 'a', at: '2026-11-21T23:00:00Z', stored: 900_000 },
    { kind: 'refusal', id: 'b', at: '2026-11-22T00:00:00Z', stored: 700_000 },
    { kind: 'outcome', id: 'a', at: '2026-11-22T00:00:00Z', stored: 400_000 },
  ]);
  assert.equal(rig.spend.standing().audit.bytes, 1_100_000);
  assert.equal(ask(), 'audit-quota-day');
  const carried = rig.spend.carry();
  rig.restart([carried]);
  assert.equal(ask(), 'audit-quota-day');
});

test('the defaults stop nothing that an honest turn does', () => {
  const rig = createRig(defaultLimits);
  for (let n = 0; n < 100; n++) {
    assert.equal(rig.spend.admit({ turn: 't', digest: `${n}` }), undefined);
    rig.tell(rig.ask(`r${n}`, bid(0.02)), paid(20_000_000));
    rig.pass(1500);
  }
});
