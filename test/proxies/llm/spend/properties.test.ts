/** Any interleaving of reserving, settling, crashing, rotating and midnight: the sums are what a plain list of the exchanges says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dayOf } from '../../../../proxies/llm/spend/clock.ts';
import type { Reservation } from '../../../../proxies/llm/spend/spend.ts';
import { bid, createRig, freeBid, type Line, paid } from './rig.ts';

type Exchange = { day: string; reserved: number; cost: number | undefined };

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('ask' as const), nano: fc.nat(400_000), free: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('tell' as const),
      which: fc.nat(20),
      nano: fc.option(fc.nat(900_000)),
      sent: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rotate' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('pass' as const), hours: fc.integer({ min: 1, max: 40 }) }),
  },
);

const limitNano = 1_000_000;

test('spent and reserved are the list’s sums, within the limit and what was over an admitted request', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const rig = createRig(
        { usdPerDay: limitNano / 1e9, usdPerMonth: (3 * limitNano) / 1e9 },
        '2026-11-28T12:00:00Z',
      );
      let now = Date.parse('2026-11-28T12:00:00Z');
      const list = new Map<string, Exchange>();
      let open: Reservation[] = [];
      const sum = (inWindow: (day: string) => boolean, of: (each: Exchange) => number) =>
        [...list.values()].filter(({ day }) => inWindow(day)).reduce((all, each) => all + of(each), 0);
      const committed = ({ reserved, cost }: Exchange) => cost ?? reserved;
      const over = ({ reserved, cost }: Exchange) => Math.max(0, (cost ?? 0) - reserved);

      for (const [n, each] of steps.entries()) {
        if (each.do === 'ask') {
          const nano = Math.ceil(each.nano / 1000) * 1000;
          const got = rig.tryAsk(`r${n}`, bid(nano / 1e9), ...(each.free ? [freeBid] : []));
          if ('allow' in got) assert.ok(!each.free, 'a free bid is always affordable');
          else {
            open.push(got.reservation);
            list.set(`r${n}`, {
              day: dayOf(new Date(now)),
              reserved: got.reservation.usdNano,
              cost: undefined,
            });
          }
        } else if (each.do === 'tell') {
          const [which] = open.splice(each.which % Math.max(1, open.length), 1);
          const exchange = which && list.get(which.id);
          if (which && exchange) {
            rig.tell(which, paid(each.nano, { sent: each.sent }));
            const cost = each.sent ? (each.nano ?? which.usdNano) : 0;
            exchange.cost = which.usdNano === 0 && which.tokens === 0 ? 0 : cost;
          }
        } else if (each.do === 'crash') {
          rig.restart();
          open = [];
        } else if (each.do === 'rotate') {
          rig.lines.splice(0, rig.lines.length, rig.spend.carry() as Line);
        } else {
          now += each.hours * 3_600_000;
          rig.pass(each.hours * 3_600_000);
        }

        const today = dayOf(new Date(now));
        const ofDay = (day: string) => day === today;
        const ofMonth = (day: string) => day.slice(0, 7) === today.slice(0, 7);
        const { day, month } = rig.spend.standing();
        const nano = ({ usd, reservedUsd }: typeof day) => Math.round((usd + reservedUsd) * 1e9);
        assert.equal(nano(day), sum(ofDay, committed));
        assert.equal(nano(month), sum(ofMonth, committed));
        assert.ok(nano(day) <= limitNano + sum(ofDay, over));
        assert.ok(nano(month) <= 3 * limitNano + sum(ofMonth, over));
        // The ledger says the same to a process that starts now.
        const live = rig.spend;
        const again = rig.restart().standing();
        rig.spend = live;
        assert.equal(nano(again.day), nano(day));
        assert.equal(nano(again.month), nano(month));
      }
    }),
    { numRuns: 500 },
  );
});

test('a carry at any line and the lines after it say what all the lines say', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ nano: fc.nat(500), cost: fc.option(fc.nat(900)), told: fc.boolean(), hours: fc.nat(12) }),
        {
          maxLength: 30,
        },
      ),
      fc.nat(60),
      fc.nat(200),
      (exchanges, cutAt, later) => {
        const rig = createRig({ usdPerDay: null }, '2026-11-29T12:00:00Z');
        const open: [Reservation, number | null][] = [];
        for (const [n, { nano, cost, told, hours }] of exchanges.entries()) {
          open.push([rig.ask(`r${n}`, bid(nano / 1e6)), cost]);
          rig.pass(hours * 3_600_000);
          const next = told ? open.shift() : undefined;
          if (next) rig.tell(next[0], paid(next[1] === null ? null : next[1] * 1000));
        }
        const cut = Math.min(cutAt, rig.lines.length);
        rig.pass(later * 3_600_000);
        const carry = rig.restart(rig.lines.slice(0, cut)).carry();
        const carried = rig.restart([carry, ...rig.lines.slice(cut)]).standing();
        const carriedAgain = rig.restart([rig.spend.carry()]).standing();
        const full = rig.restart().standing();
        assert.deepEqual(carried, full);
        assert.deepEqual(carriedAgain, full);
      },
    ),
    { numRuns: 500 },
  );
});
