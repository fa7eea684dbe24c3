/** Names to addresses by c-ares itself, against a name server that counts. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { createResolve } from '../../../proxies/egress/resolve.ts';
import { startNameServer } from './door.ts';

test('both families are asked for, and all answers come back', async (t) => {
  const server = await startNameServer(t, {
    'both.test': ['192.0.2.1', '192.0.2.2', '2001:db8::1'],
    'four.test': ['192.0.2.1'],
    'six.test': ['2001:db8::1'],
    'empty.test': [],
  });
  const resolve = createResolve([server.address]);
  assert.deepEqual((await resolve('both.test')).sort(), ['192.0.2.1', '192.0.2.2', '2001:db8::1']);
  assert.deepEqual(await resolve('four.test'), ['192.0.2.1']);
  assert.deepEqual(await resolve('six.test'), ['2001:db8::1']);
  assert.deepEqual(await resolve('empty.test'), []);
  assert.deepEqual(await resolve('none.test'), []);
  assert.deepEqual(server.asked.filter((each) => each.startsWith('both')).sort(), [
    'both.test A',
    'both.test AAAA',
  ]);
});

test('nothing is kept: the same question is asked again', async (t) => {
  const server = await startNameServer(t, { 'again.test': ['192.0.2.1'] });
  const resolve = createResolve([server.address]);
  await resolve('again.test');
  await resolve('again.test');
  assert.equal(server.asked.filter((each) => each === 'again.test A').length, 2);
});

test('no search domain is tried', async (t) => {
  const server = await startNameServer(t, {});
  assert.deepEqual(await createResolve([server.address])('single'), []);
  assert.deepEqual(server.asked.sort(), ['single A', 'single AAAA']);
});

test('a name server that does not answer is a fault, and not for ever', async (t) => {
  const silent = createSocket('udp4').bind(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const started = performance.now();
  await assert.rejects(createResolve([`127.0.0.1:${silent.address().port}`])('silent.test'), {
    code: 'ETIMEOUT',
  });
  assert.ok(performance.now() - started < 15_000);
});
