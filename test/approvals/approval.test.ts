/** The life of an approval as a table, walked whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Approval,
  type ApprovalEvent,
  type ApprovalState,
  type Circumstances,
  may,
  transitions,
} from '../../appliance/approvals/approval.ts';

const states = Object.keys(transitions) as ApprovalState[];
const events: ApprovalEvent[] = ['approve', 'deny', 'expire', 'withdraw'];

const approval = (state: ApprovalState): Approval => ({
  id: '1',
  agent: 'main',
  tool: 'shell',
  script: 'ls',
  image: 'x',
  timeoutMs: 1,
  digest: 'd',
  by: 'b',
  state,
  askedAtMs: 0,
  expiresAtMs: 1_000,
  epoch: '7',
  reason: null,
});
const good: Circumstances = { nowMs: 999, askerWaits: true, state: 'armed', epoch: '7' };

test('only a pending approval goes anywhere, and each event leads to one state', () => {
  for (const state of states) {
    for (const event of events) {
      const verdict = may(approval(state), event, good);
      assert.equal(verdict.allow, state === 'pending', `${state} ${event}`);
      assert.equal(transitions[state][event] !== undefined, state === 'pending');
    }
  }
  assert.equal(new Set(Object.values(transitions.pending)).size, events.length);
});

test('a yes needs everything at once; a refusal says what is missing and what to do', () => {
  const wrong: [Partial<Circumstances>, string][] = [
    [{ nowMs: 1_000 }, 'expired'],
    [{ state: 'closed' }, 'not-armed'],
    [{ state: 'killed' }, 'not-armed'],
    [{ epoch: '8' }, 'before-kill'],
    [{ epoch: '' }, 'before-kill'],
    [{ askerWaits: false }, 'asker-gone'],
  ];
  for (const [change, rule] of wrong) {
    const verdict = may(approval('pending'), 'approve', { ...good, ...change });
    assert.ok(!verdict.allow && verdict.rule === rule && verdict.reason && verdict.hint, rule);
  }
  assert.equal(may(approval('pending'), 'approve', good).allow, true);
});

test('a no is always possible while it is pending', () => {
  const worst: Circumstances = { nowMs: 0, askerWaits: false, state: 'killed', epoch: '' };
  assert.equal(may(approval('pending'), 'deny', worst).allow, true);
});
