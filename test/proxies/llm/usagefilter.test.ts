/** An agent that did not ask for usage gets the bytes of a server that was not asked, however they are cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createUsageFilter } from '../../../proxies/llm/answer/usagefilter.ts';
import { cutAt, cuts, singles } from './cuts.ts';

const through = (chunks: Buffer[]): string => {
  const filter = createUsageFilter();
  return Buffer.concat([...chunks.map((chunk) => Buffer.from(filter.push(chunk))), filter.end()]).toString();
};
const filtered = (text: string): string => through([Buffer.from(text)]);

/** How servers write JSON: without spaces, as Python does, and with a space at the ends. */
const writers = [
  (value: object) => JSON.stringify(value),
  (value: object) =>
    JSON.stringify(value, null, 1).replaceAll(/\n */g, ' ').replace(/^\{ /, '{').replace(/ \}$/, '}'),
];
const usage = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 };

/** Members of a chunk besides usage; some of them look like it. */
const member = fc.constantFrom<[string, unknown]>(
  ['id', 'chatcmpl-1'],
  ['choices', [{ index: 0, delta: { content: '"usage":null' }, usage: null }]],
  ['choices', [{ index: 0, delta: { content: '{"choices":[],"usage":{"a":1}}\\' } }]],
  ['choices', [{ index: 0, delta: { tool_calls: [{ function: { arguments: '{"usage":null,' } }] } }]],
  ['obfuscation', '\\","usage":null'],
  ['x', { usage: null, y: [{ usage: null }] }],
  ['prompt_filter_results', []],
  ['ü', '🙂'],
);

/** What the server sends unasked, and what it sends for the same when asked. */
const event = fc.oneof(
  fc
    .tuple(fc.array(member, { minLength: 1, maxLength: 4 }), fc.nat(4), fc.constantFrom(...writers))
    .map(([members, at, write]) => {
      const unique = [...new Map(members)];
      const asked = unique.toSpliced(Math.min(at, unique.length), 0, ['usage', null]);
      return [
        `data: ${write(Object.fromEntries(unique))}`,
        `data: ${write(Object.fromEntries(asked))}`,
      ] as const;
    }),
  fc
    .constantFrom(...writers)
    .map((write) => ['', `data: ${write({ id: 'x', choices: [], usage })}`] as const),
  fc
    .constantFrom(
      ': comment',
      'event: usage\ndata: {"a":"usage"}',
      'data: [DONE]',
      'data: "usage"',
      'id: 4\ndata:{"usage":5}',
      'data: {"choices":[{}],"usage":{"a":1}}',
    )
    .map((text) => [text, text] as const),
);

test('for any chunking, the stream is that of a server that was not asked', () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 6 }),
      fc.constantFrom('\n', '\r\n', '\r'),
      cuts,
      (events, end, at) => {
        const written = (which: 0 | 1): string =>
          events
            .filter((each) => each[which] !== '')
            .map((each) => `${each[which]}\n\n`)
            .join('')
            .replaceAll('\n', end);
        const asked = Buffer.from(written(1));
        assert.equal(through([asked]), written(0));
        assert.equal(through(cutAt(asked, at)), written(0));
        assert.equal(through(singles(asked)), written(0));
      },
    ),
    { numRuns: 1500 },
  );
});

test('mixed line ends too', () => {
  const ends = ['\n', '\r\n', '\r'];
  for (const one of ends)
    for (const two of ends)
      for (const three of ends) {
        if (one === '\r' && two === '\n') continue;
        const text = `data: {"choices":[],"usage":{"a":1}}${one}${two}data: {"a":1,"usage":null}${one}${three}: c${two}data: x`;
        const expected = `data: {"a":1}${one}${three}: c${two}data: x`;
        assert.equal(through(singles(Buffer.from(text))), filtered(text), JSON.stringify([one, two, three]));
        if (one !== '\r' || three !== '\n')
          assert.equal(filtered(text), expected, JSON.stringify([one, two, three]));
      }
});

test('any bytes pass unchanged that hold no usage, and whatever they hold the filter does not throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (bytes, at) => {
      const noisy = Buffer.from(
        bytes.map((byte) => (byte > 180 ? ([10, 13, 58, 123][byte % 4] ?? 10) : byte)),
      );
      assert.deepEqual(Buffer.from(through(cutAt(noisy, at))), Buffer.from(noisy.toString()));
    }),
    { numRuns: 1000 },
  );
  fc.assert(
    fc.property(fc.stringMatching(/^(?:[{}[\]",:\\\n ]|"usage"|null|data: ){0,40}$/), cuts, (text, at) => {
      assert.equal(through(cutAt(Buffer.from(text), at)), filtered(text));
    }),
    { numRuns: 1000 },
  );
});

test('half a member at the end of an event is no member', () => {
  for (const text of [
    '{"usage"',
    '{"usage":',
    '{"usage":nul',
    '{"usage":null',
    '{"a":1,"usage',
    '{"usage":null,',
    '{"usage\\',
  ]) {
    const passed = filtered(`data: ${text}\n\n`);
    assert.ok(passed.startsWith('data: {') && passed.endsWith('\n\n'), text);
  }
});

test('an event is passed on when its blank line has come, a comment at its line end, and nothing is lost at a cut', () => {
  const filter = createUsageFilter();
  const push = (text: string): string => filter.push(Buffer.from(text)).toString();
  assert.equal(push('data: {"a":1}'), '');
  assert.equal(push('\n'), '');
  assert.equal(push('\n'), 'data: {"a":1}\n\n');
  assert.equal(push(': keep-alive\n'), ': keep-alive\n');
  assert.equal(push('data: {"choices":[],"usa'), '');
  assert.equal(filter.end().toString(), 'data: {"choices":[],"usa');
});

test('an event over 1 MiB passes as it comes, and the next one is filtered again', () => {
  const long = `data: {"x":"${'y'.repeat(2_000_000)}","usage":null}\n\n`;
  const next = 'data: {"a":1,"usage":null}\n\n';
  const chunks: Buffer[] = [];
  for (let at = 0; at < long.length; at += 60_000) chunks.push(Buffer.from(long.slice(at, at + 60_000)));
  assert.equal(through([...chunks, Buffer.from(next)]), `${long}data: {"a":1}\n\n`);
  assert.equal(filtered(long + next), `${long}data: {"a":1}\n\n`);
});
