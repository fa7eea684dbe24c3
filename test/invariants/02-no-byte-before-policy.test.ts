/** Invariant 2, at the egress doors: no byte leaves for a name before the policy has said yes to that name; no DNS lookup either. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { createResolve } from '../../proxies/egress/resolve.ts';
import {
  curl,
  type FarEnd,
  type NameServer,
  startDoor,
  startFarEnd,
  startNameServer,
  startTcp,
  talk,
  until,
} from '../proxies/egress/door.ts';

const loopback = '127.0.0.1';

/** A door with the real resolver, whose name server knows every name, listed or not: the far end. */
async function start(
  t: TestContext,
): Promise<{ far: FarEnd; server: NameServer; door: Awaited<ReturnType<typeof startDoor>> }> {
  const far = await startFarEnd(t);
  const server = await startNameServer(t, () => [loopback]);
  const door = await startDoor(t, {
    rules: [
      { host: 'listed.example', ports: [far.port] },
      { host: loopback, ports: [far.port] },
    ],
    resolve: createResolve([server.address]),
  });
  return { far, server, door };
}

const forms: [what: string, args: string[]][] = [
  ['by CONNECT', ['--proxytunnel']],
  ['by absolute-form', []],
];

for (const [what, args] of forms) {
  test(`a denied name ${what} costs no lookup and no connection; a listed one does both`, async (t) => {
    const { far, server, door } = await start(t);
    const denied = [
      `denied.example:${far.port}`,
      `secret-data.denied.example:${far.port}`,
      'listed.example:1', // the name, on a port that is not listed
      `sub.listed.example:${far.port}`,
      `listed.example.denied.example:${far.port}`,
    ];
    for (const place of denied) {
      const { out } = await curl(door.url, '--include', ...args, '--data', 'private', `http://${place}/`);
      assert.match(out, /^HTTP\/1\.1 40[03] Refused by Holdfast/, place);
    }
    assert.deepEqual(server.asked, []);
    assert.equal(far.connections, 0);
    assert.equal(door.lines.filter(({ kind }) => kind === 'refusal').length, denied.length);

    const { out } = await curl(door.url, ...args, `http://listed.example:${far.port}/`);
    assert.match(out, /^far end/, 'control: the probe can reach the far end');
    assert.deepEqual(server.asked.sort(), ['listed.example A', 'listed.example AAAA']);
    assert.equal(far.connections, 1);
  });
}

test('a redirect is the client’s to follow, and is judged like anything else', async (t) => {
  const { far, server, door } = await start(t);
  const answer = `HTTP/1.1 302 Found\r\nLocation: http://denied.example:${far.port}/\r\nContent-Length: 0\r\n\r\n`;
  const port = await startTcp(t, (socket) => void socket.once('data', () => socket.end(answer)));
  door.egress.setRules([
    { host: 'listed.example', ports: [port] },
    { host: loopback, ports: [port, far.port] },
  ]);
  const { out } = await curl(door.url, '--include', '--location', `http://listed.example:${port}/`);
  assert.match(out, /^HTTP\/1\.1 302 Found[\s\S]*not-listed/);
  assert.deepEqual(server.asked.sort(), ['listed.example A', 'listed.example AAAA']);
  assert.equal(far.connections, 0);
});

test('the name door asks nobody, whatever it is asked', async (t) => {
  const { server, door, far } = await start(t);
  const socket = createSocket('udp4').bind(0, loopback);
  door.egress.names(socket);
  await once(socket, 'listening');
  t.after(() => socket.close());
  const resolver = new dns.Resolver({ timeout: 1000, tries: 1 });
  resolver.setServers([`${loopback}:${socket.address().port}`]);
  await assert.rejects(resolver.resolve4('data-in-a-name.denied.example'), { code: 'ENOTFOUND' });
  assert.equal((await resolver.resolve4('listed.example')).length, 1);
  assert.deepEqual(server.asked, []);
  await curl(door.url, `http://listed.example:${far.port}/`);
  assert.notDeepEqual(server.asked, [], 'control: a real lookup would have been seen');
});

test('what a client sends along with its CONNECT waits for the verdict', async (t) => {
  const far = await startFarEnd(t);
  let answer = (_addresses: string[]): void => {};
  const door = await startDoor(t, {
    rules: [
      { host: 'listed.example', ports: [far.port] },
      { host: loopback, ports: [far.port] },
    ],
    resolve: () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  });
  const eager = (host: string): string =>
    `CONNECT ${host}:${far.port} HTTP/1.1\r\nHost: x\r\n\r\nGET /early HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;

  const denied = await talk(t, door.port, eager('denied.example'));
  await denied.hears('not-listed');
  const turned = await talk(t, door.port, eager('listed.example'));
  await new Promise((resolve) => setTimeout(resolve, 100));
  answer(['10.0.0.1']);
  await turned.hears('address-refused');
  assert.equal(far.connections, 0);

  const listed = await talk(t, door.port, eager('listed.example'));
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(far.bytes, '', 'not before the lookup has ended either');
  answer([loopback]);
  await listed.hears('far end 127.0.0.1 /early');
  await until(() => far.bytes.startsWith('GET /early'));
});
