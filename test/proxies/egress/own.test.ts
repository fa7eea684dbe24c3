/** The addresses of this machine as /proc tells them. */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { test } from 'node:test';
import { ownAddresses, ownIPv4, ownIPv6 } from '../../../proxies/egress/own.ts';

test('fib_trie: only what is local, once', () => {
  const trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
`;
  assert.deepEqual(ownIPv4(trie), ['192.0.2.2', '127.0.0.1']);
});

test('if_inet6: canonical spelling', () => {
  assert.deepEqual(
    ownIPv6(
      'fd000000000000000000000000000002 02 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n',
    ),
    ['fd00::2', '::1'],
  );
});

test('it finds every address that netlink finds', () => {
  const found = ownAddresses();
  for (const { address } of Object.values(networkInterfaces())
    .flat()
    .filter((each) => each !== undefined)) {
    assert.ok(found.has(address), address);
  }
});
