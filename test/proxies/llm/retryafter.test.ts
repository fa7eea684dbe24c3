/** Retry-After, in each form that RFC 9110 has for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryAfterMs } from '../../../proxies/llm/route/retryafter.ts';

const now = Date.UTC(1994, 10, 6, 8, 49, 30);

test('seconds, the three dates, and the milliseconds that some send beside it', () => {
  const said: [string, number | undefined][] = [
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7000],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 7000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 7000],
    ['Sun Nov  6 08:49:37 1994', 7000],
    ['Sun, 06 Nov 1994 08:49:00 GMT', 0],
    ['999999999999', 86_400_000],
    ['Sun, 06 Nov 2094 08:49:37 GMT', 86_400_000],
  ];
  for (const [text, ms] of said) assert.equal(retryAfterMs({ 'retry-after': text }, now), ms, text);
  assert.equal(retryAfterMs({ 'retry-after': '5', 'retry-after-ms': '1500.5' }, now), 1500.5);
  assert.equal(retryAfterMs({ 'retry-after': ['3', '9'] }, now), 3000);
});

test('what is neither says nothing', () => {
  for (const text of [
    '',
    '-1',
    '1.5',
    '1e9',
    'soon',
    'Infinity',
    '0x10',
    '9'.repeat(13),
    'Sun, 99 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 PST',
  ]) {
    assert.equal(retryAfterMs({ 'retry-after': text }, now), undefined, text);
  }
  assert.equal(retryAfterMs({}, now), undefined);
  assert.equal(retryAfterMs({ 'retry-after-ms': 'NaN' }, now), undefined);
});
