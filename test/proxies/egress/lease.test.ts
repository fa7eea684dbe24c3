/** No lease, no traffic: at the egress doors, before, during and after. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from 'dns-packet';
import { createNames } from '../../../proxies/egress/names.ts';
import { createPolicy } from '../../../proxies/egress/policy.ts';
import { createTestLease } from '../llm/rig.ts';
import { curl, startDoor, startFarEnd, startTcp, talk, until } from './door.ts';

const loopback = '127.0.0.1';

test('while closed and while killed every request is refused in words, and works again after', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [far.port] }] });
  const url = `http://${loopback}:${far.port}/`;
  for (const [state, words] of [
    ['closed', /^HTTP\/1\.1 503 .*closed[\s\S]*the keeper is not heard/],
    ['killed', /^HTTP\/1\.1 503 .*killed[\s\S]*holdfast rearm/],
  ] as const) {
    door.lease.lose(state);
    assert.match((await curl(door.url, '--include', url)).out, words);
    const tunnel = await curl(door.url, '--include', '--proxytunnel', url);
    assert.match(tunnel.out, new RegExp(`^HTTP/1\\.1 503 Refused by Holdfast: ${state}\r\n`));
  }
  assert.equal(far.connections, 0);
  assert.deepEqual(door.lines, []);
  door.lease.restore();
  assert.equal((await curl(door.url, url)).code, 0, 'control: the same request, with the lease');
});

test('open tunnels and answers under way die with the lease, at both ends', async (t) => {
  let open = 0;
  const port = await startTcp(t, (socket) => {
    open++;
    socket.once('close', () => {
      open--;
    });
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst'));
    socket.resume().once('end', () => socket.end());
  });
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }] });
  const tunnel = await talk(t, door.port, `CONNECT ${loopback}:${port} HTTP/1.1\r\nHost: x\r\n\r\nhello`);
  await tunnel.hears('first');
  const plain = await talk(t, door.port, `GET http://${loopback}:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  await plain.hears('first');
  const idle = await talk(t, door.port);
  assert.equal(open, 2);
  const lost = performance.now();
  door.lease.lose('killed');
  await Promise.all([tunnel.ends(), plain.ends(), idle.ends(), until(() => open === 0)]);
  assert.ok(performance.now() - lost < 1000);
  const outcomes = await until(() => {
    const found = door.lines.filter(({ kind }) => kind === 'outcome');
    return found.length === 2 && found;
  });
  assert.deepEqual(
    outcomes.map(({ error }) => error),
    ['lease-lost', 'lease-lost'],
  );
});

for (const moment of ['lookup', 'record'] as const) {
  for (const back of [false, true]) {
    const after = back ? 'even if it is back by then' : 'and stays away';
    test(`a lease lost during the ${moment} stops what was under way, ${after}`, async (t) => {
      const far = await startFarEnd(t);
      let reached = false;
      let goOn = (): void => {};
      const held = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      const hold = (when: typeof moment) => async () => {
        if (when !== moment) return;
        reached = true;
        await held;
      };
      const door = await startDoor(t, {
        rules: [
          { host: 'example.com', ports: [far.port] },
          { host: loopback, ports: [far.port] },
        ],
        resolve: async () => {
          await hold('lookup')();
          return [loopback];
        },
        record: hold('record'),
      });
      const tunnel = await talk(t, door.port, `CONNECT example.com:${far.port} HTTP/1.1\r\nHost: x\r\n\r\n`);
      await until(() => reached);
      door.lease.lose();
      if (back) door.lease.restore();
      await tunnel.ends();
      goOn();
      // Enough turns for a dial to happen, if there were one.
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(far.connections, 0);
      door.lease.restore();
      const next = await curl(door.url, `http://example.com:${far.port}/`);
      assert.equal(next.code, 0, 'control: the same request passes with the lease');
      assert.equal(far.connections, 1);
    });
  }
}

test('the name door answers REFUSED while the lease is lost', () => {
  const armed = createTestLease();
  const policy = createPolicy('main', [{ host: 'example.com', ports: [443] }]);
  const names = createNames({
    agent: 'main',
    policy: () => policy,
    armed,
    refusals: { note: () => {} },
    clock: () => 0,
    log: () => {},
  });
  const query = encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'example.com' }] });
  const code = (): number => (names.answer(query)?.[3] ?? 0) & 15;
  assert.equal(code(), 0, 'control');
  armed.lose();
  assert.equal(code(), 5);
  assert.deepEqual(decode(names.answer(query) ?? Buffer.alloc(12)).answers, []);
});
