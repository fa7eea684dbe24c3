/** Invariant 7: killed stays killed, across a restart of any process and of the whole, until an operator re-arms; nothing queued before is served after. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { homePaths } from '../../appliance/paths.ts';
import { call } from '../../appliance/socket.ts';
import { createProvider } from '../provider/provider.ts';
import { allRun, appliance, inWorld, statusOf, until } from '../world/appliance.ts';
import { operatorOf, password } from '../world/operator.ts';

const ask = [
  '-s',
  '-m',
  '8',
  '-H',
  'content-type: application/json',
  '-d',
  '{"model":"fake-1","messages":[{"role":"user","content":"hello"}]}',
  'http://127.0.0.1:9090/v1/chat/completions',
];

test('a press ends the worlds and closes the doors; no restart opens them; a re-arm does', async (t) => {
  const provider = await createProvider();
  t.after(() => provider.close());
  const a = await appliance(t, {
    config: `providers: { local: { kind: openai, baseUrl: "${provider.url}", price: { free: true } } }\nagents: { main: { model: { provider: local, name: fake-1 } } }\n`,
  });
  await until(() => allRun(a), 30_000, a.output);
  const operator = await operatorOf(a);
  const control = await inWorld(a, 'main', 'curl', ask);
  assert.match(control.stdout, /You said/, 'control: while armed the door answers');

  // A request that waits at a stopped llm when the press comes.
  const llm = (await statusOf(a)).processes.find((each) => each.name === 'llm');
  const guest = (await statusOf(a)).processes.find((each) => each.name === 'agent@main');
  assert.ok(llm?.pid && guest?.pid);
  const node = innermost(llm.pid);
  process.kill(node, 'SIGSTOP');
  const queued = spawn('nsenter', [`--net=/proc/${guest.pid}/ns/net`, '--', 'curl', ...ask], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let queuedSaid = '';
  queued.stdout.on('data', (text: Buffer) => {
    queuedSaid += text.toString();
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = provider.requests.length;

  const killed = await operator.post(`${a.controllerUrl}/kill`);
  assert.equal(killed.status, 200);
  assert.match(killed.text, /latch/i, 'the receipt lists the latch');
  const state = (await call(a.socket('trip'), 'GET /state')) as {
    state: string;
    receipt: { steps: { ok: boolean; name: string; detail?: string }[] };
  };
  assert.equal(state.state, 'killed');
  assert.deepEqual(
    state.receipt.steps.filter((step) => !step.ok),
    [],
  );
  await until(
    async () => (await statusOf(a)).processes.every((each) => !each.name.startsWith('agent@')),
    5000,
  );
  assert.match(readFileSync(join(a.home, 'latch'), 'latin1'), /killed/);

  for (const name of ['keeper', 'llm', 'controller', 'gateway', 'egress', 'tools', 'broker']) {
    const row = (await statusOf(a)).processes.find((each) => each.name === name);
    assert.ok(row?.pid, name);
    process.kill(row.pid, 'SIGKILL');
    await until(
      async () => {
        const now = (await statusOf(a)).processes.find((each) => each.name === name);
        return now?.state === 'running' && now.pid !== row.pid;
      },
      15_000,
      () => name,
    );
    assert.equal(
      ((await call(a.socket('trip'), 'GET /state')) as { state: string }).state,
      'killed',
      `after a restart of ${name}`,
    );
  }
  assert.deepEqual(
    (await statusOf(a)).worlds.map((each) => each.state),
    ['stopped'],
  );

  const wrong = await operator.post(`${a.controllerUrl}/rearm`, {
    password: 'not the password',
    reason: 'because',
  });
  assert.notEqual(wrong.status, 200);
  assert.equal(((await call(a.socket('trip'), 'GET /state')) as { state: string }).state, 'killed');
  const rearmed = await operator.post(`${a.controllerUrl}/rearm`, { password, reason: 'the drill is over' });
  assert.equal(rearmed.status, 200, rearmed.text.slice(0, 2000));
  await until(() => allRun(a), 30_000, a.output);
  const after = await inWorld(a, 'main', 'curl', ask);
  assert.match(after.stdout, /You said/);
  assert.equal(provider.requests.length, before + 1, 'what was queued before the press was never served');
  assert.doesNotMatch(queuedSaid, /You said/);
  queued.kill('SIGKILL');
});

test('a killed home starts killed, and a lost or damaged latch reads as killed', async (t) => {
  const a = await appliance(t);
  await until(() => allRun(a), 30_000, a.output);
  await a.cli('kill', '--reason', 'before the reboot');
  await a.stop('SIGKILL');
  await until(() => homeIsFree(a.home), 15_000);
  const b = await appliance(t, { home: a.home });
  assert.equal((await statusOf(b)).state, 'killed');
  assert.deepEqual(
    (await statusOf(b)).worlds.map((each) => each.state),
    ['stopped'],
  );
  const rearm = await b.cli('rearm', '--reason', 'rebooted on purpose');
  assert.equal(rearm.code, 0, rearm.stderr);
  await until(() => allRun(b), 30_000, b.output);
  await b.stop();
  truncateSync(join(a.home, 'latch'), 100);
  const c = await appliance(t, { home: a.home });
  assert.equal((await statusOf(c)).state, 'killed', 'damaged');
});

test('a press during a re-arm has the last word: no world stands after it', async (t) => {
  const a = await appliance(t);
  await until(() => allRun(a), 30_000, a.output);
  await a.cli('kill', '--reason', 'the first press');
  for (const delayMs of [0, 150]) {
    const rearm = call(a.socket('rearm'), 'POST /rearm', { by: 'operator', reason: 'too soon' });
    const answer = rearm.then(
      () => 're-armed',
      (error: { code?: string }) => error.code,
    );
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    const { steps } = (await call(a.socket('trip'), 'POST /trip', { by: 'operator', reason: 'no' })) as {
      steps: { ok: boolean }[];
    };
    assert.deepEqual(
      steps.filter((step) => !step.ok),
      [],
    );
    assert.equal(await answer, 'tripped', `pressed ${delayMs} ms into it`);
    const { state, processes, worlds } = await statusOf(a);
    assert.equal(state, 'killed');
    assert.deepEqual(
      processes.filter((each) => each.name.includes('@')),
      [],
    );
    assert.deepEqual(
      worlds.map((each) => each.state),
      ['stopped'],
    );
  }
});

test('a latch that is damaged while the keeper is away ends the worlds that still run', async (t) => {
  const a = await appliance(t);
  await until(() => allRun(a), 30_000, a.output);
  truncateSync(join(a.home, 'latch'), 100);
  const keeper = (await statusOf(a)).processes.find((each) => each.name === 'keeper');
  process.kill(keeper?.pid ?? 0, 'SIGKILL');
  await until(
    async () => {
      const { state, processes } = await statusOf(a);
      return state === 'killed' && !processes.some((each) => each.name.includes('@'));
    },
    15_000,
    a.output,
  );
});

const homeIsFree = (home: string): boolean => !existsSync(homePaths(home).run);

/** The node below bubblewrap: the process that really serves. */
function innermost(pid: number): number {
  for (const candidate of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${candidate}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid)
        return innermost(Number(candidate));
    } catch {
      // it ended meanwhile
    }
  }
  return pid;
}
