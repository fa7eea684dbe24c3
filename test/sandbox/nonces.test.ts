/** The ledger of used approvals: once, across restarts, and never again after a doubt. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openNonces } from '../../sandbox/nonces.ts';

const folder = mkdtempSync(join(tmpdir(), 'hf-nonces-'));
after(() => rmSync(folder, { recursive: true }));
const a = 'a'.repeat(32);
const b = 'b'.repeat(32);
const soon = '2026-02-03T12:15:00.000Z';
const at = (): number => Date.parse('2026-02-03T12:00:00.000Z');

test('a nonce is used once, also after a restart, and is on the disk by then', async () => {
  const path = join(folder, 'one');
  const first = await openNonces(path, at);
  assert.equal(await first.use(a, soon), true);
  assert.equal(readFileSync(path, 'utf8'), `${a} ${soon}\n`);
  assert.equal(await first.use(a, soon), false);
  await first.close();
  const second = await openNonces(path, at);
  assert.equal(await second.use(a, soon), false);
  assert.equal(await second.use(b, soon), true);
  await second.close();
});

test('of two uses at once one is second', async () => {
  const nonces = await openNonces(join(folder, 'two'), at);
  assert.deepEqual((await Promise.all([nonces.use(a, soon), nonces.use(a, soon)])).sort(), [false, true]);
  await nonces.close();
});

test('a line without its end was no use, and does not spoil the next', async () => {
  const path = join(folder, 'torn');
  writeFileSync(path, `${a} ${soon}\n${b} 2026-02`);
  const nonces = await openNonces(path, at);
  assert.equal(await nonces.use(a, soon), false);
  assert.equal(await nonces.use(b, soon), true);
  await nonces.close();
  assert.equal(readFileSync(path, 'utf8'), `${a} ${soon}\n${b} ${soon}\n`);
});

test('what cannot be read as used nonces opens nothing', async () => {
  const path = join(folder, 'garbage');
  writeFileSync(path, `${a} ${soon}\nhello\n`);
  await assert.rejects(openNonces(path, at), /line 2/);
  symlinkSync(path, join(folder, 'link'));
  await assert.rejects(openNonces(join(folder, 'link'), at), /ELOOP/);
});

test('is emptied only when all in it expired a week ago: a clock set back makes nothing new', async () => {
  const path = join(folder, 'old');
  writeFileSync(path, `${a} 2026-01-01T00:00:00.000Z\n`);
  const day = 24 * 3600 * 1000;
  const recent = await openNonces(path, () => Date.parse('2026-01-01T00:00:00.000Z') + 6 * day);
  assert.equal(await recent.use(a, soon), false);
  await recent.close();
  const late = await openNonces(path, () => Date.parse('2026-01-01T00:00:00.000Z') + 8 * day);
  await late.close();
  assert.equal(readFileSync(path, 'utf8'), '');
});

test('a use that cannot be written rejects, and the nonce stays used', async () => {
  const path = join(folder, 'closed');
  const nonces = await openNonces(path, at);
  await nonces.close();
  await assert.rejects(nonces.use(a, soon));
  assert.equal(await nonces.use(a, soon), false);
});
