/** Invariant 1: a world has no network interface but loopback, and the guest cannot change that; with it every other wall. The battery runs inside as the agent and as uid 0, and outside, where it must succeed. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Order, Result } from '../world/battery/battery.ts';
import { absent, counts, elsewhere, notInUserMode, shownByAnybody } from '../world/battery/expected.ts';
import { batteryFiles, pairs, type Stage, scripts, stage } from '../world/battery/stage.ts';
import { impossible, type Mode, modes, type World, world } from '../world/world.ts';

const isRoot = process.getuid?.() === 0;
const manyProcesses = 256; // the limit; the battery starts 300
const memoryMb = 256; // the limit; the battery takes 400

/** A world behind the staged host, whose launcher was started with a folder left open, high enough that node does not see it. */
const sealed = async (t: TestContext, mode: Mode, inside: 'agent' | 'root', on: Stage): Promise<World> => {
  const leaky = ['/bin/bash', '-c', 'exec "$@" 20</', 'bash'];
  const behind = [...leaky, ...on.behind];
  const made = await world(t, { mode, inside, behind, files: batteryFiles, memoryMb, pids: manyProcesses });
  if (isRoot) on.plant(join(made.home, 'agents/main/workspace/planted'));
  return made;
};

async function run(made: World, targets: Record<string, string>, names: string[] = []): Promise<Result[]> {
  const order: Order = {
    scripts,
    targets: pairs({
      ...targets,
      ...{ code: '/opt/holdfast', cache: '/opt/cache', planted: '/workspace/planted' },
    }),
    names,
    env: made.guest.env,
  };
  writeFileSync(join(made.home, 'agents/main/workspace/order.json'), JSON.stringify(order), { mode: 0o644 });
  const { ended } = await made.start('battery.ts', 'all', '/workspace/order.json');
  const { stdout, stderr } = await ended;
  assert.equal(stderr, '');
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Result);
}

const names = (results: Result[]): string[] => results.map(({ name }) => name).sort();
const openOnes = (results: Result[]): Result[] => results.filter(({ result }) => result === 'open');

let outside: Result[] = [];

test('outside the walls every probe succeeds, or is named with the errno of what this machine lacks', async (t) => {
  const on = await stage(t);
  const other = Object.values(elsewhere).flat();
  outside = [
    ...on.control(
      'outside',
      other.map((name) => `not:${name}`),
    ),
    ...(['host', 'person', 'terminal'] as const).flatMap((where) => on.control(where, elsewhere[where])),
    ...(await inSecondWorld(t, on)),
  ];
  const shut = outside.filter(({ result }) => result === 'blocked');
  const explained = ({ name, errno }: Result): string | undefined => {
    if (absent[name]?.errno.includes(errno)) return absent[name].why;
    return !isRoot && !shownByAnybody.includes(name) ? 'not possible: this test run is not root' : undefined;
  };
  for (const each of shut) t.diagnostic(`no control for "${each.name}": ${each.errno}: ${explained(each)}`);
  assert.deepEqual(
    shut.filter((each) => explained(each) === undefined),
    [],
  );
  assert.ok(on.heard().length > 0, 'the staged host heard the control');
});

async function inSecondWorld(t: TestContext, on: Stage): Promise<Result[]> {
  const second = await world(t, { mode: modes[0] as Mode, files: batteryFiles });
  await second.serve(['127.0.0.1:9444', 'udp:127.0.0.1:9444'], 'test/world/door/server.ts');
  return run(second, { ...on.targets, other: '9444' }, elsewhere['second world']);
}

for (const mode of modes) {
  for (const inside of ['agent', 'root'] as const) {
    test(`${mode} mode, ${inside === 'root' ? 'uid 0 inside' : 'the agent'}: every probe is blocked`, async (t) => {
      const on = await stage(t);
      const second = await world(t, { mode });
      await second.serve(['127.0.0.1:9444', 'udp:127.0.0.1:9444'], 'test/world/door/server.ts');
      const made = await sealed(t, mode, inside, on);
      const before = on.heard(); // setpriv looks its uid up, outside
      const results = await run(made, { ...on.targets, other: '9444' });
      const allowed = mode === 'user' ? notInUserMode : [];
      assert.deepEqual(names(openOnes(results)), [...allowed].sort(), JSON.stringify(openOnes(results)));
      assert.deepEqual(names(results), names(outside));
      assert.equal(results.length - allowed.length, counts[mode]);
      assert.deepEqual(on.heard(), before, 'nothing reached a service of the host');
      if (mode === 'user') t.diagnostic(`not in this mode, and open: ${allowed.join(', ')}`);
      t.diagnostic(`${counts[mode]} of ${counts[mode]} probes blocked`);
    });
  }
}

for (const mode of impossible)
  test(`${mode} mode: every probe is blocked`, { todo: 'not possible: this test run is not root' });
