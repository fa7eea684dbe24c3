/** Invariant 8: no lease, no traffic. A dead or stuck keeper closes every door within one second; here the lease itself, with real sockets and a real keeper process to kill. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLease } from '../../appliance/keeper/lease.ts';
import { openDoors } from '../../appliance/world/door.ts';
import { until } from '../world/appliance.ts';

type Lease = ReturnType<typeof createLease>;

const withinMs = 1000; // the invariant
const msSince = (began: number): number => performance.now() - began;

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-lease-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'sock');
}

function leaseAt(t: TestContext, path: string): Lease & { losses(): number } {
  const lease = createLease(path);
  let losses = 0;
  lease.onLost(() => {
    losses += 1;
  });
  t.after(() => lease.close());
  return { ...lease, losses: () => losses };
}

/** A keeper in a process of its own, on a socket that it inherited. */
async function keeperAt(t: TestContext, path: string): Promise<ChildProcess> {
  const [door] = await openDoors('user', null, [{ name: 'lease', listen: path }]);
  assert.ok(door);
  const child = spawn(process.execPath, [join(import.meta.dirname, '../keeper/beating.ts')], {
    stdio: ['pipe', 'pipe', 'inherit', door.fd],
  });
  door.close();
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

/** A keeper whose lines are the test's own. */
async function puppetAt(t: TestContext, path: string): Promise<Socket> {
  const server = createServer();
  const held = once(server, 'connection') as Promise<[Socket]>;
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const lease = await held;
  t.after(() => {
    lease[0].destroy();
    server.close();
  });
  return lease[0];
}

const beat = (ageMs: number, state = 'armed'): string =>
  `${JSON.stringify({ at: String(process.hrtime.bigint() - BigInt(ageMs) * 1_000_000n), state })}\n`;

const held = (lease: Lease): Promise<void> =>
  until(
    () => lease.now(),
    3000,
    () => lease.state(),
  );

/** How long it takes until the lease says no and its holders were told. */
async function lost(
  lease: Lease & { losses(): number },
  began: number,
): Promise<{ saidMs: number; toldMs: number }> {
  let saidMs = 0;
  await until(() => {
    if (saidMs === 0 && !lease.now()) saidMs = msSince(began);
    return lease.losses() > 0;
  }, 5000);
  assert.equal(lease.now(), false);
  return { saidMs, toldMs: msSince(began) };
}

test('control: while the keeper beats, the lease holds without a gap', async (t) => {
  const path = place(t);
  await keeperAt(t, path);
  const lease = leaseAt(t, path);
  await held(lease);
  for (let at = 0; at < 100; at += 1) {
    assert.equal(lease.now(), true);
    await sleep(15);
  }
  assert.equal(lease.losses(), 0);
  assert.equal(lease.state(), 'armed');
});

for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
  test(`a keeper that gets ${signal} closes the doors within a second`, async (t) => {
    const path = place(t);
    const keeper = await keeperAt(t, path);
    const lease = leaseAt(t, path);
    await held(lease);
    const began = performance.now();
    keeper.kill(signal);
    const { saidMs, toldMs } = await lost(lease, began);
    assert.ok(saidMs < withinMs && toldMs < withinMs, `said after ${saidMs} ms, told after ${toldMs} ms`);
    assert.equal(lease.state(), 'closed');
    await sleep(300);
    assert.equal(lease.now(), false);
    assert.equal(lease.losses(), 1);
    t.diagnostic(
      `${signal}: now() was false after ${saidMs.toFixed(0)} ms, onLost came after ${toldMs.toFixed(0)} ms`,
    );
  });
}

test('closed heals by itself when the beats come back', async (t) => {
  const path = place(t);
  const keeper = await keeperAt(t, path);
  const lease = leaseAt(t, path);
  await held(lease);
  keeper.kill('SIGSTOP');
  await lost(lease, performance.now());
  keeper.kill('SIGCONT');
  await held(lease);
  keeper.kill('SIGKILL');
  await until(() => lease.losses() === 2, 3000);
  await keeperAt(t, path.replace('sock', 'other')); // another keeper elsewhere changes nothing
  assert.equal(lease.state(), 'closed');
});

test('the word killed closes at once, outlives its keeper, and ends with the word armed', async (t) => {
  const path = place(t);
  const keeper = await keeperAt(t, path);
  const lease = leaseAt(t, path);
  await held(lease);
  const began = performance.now();
  keeper.stdin?.write('killed\n');
  const { toldMs } = await lost(lease, began);
  assert.ok(toldMs < 200, `${toldMs} ms`);
  assert.equal(lease.state(), 'killed');
  await sleep(500); // beats go on, and say killed
  assert.equal(lease.now(), false);
  keeper.stdin?.write('armed\n');
  await held(lease);
  keeper.stdin?.write('killed\n');
  await until(() => lease.state() === 'killed', 1000);
  keeper.kill('SIGKILL');
  await sleep(300);
  assert.equal(lease.state(), 'killed');
});

test('beats that waited in a buffer are as old as their stamp', async (t) => {
  const path = place(t);
  const puppet = puppetAt(t, path);
  const lease = leaseAt(t, path);
  const keeper = await puppet;
  keeper.write([5000, 3000, 1500, 900, 701].map((ageMs) => beat(ageMs)).join(''));
  await sleep(100);
  assert.equal(lease.now(), false);
  keeper.write(beat(0));
  await until(() => lease.now(), 500);
});

test('a beat from the future, half a beat, garbage and an unknown word give no lease', async (t) => {
  const path = place(t);
  const puppet = puppetAt(t, path);
  const lease = leaseAt(t, path);
  const keeper = await puppet;
  for (const line of [
    beat(-5000),
    '{"at":"',
    '\n',
    'armed\n',
    '{}\n',
    '{"at":"x","state":"armed"}\n',
    beat(0, 'open'),
    'null\n',
  ]) {
    keeper.write(line);
    await sleep(20);
    assert.equal(lease.now(), false, line);
  }
  keeper.write(beat(0));
  await until(() => lease.now(), 500);
  keeper.write('garbage\n');
  await until(() => !lease.now() && lease.losses() === 1, 500);
});

test('a holder that was stuck for two seconds has no lease before it reads a new beat', async (t) => {
  const path = place(t);
  await keeperAt(t, path);
  const lease = leaseAt(t, path);
  await held(lease);
  const until2s = performance.now() + 2000;
  while (performance.now() < until2s) {
    // the event loop stands still; the keeper's beats pile up in the socket
  }
  assert.equal(lease.now(), false);
  assert.equal(lease.losses(), 0);
  await held(lease);
  assert.equal(lease.losses(), 1, 'the loss was told before the new lease');
});

test('a lapse that ends before the timer looks is a loss all the same', async (t) => {
  const path = place(t);
  let ageNs = 0n;
  const clock = (): bigint => process.hrtime.bigint() + ageNs;
  const puppet = puppetAt(t, path);
  const lease = createLease(path, clock);
  t.after(() => lease.close());
  let losses = 0;
  const forget = lease.onLost(() => {
    losses += 1;
  });
  const keeper = await puppet;
  keeper.write(beat(0));
  await until(() => lease.now(), 500);
  // The stamp of the next beat is new by the moved clock: the gap between the two was longer than a lease.
  keeper.write(beat(-750));
  ageNs = 750_000_000n;
  await until(() => losses === 1, 500);
  forget();
  keeper.destroy();
  await sleep(50);
  assert.equal(losses, 1, 'who unsubscribed is not told');
});

test('without a keeper there is no lease', async (t) => {
  const lease = leaseAt(t, place(t));
  await sleep(250);
  assert.deepEqual([lease.now(), lease.state(), lease.losses()], [false, 'closed', 0]);
});
