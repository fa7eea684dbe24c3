/** Text of others, shown for what it is; and times in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { visible, visibleLine } from '../../appliance/view/visible.ts';
import { clockTime, count, span } from '../../appliance/view/words.ts';

test('what would hide, reorder or move text is shown by its code point', () => {
  const cases: [string, string][] = [
    ['a\u202Eb', 'a⟨U+202E⟩b'],
    ['\u2066x\u2069', '⟨U+2066⟩x⟨U+2069⟩'],
    ['a\u200Bb\u200D\uFEFF', 'a⟨U+200B⟩b⟨U+200D⟩⟨U+FEFF⟩'],
    ['\u001B[2J\u0007', '⟨U+001B⟩[2J⟨U+0007⟩'],
    ['rm\r\nls', 'rm⟨U+000D⟩\nls'],
    ['\u0000\u007F\u0085\u009B', '⟨U+0000⟩⟨U+007F⟩⟨U+0085⟩⟨U+009B⟩'],
    ['a\u00A0b\u3000c\u2028d', 'a⟨U+00A0⟩b⟨U+3000⟩c⟨U+2028⟩d'],
    ['\u00AD\u3164\uFE0F\u{E0041}', '⟨U+00AD⟩⟨U+3164⟩⟨U+FE0F⟩⟨U+E0041⟩'],
    ['\uD800', '⟨U+D800⟩'],
    ['\uE000', '⟨U+E000⟩'],
  ];
  for (const [given, shown] of cases) assert.equal(visible(given), shown);
});

test('ordinary text of any language stays as it is', () => {
  for (const text of [
    'echo "hi"\n\tls',
    'naïve – „Grüße“',
    'สวัสดี',
    'עברית',
    'שלום',
    'العربية',
    '日本語',
    '🦀',
    'e\u0301',
  ]) {
    assert.equal(visible(text), text);
  }
});

test('marks piled on one letter are counted out', () => {
  assert.match(visible(`a${'\u0301'.repeat(40)}`), /^a(⟨U\+0301⟩){40}$/);
});

test('a line is one line, cut where it says so', () => {
  assert.equal(visibleLine('a\nb\tc'), 'a⟨U+000A⟩b⟨U+0009⟩c');
  assert.equal(visibleLine('x'.repeat(300), 10), `${'x'.repeat(10)}…`);
  assert.equal(visibleLine(`${'x'.repeat(9)}🦀`, 10), `${'x'.repeat(9)}…`, 'never half a character');
  assert.deepEqual([visibleLine(undefined), visibleLine(null), visibleLine(7)], ['', '', '7']);
});

test('what is left is rounded down, so that it never promises more than there is', () => {
  assert.deepEqual(
    [-5, 0, 59_999, 60_000, 899_999, 3_599_999, 3_600_000, 172_799_999, 172_800_000].map(span),
    ['0 s', '0 s', '59 s', '1 min', '14 min', '59 min', '1 h', '47 h', '2 days'],
  );
  assert.deepEqual(
    [count(1, 'call'), count(2, 'call'), count(0, 'entry', 'entries')],
    ['1 call', '2 calls', '0 entries'],
  );
});

test('a time of today has seconds, one of another day its date, and nonsense is nothing', () => {
  const now = new Date(2026, 1, 3, 14, 3, 22).getTime();
  assert.equal(clockTime(now, now), '14:03:22');
  assert.equal(clockTime(now - 86_400_000, now), '2026-02-02 14:03');
  assert.equal(clockTime(Number.NaN, now), '');
});
