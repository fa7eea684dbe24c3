/** A key that comes back is masked wherever the chunks are cut, and nothing else is touched or delayed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScrub } from '../../../proxies/llm/keys/scrub.ts';

const key = 'aab-aab-aac-1234';
const stars = '*'.repeat(key.length);

const through = (chunks: string[]): string => {
  const scrub = createScrub(key);
  return [...chunks.map((chunk) => scrub.push(Buffer.from(chunk))), scrub.end()].join('');
};

test('masks the key at every cut in two and in three', () => {
  const text = `"key": "${key}", again ${key}${key} and aab-aab-aab-aac-1234 almost aab-aab-aac-123`;
  const masked = text.replaceAll(key, stars);
  assert.equal(masked.includes(key), false);
  for (let first = 0; first <= text.length; first++) {
    assert.equal(through([text.slice(0, first), text.slice(first)]), masked);
    const second = Math.min(text.length, first + 5);
    assert.equal(through([text.slice(0, first), text.slice(first, second), text.slice(second)]), masked);
  }
  assert.equal(through([...text]), masked);
});

test('holds back only what may still become the key', () => {
  const scrub = createScrub(key);
  assert.equal(scrub.push(Buffer.from('data: hello\n\n')).toString(), 'data: hello\n\n');
  assert.equal(scrub.push(Buffer.from('so aab-a')).toString(), 'so ');
  assert.equal(scrub.push(Buffer.from('x')).toString(), 'aab-ax');
  assert.equal(scrub.found(), false);
  assert.equal(scrub.end().length, 0);
});

test('leaves other bytes as they are, and its input too', () => {
  const bytes = Buffer.from([0, 255, 128, 10, 13, 97, 97]);
  const input = Buffer.from(`x${key}y`);
  const scrub = createScrub(key);
  assert.deepEqual(Buffer.concat([scrub.push(bytes), scrub.end()]), bytes);
  scrub.push(input);
  assert.equal(input.toString(), `x${key}y`);
  assert.equal(scrub.found(), true);
});

test('does nothing without a key, or with a word too short to be one', () => {
  for (const none of [undefined, '', 'the']) {
    const scrub = createScrub(none);
    assert.equal(scrub.push(Buffer.from('the end')).toString(), 'the end');
    assert.equal(scrub.end().length, 0);
  }
});
