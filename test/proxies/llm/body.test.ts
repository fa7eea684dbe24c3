/** A body that can be read in two ways is not read at all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readBody } from '../../../proxies/llm/asked/body.ts';

const whyNot = (body: string | Buffer): string => {
  const read = readBody(Buffer.from(body));
  return read.ok ? 'read' : read.why;
};

test('reads an ordinary body', () => {
  const body = {
    model: 'm',
    a: [{ k: 1 }, { k: 2 }],
    s: 'quote " backslash \\ comma , brace {',
    n: { k: 3 },
  };
  const read = readBody(Buffer.from(JSON.stringify(body, null, 2)));
  assert.deepEqual(read, { ok: true, json: body });
});

test('refuses a key that occurs twice, however it is spelled', () => {
  const twice = 'the same key occurs twice in one object';
  assert.equal(whyNot('{"model":"a","model":"b"}'), twice);
  assert.equal(whyNot('{"model":"a","mod\\u0065l":"b"}'), twice);
  assert.equal(whyNot('{"mod\\u0065l":"a","model":"b"}'), twice);
  assert.equal(whyNot('{"m":[{"type":"text", "x":{"y":1},\n"type":"image_url"}]}'), twice);
  assert.equal(whyNot('{"a\\"":1,"a\\"":2}'), twice);
  assert.equal(whyNot('{"a":1,"b":{"a":1},"c":["a","a"],"d":"a"}'), 'read');
});

test('refuses what is not one JSON object in UTF-8', () => {
  for (const body of [
    '',
    '{',
    '{"a":1}{}',
    '{"a":1,}',
    '\ufeff{}',
    "{'a':1}",
    '{"a":NaN}',
    '{"a":"\n"}',
    '}{',
    '"',
  ]) {
    assert.equal(whyNot(body), 'it is not JSON', JSON.stringify(body));
  }
  for (const body of ['[]', '"x"', '1', 'null']) assert.equal(whyNot(body), 'it is not a JSON object');
  assert.equal(whyNot(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), 'it is not UTF-8');
  assert.equal(whyNot(Buffer.from('{"a":1}', 'utf16le')), 'it is not JSON');
});

test('refuses millions of brackets before they cost seconds', () => {
  const started = performance.now();
  assert.match(whyNot('['.repeat(30_000_000)), /nests deeper/);
  assert.match(whyNot(`{"a":[${'[],'.repeat(10_000_000)}[]]}`), /more than 500000 values/);
  assert.ok(performance.now() - started < 1500);
});

test('reads whatever JSON.stringify writes, and as the same value', () => {
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const strings = [
    '',
    '"',
    '\\',
    '\\"',
    '{',
    '}',
    '[',
    ',',
    ':',
    'a',
    '\u2028',
    '\ud83c\udf88',
    '\u0000',
    '__proto__',
  ];
  const value = (depth: number): unknown => {
    const kind = random(depth > 4 ? 4 : 6);
    if (kind === 0) return random(1000) - 500;
    if (kind === 1) return [true, false, null][random(3)];
    if (kind < 4) return strings[random(strings.length)];
    const items = Array.from({ length: random(5) }, () => value(depth + 1));
    if (kind === 4) return items;
    return Object.fromEntries(items.map((item, at) => [`${strings[random(strings.length)]}${at}`, item]));
  };
  for (let round = 0; round < 2000; round++) {
    const body = { value: value(0) };
    assert.deepEqual(readBody(Buffer.from(JSON.stringify(body))), { ok: true, json: body });
  }
});
