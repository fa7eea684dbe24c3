/** Tokens before anybody has counted them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimate } from '../../../../proxies/llm/spend/estimate.ts';

test('four bytes of text are a token, and an attachment is no text', () => {
  assert.deepEqual(estimate({ bodyBytes: 4001, maxOutputTokens: 100 }), { in: 1001, out: 100 });
  // An image of 1 MB: 16 k tokens with the text, not 250 k.
  assert.deepEqual(estimate({ bodyBytes: 1_004_000, textBytes: 4000, maxOutputTokens: 100 }), {
    in: 16_625,
    out: 100,
  });
  assert.equal(estimate({ bodyBytes: 40, textBytes: 4000, maxOutputTokens: 1 }).in, 10);
});

test('the model bounds both, and an answer without a bound is of the usual length', () => {
  assert.deepEqual(estimate({ bodyBytes: 4_000_000, maxOutputTokens: null, contextTokens: 200_000 }), {
    in: 200_000,
    out: 16_384,
  });
  assert.equal(estimate({ bodyBytes: 4, maxOutputTokens: 1e9, ceilingTokens: 64_000 }).out, 64_000);
  assert.equal(estimate({ bodyBytes: 4, maxOutputTokens: null, ceilingTokens: 4096 }).out, 4096);
  assert.equal(estimate({ bodyBytes: 4, maxOutputTokens: 0 }).out, 0);
});

test('a number that nobody means is no number on the record, where only whole ones can be read back', () => {
  for (const maxOutputTokens of [1e308, Number.MAX_VALUE, 1.5, 1e9 + 0.5, 0.001]) {
    const { out } = estimate({ bodyBytes: 4, maxOutputTokens });
    assert.ok(Number.isSafeInteger(out) && out >= 1 && out <= 1e9, `${maxOutputTokens}: ${out}`);
  }
});
