/** A bounded number of lines in a minute, and the count of what went without. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createQuota } from '../../../proxies/ledger/quota.ts';

test('what is over the number goes without, is counted, and the next minute begins anew', () => {
  let now = 0;
  const quota = createQuota(2, () => now);
  assert.deepEqual([quota.take(), quota.take(), quota.take(), quota.take()], [0, 0, null, null]);
  now = 60_000;
  assert.deepEqual([quota.take(), quota.take(), quota.take()], [2, 0, null]);
});
