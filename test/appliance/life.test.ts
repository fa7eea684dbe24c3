/** How the appliance begins and ends: one command up, everything gone after any kind of end, doors remade when a process dies, two of them side by side. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { homePaths } from '../../appliance/paths.ts';
import { allRun, appliance, inWorld, run, statusOf, until } from '../world/appliance.ts';

/** Processes whose command line names this home or this instance. */
function living(a: { home: string }, instance: string): string[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid) && pid !== String(process.pid))
    .map((pid) => {
      try {
        return `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ')}`;
      } catch {
        return '';
      }
    })
    .filter(
      (line) =>
        (line.includes(a.home) || line.includes(`holdfast/${instance}`)) && !line.includes(' sweep.ts'),
    );
}

function leftovers(home: string, instance: string, runFolder: string): string[] {
  const cgroups = ['unified', '']
    .map((tree) => join('/sys/fs/cgroup', tree, `holdfast-${instance}`))
    .filter((path) => existsSync(path));
  return [...living({ home }, instance), ...cgroups, ...(existsSync(runFolder) ? [runFolder] : [])];
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
  test(`nothing is left after ${signal}`, async (t) => {
    const a = await appliance(t);
    await until(() => allRun(a), 20_000, a.output);
    const { instance, run: runFolder } = homePaths(a.home);
    assert.ok(
      leftovers(a.home, instance, runFolder).length > 5,
      'control: while it runs, there is something to find',
    );
    await a.stop(signal);
    await until(
      () => leftovers(a.home, instance, runFolder).length === 0,
      15_000,
      () => leftovers(a.home, instance, runFolder).join('\n'),
    );
  });
}

test('it says its addresses and its code on lines that a script can read, and on a second start no code', async (t) => {
  const a = await appliance(t);
  assert.match(a.output(), new RegExp(`^controller: +http://127\\.0\\.0\\.1:${a.controllerPort}$`, 'm'));
  assert.match(a.output(), new RegExp(`^chat: +http://localhost:${a.chatPort}$`, 'm'));
  assert.match(a.setupCode, /^[0-9A-Z]{4}(-[0-9A-Z]{4}){3,}$/);
  assert.match(readFileSync(join(a.home, 'shared/CHANGELOG.md'), 'utf8'), /gateway:start/);
  const logs = await run('grep', ['-rlF', a.setupCode, a.home]);
  assert.equal(logs.stdout, '', 'the code is in no file');
});

test('a second one from the same home is refused, and a taken port is named with who holds it', async (t) => {
  const a = await appliance(t);
  const second = await a.cli('up');
  assert.notEqual(second.code, 0);
  assert.match(second.stderr, /already runs/);
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => squatter.close());
  const { port } = squatter.address() as { port: number };
  await assert.rejects(
    appliance(t, { controllerPort: port }),
    (error: Error) =>
      error.message.includes(`port ${port} is held by`) && error.message.includes(String(process.pid)),
  );
});

test('a process that dies is started again with new doors, and the guest still reaches them', async (t) => {
  const a = await appliance(t);
  await until(() => allRun(a), 20_000, a.output);
  for (const name of [
    'llm',
    'egress',
    'tools',
    'broker',
    'keeper',
    'gateway',
    'controller',
    'dialer@main',
    'agent@main',
  ]) {
    const before = (await statusOf(a)).processes.find((each) => each.name === name);
    assert.ok(before?.pid);
    process.kill(before.pid, 'SIGKILL');
    await until(
      async () => {
        const now = (await statusOf(a)).processes.find((each) => each.name === name);
        return now?.state === 'running' && now.pid !== before.pid;
      },
      15_000,
      () => `${name}: ${a.output()}`,
    );
  }
  assert.match(readFileSync(join(a.home, 'shared/logs/errors/ERROR-LOG.md'), 'utf8'), /llm ended/);
  await until(() => allRun(a), 10_000, a.output);
});

test('two appliances stand side by side, and the end of one does not touch the other', async (t) => {
  const [one, two] = await Promise.all([appliance(t), appliance(t)]);
  await until(
    async () => (await allRun(one)) && (await allRun(two)),
    30_000,
    () => one.output() + two.output(),
  );
  assert.notEqual(homePaths(one.home).instance, homePaths(two.home).instance);
  await one.stop('SIGKILL');
  await until(() => leftovers(one.home, homePaths(one.home).instance, one.socket('x')).length === 0, 15_000);
  assert.equal(await allRun(two), true);
  assert.ok((await fetch(`${two.controllerUrl}/login`)).ok);
});

test('a mistake in the configuration is named with its line, and nothing starts', async (t) => {
  await assert.rejects(appliance(t, { config: 'agnets: { main: {} }\n' }), (error: Error) => {
    assert.match(error.message, /holdfast\.yaml:3:\d+/);
    assert.match(error.message, /agents/);
    assert.match(error.message, /ended with 78/);
    return true;
  });
});

test('a guest that sits on the place of a door is ended, and the door stands again', async (t) => {
  const a = await appliance(t);
  await until(() => allRun(a), 20_000, a.output);
  const before = await statusOf(a);
  const pidOf = (name: string): number => before.processes.find((each) => each.name === name)?.pid ?? 0;
  // Counted to the guest by its cgroup, as anything that the guest starts is.
  const cgroup = `/holdfast-${homePaths(a.home).instance}/agent@main`;
  const tree = existsSync('/sys/fs/cgroup/unified') ? '/sys/fs/cgroup/unified' : '/sys/fs/cgroup';
  const sit = `use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1);
    until (bind($s, pack_sockaddr_in(9090, inet_aton("127.0.0.1")))) { select(undef, undef, undef, 0.005) } listen($s, 5); print "sits\\n"; $| = 1; sleep 60`;
  const squatter = spawn(
    'sh',
    [
      '-c',
      `echo $$ > ${tree}${cgroup}/cgroup.procs; exec nsenter --net=/proc/${pidOf('agent@main')}/ns/net perl -e '${sit}'`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.after(() => squatter.kill('SIGKILL'));
  await new Promise((resolve) => setTimeout(resolve, 300));
  process.kill(pidOf('llm'), 'SIGKILL');
  await until(() => squatter.signalCode !== null, 15_000, a.output);
  await until(() => allRun(a), 20_000, a.output);
  assert.match(
    readFileSync(join(a.home, 'shared/logs/errors/ERROR-LOG.md'), 'utf8'),
    /agent main sat on the place of a door/,
  );
  const answer = await inWorld(a, 'main', 'curl', ['-s', '-m', '5', 'http://127.0.0.1:9090/v1/models']);
  assert.match(answer.stdout, /model|provider/i, 'the door is served by llm again');
});

test('a running container ends with a launcher that is killed', async (t) => {
  const a = await appliance(t);
  await until(() => allRun(a), 20_000, a.output);
  const { instance } = homePaths(a.home);
  const containers = async (): Promise<string[]> => {
    const filters = encodeURIComponent(JSON.stringify({ label: [`holdfast.instance=${instance}`] }));
    const at = `http://docker/containers/json?all=1&filters=${filters}`;
    const { stdout } = await run('curl', ['-s', '--unix-socket', '/var/run/docker.sock', at]);
    return (JSON.parse(stdout) as { Id: string }[]).map(({ Id }) => Id);
  };
  const running = a.cli('run', 'sleep 300');
  let id: string | undefined;
  await until(
    async () => {
      const waiting = JSON.parse((await a.cli('approvals', 'list', '--json')).stdout || '[]') as {
        id: string;
      }[];
      id = waiting[0]?.id;
      return id !== undefined;
    },
    20_000,
    a.output,
  );
  assert.equal((await a.cli('approvals', 'approve', id ?? '')).code, 0);
  await until(async () => (await containers()).length === 1, 15_000, a.output);
  await a.stop('SIGKILL');
  await until(async () => (await containers()).length === 0, 15_000);
  assert.notEqual((await running).code, 0);
});
