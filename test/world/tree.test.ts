/** The processes below one of ours, as the launcher finds and ends them where there is no cgroup. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { below, lives } from '../../appliance/world/tree.ts';
import { until } from './appliance.ts';

test('all below a process are found, in other sessions and other pid namespaces too, and looked for until the last has ended', async (t) => {
  const script = 'setsid sleep 60 & unshare --pid --fork sh -c "sleep 60 & sleep 60; :"; :';
  const top = spawn('sh', ['-c', script], { stdio: 'ignore' });
  t.after(() => top.kill('SIGKILL'));
  const pid = top.pid ?? 0;
  await until(
    () => below(pid).length === 5,
    5000,
    () => JSON.stringify(below(pid)),
  );
  const found = below(pid);
  assert.ok(found.every(lives));
  assert.ok(!found.some((each) => each.pid === pid || each.pid === process.pid));
  top.kill('SIGKILL');
  assert.ok(found.every(lives), 'the death of the top alone ends none of them');
  spawn('kill', ['-KILL', ...found.map((each) => String(each.pid))], { stdio: 'ignore' }); // some end with others
  await until(() => !found.some(lives), 5000);
});

test('a pid that was given again is somebody else, and a zombie has ended', async (t) => {
  const [own] = below(process.ppid).filter((each) => each.pid === process.pid);
  assert.ok(own && lives(own));
  assert.equal(lives({ ...own, startedAt: '1' }), false);
  // `exec` makes of the parent one that never asks how its child ended.
  const top = spawn('sh', ['-c', 'sleep 0.2 & exec sleep 60'], { stdio: 'ignore' });
  t.after(() => top.kill('SIGKILL'));
  await until(() => below(top.pid ?? 0).length === 1, 5000);
  const [child] = below(top.pid ?? 0);
  assert.ok(child);
  await until(() => !lives(child), 5000);
  assert.equal(below(top.pid ?? 0).length, 1, 'control: it is still there, as a zombie');
});
