/** The members of an object and the elements of an array are found as they stream, as JSON.parse has them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createPieces, type Piece } from '../../../proxies/llm/answer/pieces.ts';
import { cutAt, cuts, singles } from './cuts.ts';

const piecesOf = (chunks: Buffer[], maxBytes = 1e6): { pieces: Piece[]; closed: boolean } => {
  const pieces: Piece[] = [];
  const scan = createPieces(maxBytes, (piece) => pieces.push(piece));
  for (const chunk of chunks) scan.push(chunk);
  return { pieces, closed: scan.closed() };
};

const spaced = (text: string, by: number): string =>
  [text, JSON.stringify(JSON.parse(text), null, 2), ` ${text}\r\n`][by % 3] as string;

test('whatever the JSON and the cuts, the pieces are what JSON.parse gives', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.object({ withNullPrototype: false }), fc.array(fc.jsonValue())),
      fc.nat(2),
      cuts,
      (value, by, at) => {
        const json = JSON.stringify(value);
        const bytes = Buffer.from(spaced(json, by));
        const parsed = JSON.parse(json) as object;
        const { pieces, closed } = piecesOf([bytes]);
        assert.equal(closed, true);
        const expected = Array.isArray(parsed)
          ? parsed.map((each) => [undefined, each])
          : Object.entries(parsed);
        assert.deepEqual(
          pieces.map(({ name, text }) => [name, JSON.parse(text ?? 'null')]),
          expected,
        );
        assert.deepEqual(
          pieces.map(({ count }) => count),
          expected.map(([, each]) => (Array.isArray(each) ? each.length : 0)),
        );
        assert.deepEqual(piecesOf(cutAt(bytes, at)), { pieces, closed });
        assert.deepEqual(piecesOf(singles(bytes)), { pieces, closed });
        for (const to of [1, bytes.length >> 1, bytes.lastIndexOf(json.at(-1) as string)])
          assert.equal(piecesOf([bytes.subarray(0, to)]).closed, false);
      },
    ),
    { numRuns: 1000 },
  );
});

test('a piece over the bound is named and counted, and not kept', () => {
  const { pieces, closed } = piecesOf(
    singles(Buffer.from(`{"a":[${'1.5,'.repeat(2000)}2],"b":"${'x'.repeat(5000)}","c":3}`)),
    1024,
  );
  assert.deepEqual(pieces, [
    { name: 'a', text: undefined, count: 2001 },
    { name: 'b', text: undefined, count: 0 },
    { name: 'c', text: '3', count: 0 },
  ]);
  assert.equal(closed, true);
});

test('what stands behind the end is no end', () => {
  for (const text of ['{} {}', '{}x', '{}1', '[],', '1', '"a"', '{"a":1', '[[]', ''])
    assert.equal(piecesOf([Buffer.from(text)]).closed, false, text);
});
