/** Invariant 3: the address that was judged is the address that is dialled. The name server turns its answers; a canary listens where they turn to. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type LookupFunction } from 'node:net';
import { type TestContext, test } from 'node:test';
import { dial } from '../../proxies/egress/dial.ts';
import { createResolve } from '../../proxies/egress/resolve.ts';
import { createSockets } from '../../proxies/sockets.ts';
import { addressClass } from '../../proxies/verdict/address.ts';
import { curl, startDoor, startFarEnd, startNameServer } from '../proxies/egress/door.ts';

const good = '127.0.0.1';
const canaryAddress = '127.0.0.2';

/** `turns.example` is the good address at every odd question for A, the canary's at every even one, with a TTL of 0. */
async function start(t: TestContext) {
  const far = await startFarEnd(t, good);
  const canary = await startFarEnd(t, canaryAddress, far.port);
  let questions = 0;
  const server = await startNameServer(t, () => [
    Math.floor(questions++ / 2) % 2 === 0 ? good : canaryAddress,
  ]);
  const resolve = createResolve([server.address]);
  // The owner has listed the good address; the canary's, of the same class, is not.
  const rules = [
    { host: 'turns.example', ports: [far.port] },
    { host: good, ports: [far.port] },
  ];
  const door = await startDoor(t, { rules, resolve });
  return { far, canary, server, resolve, door };
}

for (const form of [[], ['--proxytunnel']]) {
  test(`a name that turns between two lookups reaches the judged address or nothing ${form.join('')}`, async (t) => {
    const { far, canary, door } = await start(t);
    const told: string[] = [];
    for (let turn = 0; turn < 6; turn++) {
      const { out } = await curl(door.url, '--include', ...form, `http://turns.example:${far.port}/`);
      told.push(/far end|address-refused/.exec(out)?.[0] ?? out);
    }
    assert.deepEqual(told, Array(3).fill(['far end', 'address-refused']).flat());
    assert.equal(canary.connections, 0);
    assert.equal(far.connections, 3);
    const requests = door.lines.filter(({ kind }) => kind === 'request');
    const outcomes = door.lines.filter(({ kind }) => kind === 'outcome');
    assert.deepEqual(
      requests.map(({ addresses }) => addresses),
      outcomes.map(({ address }) => [address]),
      'what is on record as judged is on record as dialled',
    );
  });
}

test('one exchange makes one lookup', async (t) => {
  const { far, server, door } = await start(t);
  await curl(door.url, `http://turns.example:${far.port}/`);
  assert.deepEqual(server.asked.sort(), ['turns.example A', 'turns.example AAAA']);
});

test('control: a proxy that judges one lookup and dials by another reaches the canary', async (t) => {
  const { far, canary, resolve } = await start(t);
  const [judged = ''] = await resolve('turns.example');
  assert.equal(judged, good, 'this is what it would have judged');
  const lookup: LookupFunction = (name, _options, callback) => {
    resolve(name).then(
      (answers) => {
        const all = answers.map((address) => ({ address, family: 4 }));
        callback(null, all);
      },
      (error: NodeJS.ErrnoException) => callback(error, []),
    );
  };
  const socket = connect({ host: 'turns.example', port: far.port, lookup, autoSelectFamily: true });
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  assert.equal(socket.remoteAddress, canaryAddress);
  assert.equal(canary.connections, 1);
});

const forms = [
  '::ffff:127.0.0.2',
  '::127.0.0.2',
  '64:ff9b::7f00:2',
  '2002:7f00:2::',
  '2001:0:7f00:2::',
  '169.254.169.254',
  '0.0.0.0',
  '::',
  '::1',
  'fe80::1',
  '224.0.0.1',
  '100.64.0.1',
  'fd00::1',
  '198.18.0.1',
  '10.0.0.1',
];

test('an answer of no public class is refused, in whatever form it comes, alone or among good ones', async (t) => {
  const far = await startFarEnd(t);
  const canary = await startFarEnd(t, canaryAddress, far.port);
  for (const address of forms) {
    assert.notEqual(addressClass(address), 'public');
    for (const answers of [[address], [good, address], [address, good]]) {
      const server = await startNameServer(t, () => answers);
      const door = await startDoor(t, {
        rules: [
          { host: 'turns.example', ports: [far.port] },
          { host: good, ports: [far.port] },
        ],
        resolve: createResolve([server.address]),
      });
      const { out } = await curl(door.url, '--include', `http://turns.example:${far.port}/`);
      assert.match(out, /x-holdfast-refusal: address-refused/, answers.join(' '));
    }
  }
  assert.equal(far.connections + canary.connections, 0);
});

test('the dialler itself knows no names', async (t) => {
  const far = await startFarEnd(t);
  const sockets = createSockets();
  const common = { port: far.port, timeoutMs: 1000, sockets, wanted: () => true };
  await assert.rejects(
    dial({ ...common, addresses: [{ kind: 'v4', text: 'localhost' }] }),
    /a lookup after the verdict/,
  );
  const dialled = await dial({ ...common, addresses: [{ kind: 'v4', text: good }] });
  assert.ok('socket' in dialled, 'control');
  sockets.destroyAll();
});
