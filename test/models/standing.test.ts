/** How models stand, read leniently, and what of it an owner should hear. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStanding, readStanding, used, warnings } from '../../appliance/models/standing.ts';

const window = (usd: number, limitUsd: number | null, tokens = 0, limitTokens: number | null = null) => ({
  usd,
  tokens,
  limitUsd,
  limitTokens,
});

test('what is used is the nearer of both limits, and a limit of nothing is used up', () => {
  assert.equal(used(window(0, null)), 0);
  assert.equal(used(window(2.5, 5)), 50);
  assert.equal(used(window(0, 5, 90, 100)), 90);
  assert.equal(used(window(4.9999, 5)), 99);
  assert.equal(used(window(0, 0)), 100);
});

test('warnings begin at 50 percent, and stay for what was warned of once', () => {
  const spend = (usd: number, warned: number[] = []) => ({
    day: window(usd, 5),
    month: window(0, null),
    warned,
    resets: { day: '', month: '' },
  });
  const of = (...agents: unknown[]) =>
    warnings(parseStanding({ agents })).map((each) =>
      each.about === 'budget' ? `${each.agent} ${each.percent}` : each.about,
    );
  assert.deepEqual(of({ agent: 'a', spend: spend(2.4) }), []);
  assert.deepEqual(of({ agent: 'a', spend: spend(2.5) }), ['a 50']);
  assert.deepEqual(of({ agent: 'a', spend: spend(0, [50, 80]) }), ['a 80']);
  assert.deepEqual(of({ agent: 'a', spend: spend(6) }), ['a 120']);
});

test('an answer that lacks things, or says more, is read as far as it goes', async () => {
  assert.deepEqual(parseStanding({}), { agents: [], providers: [], unpriced: [], keyRefused: [] });
  const found = parseStanding({
    more: 1,
    providers: [{ name: 'p', kind: 7, breakers: { main: 3 } }],
    unpriced: [{ provider: 'p' }],
  });
  assert.deepEqual(found.providers[0], {
    name: 'p',
    kind: '',
    up: null,
    slots: null,
    breakers: {},
    login: null,
    keyState: '',
  });
  assert.deepEqual(found.unpriced, [{ provider: 'p', model: '', agent: '', at: '' }]);
  assert.equal(await readStanding('/nonexistent/sock'), undefined);
});
