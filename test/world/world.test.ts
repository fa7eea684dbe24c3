import assert from 'node:assert/strict';
import { test } from 'node:test';
import { impossible, modes, world } from './world.ts';

for (const mode of modes) {
  test(`every wall of a world stands (${mode} mode)`, async (t) => {
    const { walls } = await world(t, { mode });
    const found = await walls();
    const limits = mode === 'root' ? 'stands' : 'absent';
    assert.deepEqual(
      found.map(({ wall, state }) => [wall, state]),
      [
        ...['network', 'mounts', 'processes', 'privileges', 'system calls'].map((wall) => [wall, 'stands']),
        ['own uid', limits],
        ['cgroup', limits],
      ],
      JSON.stringify(found, null, 2),
    );
  });
}

for (const mode of impossible) {
  test(`every wall of a world stands (${mode} mode)`, { todo: 'not possible: this test run is not root' });
}
