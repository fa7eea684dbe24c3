/** The spool, and the body that is sent from it with a few ranges changed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Edit } from '../../../proxies/llm/asked/edits.ts';
import { rewrite } from '../../../proxies/llm/asked/rewrite.ts';
import { createSpools } from '../../../proxies/llm/spool.ts';

function folder(t: TestContext): string {
  const made = mkdtempSync(join(tmpdir(), 'holdfast-spool-'));
  t.after(() => rmSync(made, { recursive: true }));
  return made;
}

test('gives back what was written, in memory and on disk, and leaves no file', (t) => {
  const at = folder(t);
  const spools = createSpools(at);
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }),
      fc.integer({ min: 0, max: 1000 }),
      fc.nat(),
      fc.nat(),
      (chunks, memoryBytes, a, b) => {
        const spool = spools(memoryBytes);
        for (const chunk of chunks) spool.write(Buffer.from(chunk));
        const whole = Buffer.concat(chunks);
        assert.equal(spool.bytes, whole.length);
        const [from, to] = [a % (whole.length + 1), b % (whole.length + 1)].sort((x, y) => x - y) as [
          number,
          number,
        ];
        assert.deepEqual(Buffer.from(spool.slice(from, to)), whole.subarray(from, to));
        assert.deepEqual(Buffer.concat([...spool.pieces(from, to)]), whole.subarray(from, to));
        spool.close();
        assert.deepEqual(readdirSync(at), []);
      },
    ),
    { numRuns: 200 },
  );
});

test('a view that was taken stays true when more is written', (t) => {
  const spool = createSpools(folder(t))(4096);
  spool.write(Buffer.from('first'));
  const view = spool.slice(0, 5);
  spool.write(Buffer.from(' and more'));
  assert.equal(view.toString(), 'first');
  assert.equal(spool.slice(0, spool.bytes).toString(), 'first and more');
  spool.close();
});

test('edits change their ranges and nothing else, small and large, and the length is the true one', async (t) => {
  const spools = createSpools(folder(t));
  for (const size of [1000, 300_000]) {
    const text = Array.from({ length: size }, (_, at) => 'abcdefghij'[at % 10]).join('');
    const spool = spools(64 * 1024);
    spool.write(Buffer.from(text));
    const edits: Edit[] = [
      { from: 0, to: 0, text: '<' },
      { from: 10, to: 15, text: 'é' },
      { from: size, to: size, text: '>' },
    ];
    const { content, bytes } = rewrite(spool, edits);
    const pieces: Buffer[] = [];
    if (Buffer.isBuffer(content)) pieces.push(content);
    else for await (const piece of content) pieces.push(piece);
    const sent = Buffer.concat(pieces);
    assert.equal(sent.length, bytes);
    assert.equal(sent.toString(), `<${text.slice(0, 10)}é${text.slice(15)}>`);
    spool.close();
  }
});
