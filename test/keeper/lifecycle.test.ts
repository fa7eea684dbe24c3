import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beating, type Event, next, type State, table } from '../../appliance/keeper/lifecycle.ts';

const states: State[] = ['armed', 'tripping', 'killed', 'rearming'];
const events: Event[] = ['trip', 'tripped', 'rearm', 'rearmed', 'failed'];

/** Every state, every event; null: the event has no place there. */
const expected: Record<State, Record<Event, State | null>> = {
  armed: { trip: 'tripping', tripped: null, rearm: null, rearmed: null, failed: 'tripping' },
  tripping: { trip: 'tripping', tripped: 'killed', rearm: null, rearmed: null, failed: 'killed' },
  killed: { trip: 'tripping', tripped: null, rearm: 'rearming', rearmed: null, failed: null },
  rearming: { trip: 'tripping', tripped: null, rearm: null, rearmed: 'armed', failed: 'killed' },
};

test('every event in every state leads where the table says', () => {
  assert.deepEqual(Object.keys(table).sort(), [...states].sort());
  for (const state of states)
    for (const event of events)
      assert.equal(next(state, event), expected[state][event], `${state}, ${event}`);
});

test('a press is possible in every state and never leads to armed', () => {
  for (const state of states) assert.equal(next(state, 'trip'), 'tripping');
});

test('the one way to armed is an operator who re-arms a killed box', () => {
  const ways = states.flatMap((state) =>
    events.filter((event) => next(state, event) === 'armed').map((event) => `${state} ${event}`),
  );
  assert.deepEqual(ways, ['rearming rearmed']);
  const toRearming = states.filter((state) => events.some((event) => next(state, event) === 'rearming'));
  assert.deepEqual(toRearming, ['killed']);
});

test('a failure never leads to armed, and from everywhere the box can be brought to killed', () => {
  for (const state of states) {
    assert.notEqual(next(state, 'failed'), 'armed');
    const tripped = next(state, 'trip');
    assert.ok(tripped && next(tripped, 'tripped') === 'killed', state);
  }
});

test('beats are sent in armed alone', () => {
  assert.deepEqual(states.filter(beating), ['armed']);
});
