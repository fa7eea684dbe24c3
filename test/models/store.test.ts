/** Where logins are kept: whole or not at all, for nobody else, and under a name that is one. */
import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createStore } from '../../appliance/models/store.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hf-store-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('what was written is read back; what was not is nothing; nobody else may read it', async (t) => {
  const folder = folderOf(t);
  const store = createStore(folder);
  assert.equal(await store.read('claude'), undefined);
  await store.write('claude', 'first');
  await store.write('claude', 'second');
  await store.write('ollama@dev2', 'another');
  assert.equal(await store.read('claude'), 'second');
  assert.deepEqual(readdirSync(folder).sort(), ['claude.json', 'ollama@dev2.json'], 'no other file stays');
  for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
  // After a kill the folder is not there at all.
  assert.equal(await createStore(join(folder, 'gone')).read('claude'), undefined);
  await assert.rejects(createStore(join(folder, 'gone')).write('claude', 'x'), { code: 'ENOENT' });
});

test('what a crash left, or somebody planted, under the temporary name is not written through', async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'claude.json.part'), 'half', { mode: 0o644 });
  writeFileSync(join(folder, 'elsewhere'), 'untouched', { mode: 0o644 });
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'vendor.json.part'));
  const store = createStore(folder);
  await store.write('claude', 'whole');
  await store.write('vendor', 'whole');
  assert.equal(readFileSync(join(folder, 'elsewhere'), 'utf8'), 'untouched');
  for (const name of ['claude', 'vendor']) {
    assert.equal(await store.read(name), 'whole');
    assert.equal(statSync(join(folder, `${name}.json`)).mode & 0o777, 0o600);
  }
});

test('a write that fails leaves what was there, and the next one is made', async (t) => {
  const folder = folderOf(t);
  const store = createStore(folder);
  await store.write('claude', 'old');
  await assert.rejects(store.write('claude', null as unknown as string));
  assert.equal(await store.read('claude'), 'old');
  assert.deepEqual(readdirSync(folder), ['claude.json']);
  await store.write('claude', 'new');
  assert.equal(await store.read('claude'), 'new');
});

test('many writes at once are each whole, and the last one stands', async (t) => {
  const folder = folderOf(t);
  const store = createStore(folder);
  const texts = Array.from({ length: 50 }, (_, nth) => String(nth).padStart(4, '0').repeat(5000));
  let done = false;
  const reading = (async () => {
    while (!done) {
      const seen = await store.read('claude');
      assert.ok(seen === undefined || texts.includes(seen), 'never half of one');
    }
  })();
  await Promise.all(texts.map((text) => store.write('claude', text)));
  done = true;
  await reading;
  assert.equal(await store.read('claude'), texts.at(-1));
  assert.deepEqual(readdirSync(folder), ['claude.json']);
});

test('a name that is none is no path', async (t) => {
  const folder = folderOf(t);
  const store = createStore(join(folder));
  for (const name of [
    '',
    '.',
    '..',
    '../x',
    'a/b',
    '/etc/passwd',
    'A',
    '1a',
    'a\0',
    'a'.repeat(71),
    'a.b',
    '@a',
  ]) {
    await assert.rejects(store.read(name), RangeError, JSON.stringify(name));
    await assert.rejects(store.write(name, 'x'), RangeError, JSON.stringify(name));
  }
  assert.deepEqual(readdirSync(folder), []);
});
