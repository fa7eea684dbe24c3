/** A key that comes back is masked wherever the chunks are cut and however it is spelt, and nothing else is touched or delayed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createScrub, scrubText } from '../../../proxies/llm/keys/scrub.ts';
import { cutAt, cuts, singles } from './cuts.ts';

const key = 'aab-aab-aac-1234';
const stars = '*'.repeat(key.length);

const scrubbed = (keys: readonly string[], chunks: Buffer[]): Buffer => {
  const scrub = createScrub(keys);
  return Buffer.concat([...chunks.map((chunk) => Buffer.from(scrub.push(chunk))), scrub.end()]);
};
const through = (chunks: string[]): string =>
  scrubbed(
    [key],
    chunks.map((chunk) => Buffer.from(chunk)),
  ).toString();

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
  const scrub = createScrub([key]);
  assert.equal(scrub.push(Buffer.from('data: hello\n\n')).toString(), 'data: hello\n\n');
  assert.equal(scrub.push(Buffer.from('so aab-a')).toString(), 'so ');
  assert.equal(scrub.push(Buffer.from('x')).toString(), 'aab-ax');
  assert.equal(scrub.found(), false);
  assert.equal(scrub.end().length, 0);
});

test('leaves other bytes as they are, and its input too', () => {
  const bytes = Buffer.from([0, 255, 128, 10, 13, 97, 97]);
  const input = Buffer.from(`x${key}y`);
  const scrub = createScrub([key]);
  assert.deepEqual(Buffer.concat([scrub.push(bytes), scrub.end()]), bytes);
  scrub.push(input);
  assert.equal(input.toString(), `x${key}y`);
  assert.equal(scrub.found(), true);
});

test('does nothing without a key, or with a word too short to be one', () => {
  for (const none of [[], [''], ['the']]) {
    const scrub = createScrub(none);
    assert.equal(scrub.push(Buffer.from('the end')).toString(), 'the end');
    assert.equal(scrub.end().length, 0);
    assert.equal(scrubText(none, 'the end'), 'the end');
  }
});

const hexOf = (byte: number): string => byte.toString(16).padStart(2, '0');
const mixedCase = (text: string, by: number): string =>
  [...text].map((letter, at) => ((by >> (at % 30)) & 1 ? letter.toUpperCase() : letter)).join('');
const unicode = (byte: number): string => `\\u00${hexOf(byte)}`;

/** Every way in which an echo may be spelt. `by` chooses within one; what comes back besides may stand around the key's own letters. */
const spellings: Record<string, (key: string, by: number) => string> = {
  literal: (key) => key,
  'percent, every byte': (key, by) =>
    [...Buffer.from(key)].map((byte) => `%${mixedCase(hexOf(byte), by)}`).join(''),
  'percent, as encodeURIComponent has it': (key) => encodeURIComponent(key),
  'unicode escapes': (key, by) =>
    [...Buffer.from(key)]
      .map((byte) => (by & 1 ? unicode(byte) : unicode(byte).replace(/..$/, (two) => two.toUpperCase())))
      .join(''),
  'a mixture': (key, by) =>
    [...Buffer.from(key)]
      .map((byte, at) => {
        const ways = [String.fromCharCode(byte), `%${hexOf(byte)}`, unicode(byte), `\\x${hexOf(byte)}`];
        return ways[(by >> (at % 15)) & 3] as string;
      })
      .join(''),
  hex: (key, by) => mixedCase(Buffer.from(key).toString('hex'), by),
  'JSON in JSON': (key) => JSON.stringify(key).slice(1, -1).replaceAll('/', '\\/'),
};

const anyKey = fc.oneof(
  fc.stringMatching(/^sk-[A-Za-z0-9_-]{8,40}$/),
  fc.stringMatching(/^[A-Za-z0-9+/=_.-]{8,40}$/),
  fc.stringMatching(/^[!-~]{8,20}$/),
);
/** Text around: nothing that an echo could go on in, or everything that it could. */
const around = fc.oneof(
  fc.constantFrom('', '"', '\n', ' ', '": "', 'data: ', '\u00e4', '=='),
  fc.string({ maxLength: 20 }),
);

test('masks a key in every spelling, at any place, however it is cut; the length stays, and what is not the key', () => {
  fc.assert(
    fc.property(
      anyKey,
      fc.constantFrom(...Object.keys(spellings)),
      fc.nat(),
      around,
      around,
      cuts,
      (key, name, by, before, after, at) => {
        const spelt = spellings[name]?.(key, by) ?? '';
        const text = Buffer.from(`${before}${spelt}${after}`);
        const from = Buffer.byteLength(before);
        const out = scrubbed([key], cutAt(text, at));
        assert.equal(out.length, text.length);
        assert.equal(
          out.toString('latin1', from, from + spelt.length),
          '*'.repeat(spelt.length),
          `${name}: ${text}`,
        );
        if (!text.toString().replace(spelt, '').includes(key.slice(0, 3))) {
          // Bytes that stand apart from the echo are those that came.
          const differs = [...out.keys()].filter((place) => out[place] !== text[place]);
          assert.ok(differs.every((place) => place >= from - 4 && place < from + spelt.length + 4));
        }
        assert.deepEqual(scrubbed([key], singles(text)), out);
        assert.equal(scrubText([key], text.toString('latin1')), out.toString('latin1'));
      },
    ),
    { numRuns: 1000 },
  );
});

test('masks base64 at every alignment, in both alphabets, with what stands around it', () => {
  fc.assert(
    fc.property(
      anyKey,
      fc.uint8Array({ maxLength: 7 }),
      fc.uint8Array({ maxLength: 7 }),
      fc.constantFrom('base64', 'base64url', 'escaped', 'percent'),
      cuts,
      (key, before, after, alphabet, at) => {
        const whole = Buffer.concat([before, Buffer.from(key), after]);
        const plain = whole.toString(alphabet === 'base64url' ? 'base64url' : 'base64');
        const spelt =
          alphabet === 'escaped'
            ? plain.replaceAll('/', '\\/')
            : alphabet === 'percent'
              ? encodeURIComponent(plain)
              : plain;
        const text = Buffer.from(`"${spelt}"`);
        const out = scrubbed([key], cutAt(text, at));
        assert.equal(out.length, text.length);
        const left = out.toString().replaceAll('*', '');
        // At most the two letters that the key's first byte shares with what stands before, and what is not the key's.
        const own = Math.ceil(((before.length + after.length) * 4) / 3) + 4 + 2;
        const letters = alphabet === 'percent' ? decodeURIComponent(left) : left.replaceAll('\\/', '/');
        assert.ok(letters.length - 2 <= own + 2, `${text} -> ${out}`);
        assert.deepEqual(scrubbed([key], singles(text)), out);
      },
    ),
    { numRuns: 1000 },
  );
});

test('text without the key passes untouched, whatever it is and however it is cut', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), cuts, (bytes, at) => {
      const text = Buffer.from(bytes);
      assert.deepEqual(scrubbed(['sk-this-is-a-key-0123456789'], cutAt(text, at)), text);
    }),
  );
  // Beginnings of every spelling, again and again.
  const teasing = Buffer.from(
    'sk-thi%73%6bsk-this-is-a-key\\u0073\\u006b736b2d7468c2stdGhpc2stdGhp'.repeat(50),
  );
  assert.deepEqual(scrubbed(['sk-this-is-a-key-0123456789'], singles(teasing)), teasing);
});

test('several keys, and one that begins like another', () => {
  const keys = ['sk-one-0123456789', 'sk-one-01234567', 'other-key-xyz'];
  const out = scrubbed(keys, [
    Buffer.from('a sk-one-0123456789 b sk-one-01234567x c other-key-xyz d'),
  ]).toString();
  assert.equal(out, `a ${'*'.repeat(17)} b ${'*'.repeat(15)}x c ${'*'.repeat(13)} d`);
});

test('a token of 2 kB, and an answer that is all base64', () => {
  const token = Buffer.from(Array.from({ length: 1500 }, (_, at) => (at * 7919) % 251)).toString('base64url');
  const spelt = Buffer.from(token).toString('base64');
  const out = scrubbed([token], cutAt(Buffer.from(`{"a":"${spelt}"}`), [0.1, 0.5, 0.9])).toString();
  assert.match(out, /^\{"a":"\*+=*"\}$/);
  const blob = Buffer.from(Buffer.alloc(3e6, 'a picture of noise').toString('base64'));
  const started = performance.now();
  assert.deepEqual(scrubbed([token], cutAt(blob, [0.2, 0.21, 0.3])), blob);
  assert.ok(performance.now() - started < 1000);
});
