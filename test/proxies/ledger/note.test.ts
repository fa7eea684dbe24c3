/** Signed notes and checkpoints, against the vector of golang.org/x/mod/sumdb/note and against what a forger would try. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { openCheckpoint, signCheckpoint } from '../../../proxies/ledger/checkpoint.ts';
import { openNote, parseVkey, signNote, vkeyOf } from '../../../proxies/ledger/note.ts';

const vkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const text =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const signature =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';

test('a note of another implementation opens with its key', () => {
  const peter = parseVkey(vkey);
  assert.ok(peter);
  assert.equal(vkeyOf(peter.name, peter.key), vkey);
  assert.equal(openNote(`${text}\n${signature}`, peter.name, peter.key), text);
  assert.equal(openNote(`${text}\n${signature.replace('/ZJ', '/ZK')}`, peter.name, peter.key), null);
  assert.equal(openNote(`${text.replace('your', 'my')}\n${signature}`, peter.name, peter.key), null);
});

test('a key that is not what its hash says is none', () => {
  for (const bad of [
    '',
    'x',
    vkey.replace('Peter', 'Petra'),
    vkey.replace('c74f', 'c74e'),
    vkey.replace('+ARpc', '+AhpR'),
    vkey.slice(0, -4),
    `${vkey}A`,
    vkey.replace('PeterNeumann', 'Peter Neumann'),
  ])
    assert.equal(parseVkey(bad), null, bad);
});

test('signatures of others are left unjudged; without ours, or with a wrong one of ours, it does not open', () => {
  const [ours, theirs] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
  const note = signNote('a\nb\n', 'us', ours.privateKey);
  const other = signNote('a\nb\n', 'them', theirs.privateKey).split('\n').at(-2);
  assert.equal(openNote(note, 'us', ours.publicKey), 'a\nb\n');
  assert.equal(openNote(`${note}${other}\n`, 'us', ours.publicKey), 'a\nb\n');
  assert.equal(openNote(note, 'them', theirs.publicKey), null);
  assert.equal(openNote(note, 'us', theirs.publicKey), null, 'the same name, another key');
  const wrong = signNote('a\nc\n', 'us', ours.privateKey).split('\n').at(-2);
  assert.equal(openNote(`${note}${wrong}\n`, 'us', ours.publicKey), null);
  for (const bad of ['', '\n', note.slice(0, -1), `${note}\n`, `${note}junk\n`, note.replace('\n\n', '\n')])
    assert.equal(openNote(bad, 'us', ours.publicKey), null, JSON.stringify(bad));
  assert.throws(() => signNote('a\n', 'us', generateKeyPairSync('x25519').privateKey), TypeError);
});

test('a checkpoint says origin, size, root and time, and nothing else opens as one', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const point = {
    origin: 'holdfast/1a2b3c4d/traffic',
    size: 1234,
    hash: 'ab'.repeat(32),
    at: '2026-02-03T12:00:00.000Z',
  };
  const note = signCheckpoint(point, privateKey);
  assert.deepEqual(openCheckpoint(note, publicKey), point);
  const [origin, size, root] = note.split('\n');
  assert.deepEqual(
    [origin, size, Buffer.from(root ?? '', 'base64').length],
    ['holdfast/1a2b3c4d/traffic', '1234', 32],
  );
  const signed = (body: string): string => signNote(body, 'x', privateKey);
  for (const body of [
    'x\n1\n',
    'x\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nat 2026-02-03T12:00:00.000Z\n',
    'x\n1\nAAAA\nat 2026-02-03T12:00:00.000Z\n',
    'x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n',
    'x\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nat 2026-02-33T12:00:00.000Z\n',
  ])
    assert.equal(openCheckpoint(signed(body), publicKey), null, body);
  assert.equal(openCheckpoint('', publicKey), null);
});
