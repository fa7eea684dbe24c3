/** Server-sent events are the same however the bytes are cut, and the same as eventsource-parser has them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createParser } from 'eventsource-parser';
import fc from 'fast-check';
import { createSse } from '../../../proxies/llm/answer/sse.ts';
import { cutAt, cuts } from './cuts.ts';

type Event = { type: string; data: string };

const ours = (chunks: Buffer[], end = false, maxBytes = 1e6): Event[] => {
  const events: Event[] = [];
  const sse = createSse({
    maxBytes,
    event: (type, data) => events.push({ type, data }),
    tooLong: () => events.push({ type: 'too long', data: '' }),
  });
  for (const chunk of chunks) sse.push(chunk);
  if (end) sse.end();
  return events;
};

const theirs = (bytes: Buffer): Event[] => {
  const events: Event[] = [];
  const parser = createParser({ onEvent: ({ event, data }) => events.push({ type: event ?? '', data }) });
  parser.feed(bytes.toString('utf8'));
  return events;
};

const word = fc.constantFrom(
  'data',
  'event',
  'id',
  'retry',
  'Data',
  'dat',
  'dataa',
  'eventx',
  '',
  'x',
  '\ufeffdata',
);
const value = fc.oneof(
  fc.constantFrom('', ' ', '{"a":1}', '[DONE]', 'ä', '日本', '🙂', ': x', 'message', '\u2028'),
  fc.string({ unit: 'grapheme', maxLength: 12 }).map((text) => text.replace(/[\r\n]/g, '')),
);
const line = fc.oneof(
  fc.tuple(word, fc.constantFrom(':', ': ', ':  ', ''), value).map((parts) => parts.join('')),
  fc.constant(''),
  value.map((text) => `: ${text}`),
);
const stream = fc
  .tuple(
    fc.constantFrom('', '\ufeff'),
    fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 12 }),
  )
  // Two characters that are a byte order mark read as Latin-1 are taken for one by eventsource-parser, and by nobody else.
  .map(([bom, lines]) => bom + lines.map((each) => each.join('')).join(''));

test('events do not depend on where the chunks are cut, and are those of eventsource-parser', () => {
  fc.assert(
    fc.property(stream, cuts, (text, at) => {
      const bytes = Buffer.from(text);
      const expected = theirs(bytes);
      assert.deepEqual(ours([bytes]), expected);
      assert.deepEqual(ours(cutAt(bytes, at)), expected);
      assert.deepEqual(ours([...bytes].map((byte) => Buffer.from([byte]))), expected);
    }),
    { numRuns: 2000 },
  );
});

test('any bytes at all are taken without a fault, and cut anywhere mean the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (bytes, at) => {
      const noisy = Buffer.from(
        bytes.map((byte) => (byte > 200 ? ([10, 13, 58, 100][byte % 4] ?? 10) : byte)),
      );
      assert.deepEqual(ours(cutAt(noisy, at), true), ours([noisy], true));
    }),
    { numRuns: 2000 },
  );
});

test('an event ends at its blank line at once, also where that is a CR', () => {
  for (const [stream, count] of [
    ['data: x\n\n', 1],
    ['data: x\r\n\r\n', 1],
    ['data: x\r\r', 1],
    ['data: x\r\n\r', 1],
    ['data: x\n', 0],
    ['data: x\r\n', 0],
  ] as const)
    assert.equal(ours([Buffer.from(stream)]).length, count, JSON.stringify(stream));
});

test('what a server left without a blank line is given at the end', () => {
  assert.deepEqual(ours([Buffer.from('data: [DONE]')], true), [{ type: '', data: '[DONE]' }]);
  assert.deepEqual(ours([Buffer.from('event: a\ndata: b\n')], true), [{ type: 'a', data: 'b' }]);
  assert.deepEqual(ours([Buffer.from('event: a\ndata: b\n\n')], true), [{ type: 'a', data: 'b' }]);
});

test('an event over the bound is skipped and said, the next one is read', () => {
  const long = `data: ${'x'.repeat(200)}\n\ndata: y\n\n`;
  const split = `${'data: 0123456789\n'.repeat(20)}\ndata: y\n\n`;
  for (const text of [long, split, `: ${'c'.repeat(300)}\n\ndata: y\n\n`]) {
    const bytes = Buffer.from(text);
    const expected = [
      { type: 'too long', data: '' },
      { type: '', data: 'y' },
    ];
    assert.deepEqual(ours([bytes], false, 100), expected);
    assert.deepEqual(
      ours(
        [...bytes].map((byte) => Buffer.from([byte])),
        false,
        100,
      ),
      expected,
    );
  }
});

test('8 MiB in one line, byte by byte or at once, are read in linear time and memory', () => {
  const bytes = Buffer.concat([
    Buffer.from('data: '),
    Buffer.alloc(8 * 1024 * 1024 - 6, 0x61),
    Buffer.from('\n\n'),
  ]);
  const small: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 97) small.push(bytes.subarray(at, at + 97));
  const started = performance.now();
  assert.equal(ours(small, false, 8 * 1024 * 1024)[0]?.data.length, 8 * 1024 * 1024 - 6);
  assert.ok(performance.now() - started < 2000);
});
