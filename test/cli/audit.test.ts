/** `holdfast audit verify`, as a program, on the files of a home. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createHeads } from '../../appliance/keeper/heads.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { vkeyOf } from '../../proxies/ledger/note.ts';
import { holdfast, tempHome } from './fake.ts';

async function recorded(t: TestContext): Promise<{ home: string; key: KeyObject }> {
  const home = tempHome(t);
  const audit = join(home, 'audit');
  for (const folder of ['keeper', 'audit', 'audit/keeper', 'audit/traffic']) mkdirSync(join(home, folder));
  for (const name of ['keeper', 'traffic']) writeFileSync(join(audit, `${name}.jsonl`), '');
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeFileSync(join(home, 'keeper/ledger.pub.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  const traffic = await openLedger({ path: join(audit, 'traffic.jsonl'), archive: join(audit, 'traffic') });
  const keeper = await openLedger({ path: join(audit, 'keeper.jsonl'), archive: join(audit, 'keeper') });
  const heads = createHeads(audit, privateKey, 'holdfast/1a2b3c4d');
  for (let turn = 1; turn <= 3; turn++) await traffic.append({ kind: 'request', turn });
  await traffic.rotate();
  await traffic.append({ kind: 'request', turn: 4 });
  heads.moved(keeper.head());
  await keeper.append(heads.moved(keeper.head()) ?? {});
  await Promise.all([traffic.close(), keeper.close()]);
  return { home, key: publicKey };
}

type Facts = {
  ok: boolean;
  vkey: string;
  ledgers: { ledger: string; ok: boolean; bad?: { file: string; line: number } }[];
};

test('a whole record ends with 0, and says with which key it was signed', async (t) => {
  const { home, key } = await recorded(t);
  const told = await holdfast('audit', 'verify', '--home', home);
  assert.equal(told.code, 0, told.err);
  assert.match(told.out, /^LEDGER +STATE +LINES +SEGMENTS +SIGNED UP TO\n/);
  assert.match(told.out, /^traffic +whole +5 +2 +line 5 at 20/m);
  assert.ok(told.out.endsWith('\n'), 'what stderr says begins on a line of its own');
  assert.match(told.err, /^signed by holdfast\/[0-9a-f]{8}\+[0-9a-f]{8}\+/);
  const facts = JSON.parse((await holdfast('audit', 'verify', '--home', home, '--json')).out) as Facts;
  assert.equal(facts.ok, true);
  assert.equal(facts.vkey.split('+').slice(2).join('+'), vkeyOf('x', key).split('+').slice(2).join('+'));
  assert.equal((await holdfast('audit', 'verify', '--home', home, '--key', facts.vkey)).code, 0);
});

test('a bad record ends with 3 and is named with its file and line', async (t) => {
  const { home } = await recorded(t);
  const file = join(home, 'audit/traffic.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"turn":4', '"turn":5'));
  const told = await holdfast('audit', 'verify', '--home', home);
  assert.equal(told.code, 3);
  assert.match(told.out, /^traffic +BAD/m);
  assert.match(told.out, /audit\/traffic\.jsonl line 2: it is not the line that was signed at/);
  const facts = JSON.parse((await holdfast('audit', 'verify', '--home', home, '--json')).out) as Facts;
  const bad = facts.ledgers.find(({ ok }) => !ok);
  assert.deepEqual([facts.ok, bad?.ledger, bad?.bad?.line], [false, 'traffic', 2]);
});

test('with a key that was noted before, a record that was signed anew is found', async (t) => {
  const { home } = await recorded(t);
  const noted = vkeyOf('holdfast/1a2b3c4d', generateKeyPairSync('ed25519').publicKey);
  const told = await holdfast('audit', 'verify', '--home', home, '--key', noted);
  assert.equal(told.code, 3);
  assert.match(told.out, /audit\/keeper\.jsonl line 1: it has a checkpoint that this key did not sign/);
});

test('what is no key, and a home without a record, are said as such', async (t) => {
  const { home } = await recorded(t);
  assert.equal((await holdfast('audit', 'verify', '--home', home, '--key', 'mine')).code, 2);
  const none = await holdfast('audit', 'verify', '--home', join(home, 'none'));
  assert.equal(none.code, 69);
  assert.match(none.err, /there is no folder .*none\/audit\nName the home: --home DIR/);
});

test('without its verb it verifies too', async (t) => {
  const { home } = await recorded(t);
  const told = await holdfast('audit', '--home', home);
  assert.equal(told.code, 0, told.err);
  assert.match(told.out, /^traffic +whole/m);
  const below = await holdfast('audit', '--home', home, 'verify', '--json');
  assert.equal(
    (JSON.parse(below.out) as Facts).ok,
    true,
    'a home that was named before the verb is the home',
  );
});
