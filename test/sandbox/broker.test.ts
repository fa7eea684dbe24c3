/** The broker as a process, on the real engine: what a container is from inside, how runs end, and what ends them. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { call } from '../../appliance/socket.ts';
import { containerFor } from '../../sandbox/container.ts';
import { allowances, ENOSYS, EPERM, numberOf, parseProbes, perlFor, refusals } from './probes.ts';
import { agentUid, collect, docker, type Line, type Stand, stand, until } from './stand.ts';

let here: Stand;
before(async () => {
  here = await stand();
  await here.startBroker();
});
after(() => here.close());

async function run(script: string, change: object = {}) {
  const job = here.job({ script, ...change });
  return collect(here.send(job, here.approve(job)));
}

describe('a tool container, seen from inside', () => {
  test('has the agent’s uid, no capability, no new privileges, a filter, and the workspace', async () => {
    const { stdout, stderr, last } = await run(
      'id -u; id -G; pwd; grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status; echo kept > kept; stat -c %u kept',
    );
    assert.equal(stderr, '');
    const lines = stdout.trim().split('\n');
    assert.deepEqual(lines.slice(0, 3), [`${agentUid}`, `${agentUid}`, '/workspace']);
    assert.deepEqual(
      lines.slice(3, -1).map((line) => line.replace(/\s+/, ' ')),
      [
        ...['CapInh:', 'CapPrm:', 'CapEff:', 'CapBnd:', 'CapAmb:'].map((set) => `${set} 0000000000000000`),
        'NoNewPrivs: 1',
        'Seccomp: 2',
      ],
    );
    assert.equal(lines.at(-1), `${agentUid}`);
    assert.equal(readFileSync(join(here.workspace, 'kept'), 'utf8'), 'kept\n');
    assert.equal(last.exit, 0);
  });

  test('has no interface but loopback, and cannot reach the host’s loopback services', async () => {
    const service = createServer((socket) => socket.end('reached'));
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const { port } = service.address() as { port: number };
    const reach = `exec 3<>/dev/tcp/127.0.0.1/${port} && cat <&3`;
    const control = await new Promise((resolve) =>
      connect(port, '127.0.0.1').on('data', (bytes) => resolve(String(bytes))),
    );
    assert.equal(control, 'reached', 'control');
    const { stdout } = await run(
      `ls /sys/class/net; ${reach} 2>/dev/null || echo refused; ls /var/run/docker.sock 2>&1`,
    );
    service.close();
    assert.match(stdout, /^lo\nrefused\n/);
    assert.doesNotMatch(stdout, /^\/var\/run\/docker.sock$/m);
  });

  test('has a root and a /tmp that are no place to stay or to run from', async () => {
    const { stdout } = await run(
      'for d in / /etc /usr/bin /var /home /dev /proc/sys/kernel /sys; do touch $d/x 2>/dev/null && echo wrote $d; done;' +
        'cp /bin/true /tmp/t && chmod +x /tmp/t && { /tmp/t 2>/dev/null && echo ran || echo noexec; };' +
        'cp /bin/true ./t && ./t && echo runs in the workspace; rm t;' +
        'head -c 100M /dev/zero 2>/dev/null > /tmp/big; [ $(stat -c %s /tmp/big) -lt 70000000 ] && echo limited;' +
        'find / -xdev -perm /6000 -type f 2>/dev/null | wc -l',
      { timeoutMs: 20_000 },
    );
    assert.equal(stdout, 'noexec\nruns in the workspace\nlimited\n0\n');
  });

  test('has nothing of ours in its environment and its descriptors', async () => {
    const { stdout } = await run(
      'env -0 | tr "\\0" "\\n" | cut -d= -f1 | sort | tr "\\n" " "; echo; ls /proc/self/fd | tr "\\n" " "; readlink /proc/$$/fd/0',
    );
    const [names, descriptors] = stdout.split('\n');
    assert.equal(names?.trim(), 'HOME HOSTNAME LANG PATH PWD SHLVL TERM TMPDIR _');
    assert.equal(descriptors, '0 1 2 3 /dev/null'); // 3 is ls reading the folder
  });

  test('has the same system-call wall as a world', async () => {
    const { stdout, stderr } = await run(`perl -e '${perlFor(refusals)}'`);
    const seen = parseProbes(stdout);
    const wanted = refusals.filter(({ call: name }) => numberOf(name) !== null);
    assert.equal(seen.size, wanted.length, stderr);
    // Engines from runc 1.1 on give the profile's default, ENOSYS, where only an argument was wrong; older ones EPERM.
    for (const { name, errno } of wanted)
      assert.ok([errno, ENOSYS].includes(seen.get(name) ?? 0), `${name}: ${seen.get(name)}`);
    const allowed = parseProbes((await run(`perl -e '${perlFor(allowances)}'`)).stdout);
    assert.equal(allowed.size, allowances.length);
    for (const [name, errno] of allowed) assert.ok(errno !== EPERM && errno !== ENOSYS, `${name}: ${errno}`);
  });

  test('has the programs of the recipe', async () => {
    const { stdout, last } = await run(
      'set -e; python3 -c "print(1+1)"; git init -q r && cd r && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m m && git log --oneline | wc -l; echo \'{"a":3}\' | jq .a; rg --version | head -c 7; curl --version | head -c 4',
    );
    assert.equal(stdout, '2\n1\n3\nripgrepcurl');
    assert.equal(last.exit, 0);
  });
});

describe('a run', () => {
  test('keeps both outputs apart and tells the exit code', async () => {
    const { stdout, stderr, last } = await run('echo out; echo err >&2; exit 7');
    assert.deepEqual(
      [stdout, stderr, last.exit, last.timedOut, last.oom],
      ['out\n', 'err\n', 7, false, false],
    );
    assert.equal((await run('nosuchprogram')).last.exit, 127);
    assert.equal((await run('kill -9 $$')).last.exit, 137);
    assert.equal((await run('kill -9 1; echo still here')).stdout, 'still here\n');
  });

  test('passes characters through that are split between two frames', async () => {
    const { stdout } = await run(
      `perl -e '$|=1; for (1..3) { print "\\xc3"; select(undef,undef,undef,0.05); print "\\xa4" }'`,
    );
    assert.equal(stdout, 'äää');
  });

  test('is stopped at its time limit, also when it ignores TERM', async () => {
    const { last } = await run('sleep 30', { timeoutMs: 500 });
    assert.deepEqual([last.exit, last.timedOut], [124, true]);
    const stubborn = await run('trap "" TERM; while :; do sleep 1; done', { timeoutMs: 500 });
    assert.deepEqual([stubborn.last.exit, stubborn.last.timedOut], [124, true]);
    assert.equal((await run('exit 124')).last.timedOut, false);
  });

  test('that eats its memory is killed and said so; a fork bomb stays inside', async () => {
    const { last } = await run(`perl -e 'my $x = "a" x (200 << 20); sleep 1'`);
    assert.deepEqual([last.exit, last.oom], [137, true]);
    // It cannot fork for its own `sleep` any more, so it is the time limit that ends it, or its shell.
    const bomb = await run('f() { f | f & }; f 2>/dev/null; sleep 300', { timeoutMs: 2000 });
    assert.equal(typeof bomb.last.exit, 'number');
    assert.equal((await run('echo well')).stdout, 'well\n');
  });

  test('ends with its script: what it left in the background is gone', async () => {
    const { stdout } = await run('(sleep 300; echo late) & echo done');
    assert.equal(stdout, 'done\n');
    await until('no container', async () => (await here.containers()).length === 0 || undefined);
  });

  test('has its output cut at the limit, and told', async () => {
    const { stdout, stderr, last } = await run('head -c 5000000 /dev/zero | tr "\\0" x');
    assert.equal(stdout.length, 64 * 1024);
    assert.match(stderr, /limited to 64 kB; 4934464 more bytes/);
    assert.equal(last.exit, 0);
  });
});

describe('what ends a container', () => {
  const mark = async (): Promise<string> =>
    until('a container', async () => (await here.containers('running'))[0]);
  const gone = (id: string): Promise<unknown> =>
    until('its end', async () => !(await here.containers()).includes(id) || undefined);

  test('a caller that goes away', async () => {
    const job = here.job({ script: 'sleep 300' });
    const leaving = new AbortController();
    const events = collect(here.send(job, here.approve(job), leaving.signal)).catch(() => {});
    const id = await mark();
    leaving.abort();
    await gone(id);
    await events;
  });

  test('the loss of the lease, which the caller is told; and none starts without one', async () => {
    const job = here.job({ script: 'sleep 300' });
    const events = collect(here.send(job, here.approve(job)));
    const failed = assert.rejects(events, /lease/);
    const id = await mark();
    here.keeper.state = 'killed';
    await Promise.all([gone(id), failed]);
    await assert.rejects(run('echo no'), /not armed/);
    here.keeper.state = 'armed';
    await until('the lease', () =>
      run('echo armed').then(
        ({ stdout }) => stdout || undefined,
        () => undefined,
      ),
    );
  });

  test('stop, for those of this instance only', async () => {
    const other = await docker.createContainer({
      Image: here.image,
      Cmd: ['/bin/sleep', '60'],
      HostConfig: { NetworkMode: 'none', AutoRemove: true },
      Labels: { 'holdfast.instance': 'ffffffff' },
    });
    await other.start();
    const job = here.job({ script: 'sleep 300' });
    const events = collect(here.send(job, here.approve(job))).catch((error: Error) => error.message);
    await mark();
    const stopped = (await call(here.socket('broker'), 'POST /stop', {})) as Line;
    assert.equal(stopped.killed, 1);
    assert.equal((await here.containers()).length, 0);
    assert.equal((await other.inspect()).State.Running, true, 'another instance’s container runs on');
    await events;
    await other.remove({ force: true });
  });

  test('the death of the broker, by SIGKILL, in the middle of a run', async () => {
    const second = await stand();
    try {
      const { child } = await second.startBroker();
      const job = second.job({ script: 'sleep 300' });
      const events = collect(second.send(job, second.approve(job))).catch(() => {});
      await until('a container', async () => (await second.containers('running'))[0]);
      child.kill('SIGKILL');
      await until('its end', async () => (await second.containers()).length === 0 || undefined);
      await events;
      // One that it had made and not started is nobody's; the next broker sweeps it.
      const options = containerFor({
        ...{ instance: second.instance, agent: 'main', nonce: '0'.repeat(32), image: second.image },
        ...{ workspace: second.workspace, uid: agentUid, gid: agentUid, memoryMb: 64, pids: 16 },
      });
      await docker.createContainer(options);
      await second.startBroker();
      await until('the sweep', async () => (await second.containers()).length === 0 || undefined);
    } finally {
      await second.close();
    }
  });
});

describe('the profile', () => {
  test('names the image, or what is missing and the fix', async () => {
    assert.deepEqual(await call(here.socket('broker'), 'GET /profile'), { ready: true, image: here.image });
    const second = await stand();
    try {
      await second.startBroker({ dockerSocket: join(second.home, 'none.sock') });
      const profile = (await call(second.socket('broker'), 'GET /profile')) as Line;
      assert.deepEqual([profile.ready, profile.what], [false, 'docker']);
      assert.match(String(profile.fix), /docker/);
      const job = second.job();
      await assert.rejects(collect(second.send(job, second.approve(job))), /does not answer/);
    } finally {
      await second.close();
    }
  });

  test('the broker refuses garbage with words', async () => {
    writeFileSync(join(here.home, 'x'), '');
    await assert.rejects(call(here.socket('broker'), 'POST /run', { job: 1 }), /does not understand/);
    const job = here.job();
    const extra = { ...job, image: 'debian:latest', Privileged: true };
    await assert.rejects(collect(here.send(extra, here.approve(job))), /does not understand/);
  });
});
