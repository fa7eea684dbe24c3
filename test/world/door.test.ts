import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { impossible, modes, type Running, type World, world } from './world.ts';

const doors = ['llm.main', 'names.main'];
const server = 'test/world/door/server.ts';
const files = [join(import.meta.dirname, 'door/client.ts')];

const served = (by: Running): string[] =>
  [...by.output().matchAll(/served (.*)/g)].map(([, what = '']) => what);

async function ready(by: Promise<Running>): Promise<Running> {
  const running = await by;
  await running.until(/ready/);
  return running;
}

/** A request and a datagram are left with a server that is stuck, which then dies. */
async function queuedAtDeath(at: World, first: Running): Promise<Running> {
  process.kill(first.pid, 'SIGSTOP');
  const client = await at.start('client.ts', 'queue');
  await client.until(/queued/);
  process.kill(first.pid, 'SIGKILL');
  await first.ended;
  return client;
}

for (const mode of modes) {
  test(`200 requests and 200 datagrams pass through doors, none lost (${mode} mode)`, async (t) => {
    const at = await world(t, { mode, files });
    const outside = await ready(at.serve(doors, server));
    const { stdout, stderr } = await (await at.start('client.ts', 'count', '200')).ended;
    assert.equal(stdout, 'requests 200\ndatagrams 200\n', stderr);
    assert.equal(new Set(served(outside)).size, 400);
    assert.equal(served(outside).length, 400);
  });

  test(`what was queued when a server died is refused at once and never served by its successor (${mode} mode)`, async (t) => {
    const at = await world(t, { mode, files });
    const client = await queuedAtDeath(at, await ready(at.serve(doors, server, 'first')));
    const { stdout, stderr } = await client.ended;
    assert.equal(
      stdout,
      'queued\nrequest ECONNRESET\nknock ECONNREFUSED at once\ndatagram ECONNREFUSED\n',
      stderr,
    );
    const second = await ready(at.serve(doors, server, 'second'));
    const next = await (await at.start('client.ts', 'count', '5')).ended;
    assert.equal(next.stdout, 'requests 5\ndatagrams 5\n');
    assert.equal(served(second).length, 10);
    assert.ok(!served(second).some((what) => what.includes('queued')), second.output());
  });

  test(`control: where the launcher keeps its copies, the successor serves what was queued (${mode} mode)`, async (t) => {
    const at = await world(t, { mode, files });
    await queuedAtDeath(at, await ready(at.serveCarelessly(doors, server, 'first')));
    const second = await ready(at.serveCarelessly(doors, server, 'second'));
    await second.until(/served \/queued/);
    await second.until(/served queued/);
  });
}

for (const mode of impossible)
  test(`doors in ${mode} mode`, { todo: 'not possible: this test run is not root' });
