/** No lease, no traffic: at the door, between record and dial, and on open streams. And two agents share nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import {
  chatBody,
  createTestLease,
  type Line,
  post,
  startBoth,
  startDoor,
  startProvider,
  until,
} from './rig.ts';

const chat = '/v1/chat/completions';
const endless = chatBody('word '.repeat(400), { model: 'practice-slow', stream: true });

test('without a lease nothing is recorded or dialled, and the answer says whether to wait', async (t) => {
  const { provider, rig } = await startBoth(t);
  rig.lease.lose('closed');
  const closed = await post(rig.url + chat, chatBody('hello'));
  assert.equal(closed.status, 503);
  assert.equal(closed.headers.get('retry-after'), '1');
  assert.match(await closed.text(), /Holdfast \(closed\)/);
  rig.lease.lose('killed');
  const killed = await post(rig.url + chat, chatBody('hello'));
  assert.equal(killed.status, 503);
  assert.equal(killed.headers.get('x-should-retry'), 'false');
  assert.match(await killed.text(), /holdfast rearm/);
  assert.equal(provider.requests.length, 0);
  assert.deepEqual(rig.lines, []);
  rig.lease.restore();
  assert.equal((await post(rig.url + chat, chatBody('hello'))).status, 200);
});

test('a lost lease ends open streams on both sides, and idle connections', async (t) => {
  const { provider, rig } = await startBoth(t);
  const idle = connect(rig.port, '127.0.0.1');
  await once(idle, 'connect');
  const answers = await Promise.all([1, 2, 3].map(() => post(rig.url + chat, endless)));
  const readers = answers.map((answer) => answer.body?.getReader());
  await Promise.all(readers.map((reader) => reader?.read()));
  const lost = performance.now();
  rig.lease.lose('killed');
  await Promise.all(
    readers.map((reader) =>
      assert.rejects(async () => {
        while (!(await reader?.read())?.done);
      }),
    ),
  );
  if (!idle.destroyed) await once(idle, 'close');
  await until(() => provider.requests.every((request) => request.goneAt !== undefined));
  assert.ok(performance.now() - lost < 200, `${performance.now() - lost} ms`);
  assert.equal((await rig.line('outcome', 3)).error, 'lease-lost');
});

test('a lease lost while the record is written: nothing is dialled, then or after it is back', async (t) => {
  const waiting: { line: Line; resolve(): void }[] = [];
  const record = (line: Line): Promise<void> =>
    new Promise((resolve) => {
      if (line.kind === 'request') waiting.push({ line, resolve });
      else resolve();
    });
  const { provider, rig } = await startBoth(t, 'openai', { record });
  const first = post(rig.url + chat, chatBody('first'));
  const second = post(rig.url + chat, chatBody('second'));
  await until(() => waiting.length === 2);
  const dead = Promise.all([assert.rejects(first), assert.rejects(second)]);
  rig.lease.lose('killed');
  await dead;
  waiting[0]?.resolve();
  assert.equal((await rig.line('outcome')).error, 'killed');
  rig.lease.restore();
  waiting[1]?.resolve();
  assert.equal((await rig.line('outcome', 2)).error, 'agent-gone');
  assert.equal((await post(`${rig.url}/v1/files`, {})).status, 404, 'the door serves again');
  assert.equal(provider.requests.length, 0);
});

test('a dial under way ends with the lease: no handshake is finished after it', async (t) => {
  const dialled: Socket[] = [];
  const silent = createServer((socket) => void dialled.push(socket.on('error', () => {})));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const baseUrl = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const rig = await startDoor(t, { providers: [{ name: 'p', kind: 'openai', baseUrl, key: 'real' }] });
  const dead = assert.rejects(post(rig.url + chat, chatBody('hello')));
  await until(() => dialled.length === 1);
  rig.lease.lose();
  await dead;
  assert.equal((await rig.line('outcome')).error, 'lease-lost');
  const [socket] = dialled;
  if (socket && !socket.closed) await once(socket.resume(), 'close');
});

test('a request queued at a door that was closed is not served by the same door later', async (t) => {
  const { provider, rig } = await startBoth(t);
  const slow = connect(rig.port, '127.0.0.1');
  slow.on('error', () => {});
  const body = JSON.stringify(chatBody('late'));
  slow.write(
    `POST ${chat} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
  );
  await new Promise((done) => setTimeout(done, 50));
  rig.lease.lose();
  rig.lease.restore();
  slow.write(body.slice(10));
  if (!slow.destroyed) await once(slow, 'close');
  assert.equal((await post(rig.url + chat, chatBody('now'))).status, 200);
  assert.deepEqual(
    provider.requests.map((request) => request.body.includes('late')),
    [false],
  );
});

test('two agents share no upstream connection, and one agent keeps its own', async (t) => {
  const provider = await startProvider(t);
  const providers = [{ name: 'p', kind: 'openai' as const, baseUrl: provider.url }];
  const lease = createTestLease();
  const main = await startDoor(t, { agent: 'main', providers, lease });
  const scout = await startDoor(t, { agent: 'scout', providers, lease });
  for (let round = 0; round < 3; round++) {
    for (const rig of [main, scout]) await (await post(rig.url + chat, chatBody('hello'))).arrayBuffer();
  }
  const ports = provider.requests.map((request) => request.port);
  const [mainPorts, scoutPorts] = [0, 1].map((of) => new Set(ports.filter((_port, at) => at % 2 === of)));
  assert.equal(mainPorts?.size, 1);
  assert.equal(scoutPorts?.size, 1);
  assert.equal(new Set(ports).size, 2);
  assert.deepEqual([main.lines[0]?.agent, scout.lines[0]?.agent], ['main', 'scout']);
});

test('an agent may have 128 MiB of requests under way here, and another agent does not feel it', async (t) => {
  const held: (() => void)[] = [];
  const record = (line: Line): Promise<void> =>
    new Promise((resolve) => {
      if (line.kind === 'request') held.push(resolve);
      else resolve();
    });
  const { configured, rig } = await startBoth(t, 'openai', { record });
  const other = await startDoor(t, { agent: 'scout', providers: [configured] });
  const big = JSON.stringify(chatBody('x'.repeat(30 * 1024 * 1024)));
  const under = [1, 2, 3, 4].map(() => post(rig.url + chat, big));
  await until(() => held.length === 4, 20_000);
  const refused = await post(rig.url + chat, big);
  assert.equal(refused.status, 429);
  assert.match(await refused.text(), /too-much-at-once/);
  assert.equal((await post(other.url + chat, chatBody('hello'))).status, 200);
  for (const resolve of held) resolve();
  for (const answer of await Promise.all(under)) {
    assert.equal(answer.status, 200);
    await answer.body?.cancel();
  }
  await rig.line('outcome', 4);
  const after = post(rig.url + chat, big);
  await until(() => held.length === 5, 10_000);
  held[4]?.();
  assert.equal((await after).status, 200);
});
