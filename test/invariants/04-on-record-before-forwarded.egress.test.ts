/** Invariant 4, at the egress doors: a request is on record, durably, before it is forwarded; if it cannot be recorded it is refused. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { verifyLedger } from '../../proxies/ledger/chain.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { curl, startDoor, startFarEnd, startTcp, until } from '../proxies/egress/door.ts';

const loopback = '127.0.0.1';

const forms: [what: string, args: string[]][] = [
  ['CONNECT', ['--proxytunnel']],
  ['absolute-form', []],
];

async function realLedger(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-record-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'egress.jsonl');
  writeFileSync(path, '');
  const ledger = await openLedger({ path });
  t.after(() => ledger.close());
  return { path, ledger };
}

for (const [what, args] of forms) {
  test(`nothing is dialled for ${what} until its line is durable`, async (t) => {
    const far = await startFarEnd(t);
    let release = (): void => {};
    const durable = new Promise<void>((resolve) => {
      release = resolve;
    });
    let asked = 0;
    const door = await startDoor(t, {
      rules: [{ host: loopback, ports: [far.port] }],
      record: () => {
        asked++;
        return durable;
      },
    });
    const answer = curl(door.url, ...args, '--data', 'private', `http://${loopback}:${far.port}/`);
    await until(() => asked === 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(far.connections, 0);
    release();
    assert.deepEqual([(await answer).out, far.connections], ['private', 1], 'control: durable, it goes');
  });

  test(`${what} is refused when its line cannot be made durable`, async (t) => {
    const far = await startFarEnd(t);
    let full = true;
    const door = await startDoor(t, {
      rules: [{ host: loopback, ports: [far.port] }],
      record: async () => {
        if (full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      },
    });
    const url = `http://${loopback}:${far.port}/`;
    const { out } = await curl(door.url, '--include', ...args, url);
    assert.match(out, /^HTTP\/1\.1 503 Refused by Holdfast: not-recorded\r\n/);
    assert.equal(far.connections, 0);
    full = false;
    assert.match((await curl(door.url, ...args, url)).out, /^far end/, 'control: recorded, it goes');
  });

  test(`${what} is refused by a ledger on a full disk`, async (t) => {
    const far = await startFarEnd(t);
    const ledger = await openLedger({ path: '/dev/full' });
    t.after(() => ledger.close());
    const door = await startDoor(t, {
      rules: [{ host: loopback, ports: [far.port] }],
      record: ledger.append,
    });
    for (let turn = 0; turn < 3; turn++) {
      const { out } = await curl(door.url, '--include', ...args, `http://${loopback}:${far.port}/`);
      assert.match(out, /not-recorded/);
    }
    assert.equal(far.connections, 0);
  });

  test(`when a connection for ${what} arrives, its line is in the file`, async (t) => {
    const { path, ledger } = await realLedger(t);
    const found: boolean[] = [];
    const port = await startTcp(t, (socket) => {
      found.push(
        readFileSync(path, 'utf8').includes(`"port":${port},`) && readFileSync(path, 'utf8').endsWith('\n'),
      );
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    });
    const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }], record: ledger.append });
    const { out } = await curl(door.url, ...args, `http://${loopback}:${port}/`);
    assert.equal(out, 'ok');
    assert.deepEqual(found, [true]);
    await door.line('outcome');
    const seen = await verifyLedger(path, ledger.head());
    assert.ok(seen.ok);
    assert.equal(seen.count, 2);
  });
}
