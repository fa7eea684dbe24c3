/** A taken port is named with who holds it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { holderOf, sayHolder } from '../../appliance/launcher/port.ts';

test('the holder of a port is found with its command, and an OpenClaw gateway is said as such', async (t) => {
  const listen =
    'const s = require("net").createServer().listen(0, "127.0.0.1", () => console.log(s.address().port))';
  const holder = spawn(process.execPath, ['-e', listen, 'openclaw', 'gateway'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => holder.kill('SIGKILL'));
  const [said] = (await once(holder.stdout, 'data')) as [Buffer];
  const port = Number(said.toString());
  const found = holderOf(port);
  assert.equal(found?.pid, holder.pid);
  assert.equal(sayHolder(port, found), `port ${port} is held by an OpenClaw gateway (pid ${holder.pid})`);
  assert.match(sayHolder(port, { pid: 7, command: 'nginx: master' }), /is held by nginx: master \(pid 7\)/);
});

test('a port that nobody holds has no holder', () => {
  assert.equal(holderOf(1), null);
});
