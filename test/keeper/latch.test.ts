import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { encodeLatch, latchBytes, readLatch, writeLatch } from '../../appliance/keeper/latch.ts';

const at = '2026-02-03T12:00:00.000Z';
const armed = encodeLatch({ state: 'armed', epoch: 3, at });

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-latch-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'latch');
}

const read = (path: string, bytes: Buffer): ReturnType<typeof readLatch> => {
  writeFileSync(path, bytes);
  return readLatch(path);
};

test('control: a latch says what was written to it', (t) => {
  const path = place(t);
  assert.equal(armed.length, latchBytes);
  assert.deepEqual(read(path, armed), { state: 'armed', epoch: 3, at });
  writeLatch(path, { state: 'killed', epoch: 4, at });
  assert.deepEqual(readLatch(path), { state: 'killed', epoch: 4, at });
  writeLatch(path, { state: 'armed', epoch: 5, at });
  assert.deepEqual(readLatch(path), { state: 'armed', epoch: 5, at });
});

test('it is overwritten in place: same file, same size', (t) => {
  const path = place(t);
  writeFileSync(path, armed);
  const before = statSync(path);
  writeLatch(path, { state: 'killed', epoch: 999_999_999_999, at });
  const after = statSync(path);
  assert.deepEqual([after.ino, after.size], [before.ino, latchBytes]);
});

test('a missing latch is killed, and is not made anew', (t) => {
  const path = place(t);
  const { state, why } = readLatch(path);
  assert.deepEqual([state, why], ['killed', 'the latch cannot be read: ENOENT']);
  assert.throws(() => writeLatch(path, { state: 'armed', epoch: 1, at }), { code: 'ENOENT' });
});

test('a latch cut at any byte, or with one more, is killed', (t) => {
  const path = place(t);
  for (let bytes = 0; bytes < latchBytes; bytes += 1)
    assert.equal(read(path, armed.subarray(0, bytes)).state, 'killed', `${bytes} bytes`);
  assert.equal(read(path, Buffer.concat([armed, Buffer.from('\n')])).state, 'killed');
});

test('a latch with any bit flipped is killed', (t) => {
  const path = place(t);
  for (let byte = 0; byte < latchBytes; byte += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const flipped = Buffer.from(armed);
      flipped[byte] = (flipped[byte] ?? 0) ^ (1 << bit);
      assert.equal(read(path, flipped).state, 'killed', `byte ${byte}, bit ${bit}`);
    }
  }
});

test('a torn write, the front of one latch and the back of another, is killed', (t) => {
  const path = place(t);
  const killed = encodeLatch({ state: 'killed', epoch: 4, at: '2026-02-03T12:00:01.000Z' });
  const text = armed.toString('latin1').trimEnd().length;
  for (let cut = 1; cut < text; cut += 1) {
    const torn = Buffer.concat([killed.subarray(0, cut), armed.subarray(cut)]);
    if (torn.equals(armed)) continue; // the two begin alike
    assert.equal(read(path, torn).state, 'killed', `cut at ${cut}`);
  }
});

test('zeros, another text, a folder and a pipe are killed', (t) => {
  const path = place(t);
  assert.equal(read(path, Buffer.alloc(latchBytes)).state, 'killed');
  assert.equal(read(path, Buffer.from('armed'.padEnd(latchBytes))).state, 'killed');
  rmSync(path);
  mkdirSync(path);
  assert.equal(readLatch(path).state, 'killed');
  rmSync(path, { recursive: true });
  execFileSync('perl', ['-MPOSIX=mkfifo', '-e', 'mkfifo($ARGV[0], 0600) or die $!', path]);
  assert.equal(readLatch(path).state, 'killed');
});

test('the text of the latch is for people too', () => {
  assert.match(
    armed.toString('latin1'),
    /^holdfast-latch-v1 armed 3 2026-02-03T12:00:00\.000Z [0-9a-f]{32}\n *\n$/,
  );
});

test('a latch that may not be read is killed', (t) => {
  const path = place(t);
  writeFileSync(path, armed);
  chmodSync(path, 0o000);
  // Root reads it all the same, and then it says the truth.
  const expected = process.getuid?.() === 0 ? 'armed' : 'killed';
  assert.equal(readLatch(path).state, expected);
  chmodSync(path, 0o600);
  assert.equal(readFileSync(path).length, latchBytes);
});
