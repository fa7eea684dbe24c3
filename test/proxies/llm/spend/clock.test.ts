/** The time of budgets: it starts at the wall clock and goes on by the monotonic one, whatever is done to the wall clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Anchor,
  bootId,
  createClock,
  createUptime,
  dayEnds,
  monthEnds,
} from '../../../../proxies/llm/spend/clock.ts';

const hour = 3_600_000;
const day = 24 * hour;

function machine(wallAt: string, uptimeMs = 1000) {
  let wall = Date.parse(wallAt);
  let uptime = uptimeMs;
  return {
    step(ms: number) {
      wall += ms;
    },
    pass(ms: number) {
      wall += ms;
      uptime += ms;
    },
    start: (more: { floor?: Date; anchor?: Anchor; boot?: string } = {}) =>
      createClock({ wall: () => wall, monotonicMs: () => uptime, ...more }),
  };
}
const iso = (clock: { now(): Date }) => clock.now().toISOString().slice(0, 16);

test('a wall clock set forward a day or backward a month moves nothing', () => {
  const box = machine('2026-11-21T12:00:00Z');
  const clock = box.start();
  box.step(day);
  assert.equal(iso(clock), '2026-11-21T12:00');
  assert.equal(clock.behindMs(), day);
  box.pass(hour);
  assert.equal(iso(clock), '2026-11-21T13:00');
  box.step(-31 * day);
  box.pass(hour);
  assert.equal(iso(clock), '2026-11-21T14:00');
});

test('a restart in the same boot goes on where the last process was', () => {
  const box = machine('2026-11-21T12:00:00Z');
  const anchor = box.start({ boot: 'a' }).anchor();
  box.step(day);
  box.pass(hour);
  assert.equal(iso(box.start({ boot: 'a', anchor })), '2026-11-21T13:00');
  assert.equal(
    iso(box.start({ boot: 'a', anchor, floor: new Date('2026-11-22T13:00:00Z') })),
    '2026-11-21T13:00',
  );
  // Another boot: nothing is left to hold against the wall clock.
  assert.equal(iso(box.start({ boot: 'b', anchor })), '2026-11-22T13:00');
  assert.equal(iso(box.start({ anchor: { ...anchor, boot: '' } })), '2026-11-22T13:00');
  assert.equal(iso(box.start({ boot: 'a', anchor: { ...anchor, at: 'never' } })), '2026-11-22T13:00');
  assert.equal(iso(box.start({ boot: 'a', anchor: { ...anchor, uptimeMs: 1e12 } })), '2026-11-22T13:00');
});

test('a machine that wakes up in the past starts at what is on record', () => {
  const clock = machine('1970-01-01T00:00:00Z').start({ floor: new Date('2026-11-21T12:00:00Z') });
  assert.equal(iso(clock), '2026-11-21T12:00');
});

test('a monotonic clock that goes back does not take the time with it', () => {
  let uptime = 10_000;
  const clock = createClock({ wall: () => 0, monotonicMs: () => uptime });
  uptime = 20_000;
  assert.equal(clock.now().getTime(), 10_000);
  uptime = 0;
  assert.equal(clock.now().getTime(), 10_000);
});

test('the uptime counts the time asleep, is read once a second and never goes back', () => {
  let [kernel, steady, reads] = [100, 0, 0];
  const uptime = createUptime(
    () => {
      reads++;
      return `${kernel.toFixed(2)} 50.00\n`;
    },
    () => steady,
  );
  assert.equal(uptime(), 100_000);
  steady = 500;
  assert.equal(uptime(), 100_500);
  assert.equal(reads, 1);
  [kernel, steady] = [8 * 3600, 1600];
  assert.equal(uptime(), 8 * hour);
  [kernel, steady] = [5, 3000];
  assert.equal(uptime(), 8 * hour + 1400);
  assert.throws(
    createUptime(() => 'nothing'),
    /no number/,
  );
});

test('this machine says its uptime and its boot', () => {
  assert.ok(createUptime()() > 0);
  assert.match(bootId(), /^[0-9a-f-]{36}$/);
});

test('a day and a month end at midnight UTC', () => {
  assert.equal(dayEnds('2026-11-30'), '2026-12-01T00:00:00Z');
  assert.equal(monthEnds('2026-11-30'), '2026-12-01T00:00:00Z');
  assert.equal(monthEnds('2026-12-01'), '2027-01-01T00:00:00Z');
  assert.equal(dayEnds('2028-02-28'), '2028-02-29T00:00:00Z');
});
