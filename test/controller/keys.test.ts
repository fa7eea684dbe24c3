/** The controller's key pair and its database on disk. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { approvalKeys } from '../../appliance/controller/keys.ts';
import { openDatabase, transaction } from '../../appliance/database.ts';

const folderOf = (t: { after(done: () => void): void }): string => {
  const folder = mkdtempSync(join(tmpdir(), 'hf-keys-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

test('the pair is made on the first run, private for its owner alone, and stays the same', (t) => {
  const folder = folderOf(t);
  const [secret, open] = [join(folder, 'approvals.pem'), join(folder, 'approvals.pub.pem')];
  const first = approvalKeys(secret, open);
  assert.equal(statSync(secret).mode & 0o777, 0o600);
  assert.equal(statSync(open).mode & 0o777, 0o644);
  const again = approvalKeys(secret, open);
  assert.ok(first.publicKey.equals(again.publicKey));
  assert.ok(!readFileSync(open, 'utf8').includes('PRIVATE'));
});

test('a public half that is missing or another is written anew', (t) => {
  const folder = folderOf(t);
  const [secret, open] = [join(folder, 'approvals.pem'), join(folder, 'approvals.pub.pem')];
  approvalKeys(secret, open);
  const right = readFileSync(open, 'utf8');
  writeFileSync(open, 'another');
  approvalKeys(secret, open);
  assert.equal(readFileSync(open, 'utf8'), right);
});

test('a private key that is broken or of another kind is refused, never replaced', (t) => {
  const folder = folderOf(t);
  const [secret, open] = [join(folder, 'approvals.pem'), join(folder, 'approvals.pub.pem')];
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
    type: 'pkcs8',
    format: 'pem',
  });
  for (const text of ['', 'garbage', rsa.toString()]) {
    writeFileSync(secret, text);
    assert.throws(() => approvalKeys(secret, open), { code: 'broken-key' });
    assert.equal(readFileSync(secret, 'utf8'), text);
  }
});

test('a database grows by its steps, once each, and one from a newer version is left alone', (t) => {
  const path = join(folderOf(t), 'x.sqlite');
  openDatabase(path, ['CREATE TABLE a (x)']).close();
  const db = openDatabase(path, ['CREATE TABLE a (x)', 'CREATE TABLE b (x)']);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  db.exec('INSERT INTO b VALUES (1)');
  db.close();
  assert.throws(() => openDatabase(path, ['CREATE TABLE a (x)']), { code: 'newer-database' });
});

test('a step that fails leaves the file as it was, and what is no database is refused', (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'x.sqlite');
  assert.throws(() => openDatabase(path, ['CREATE TABLE a (x); NONSENSE']), { code: 'database' });
  openDatabase(path, ['CREATE TABLE a (x)']).close();
  const other = join(folder, 'other');
  writeFileSync(other, 'this is not a database, but it is long enough to be looked at as one '.repeat(20));
  assert.throws(() => openDatabase(other, []), { code: 'database' });
});

test('a transaction is all or nothing', (t) => {
  const db = openDatabase(join(folderOf(t), 'x.sqlite'), ['CREATE TABLE a (x)']);
  assert.throws(() =>
    transaction(db, () => {
      db.exec('INSERT INTO a VALUES (1)');
      throw new Error('no');
    }),
  );
  assert.equal(db.prepare('SELECT count(*) AS n FROM a').get()?.n, 0);
  db.close();
});
