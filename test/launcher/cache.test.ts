/** The compile cache is code for every process: what the warming job left is taken over by root, and nothing but that. */
import assert from 'node:assert/strict';
import { linkSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { own } from '../../appliance/launcher/cache.ts';

const root = process.getuid?.() === 0;
const modeOf = (path: string): number => statSync(path).mode & 0o777;

test('a link that was planted among the entries is refused, and what it leads to keeps its mode', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-cache-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const cache = join(folder, 'cache');
  const secret = join(folder, 'secret');
  const planted = join(cache, 'v26/planted');
  mkdirSync(join(cache, 'v26'), { recursive: true });
  writeFileSync(join(cache, 'v26/entry'), 'code', { mode: 0o600 });
  writeFileSync(secret, 'mine', { mode: 0o600 });
  own(cache, root);
  assert.deepEqual([modeOf(join(cache, 'v26')), modeOf(join(cache, 'v26/entry'))], [0o755, 0o444]);
  for (const plant of [symlinkSync, linkSync]) {
    plant(secret, planted);
    assert.throws(() => own(cache, root), plant.name);
    assert.equal(modeOf(secret), 0o600, plant.name);
    rmSync(planted);
  }
});
