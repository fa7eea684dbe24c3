/** A guest in a loop is refused each time and fills no disk. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startDoor } from './rig.ts';

test('every request is refused, and a minute of them is a bounded number of lines', async (t) => {
  const rig = await startDoor(t, {});
  const asked = 1500;
  for (let sent = 0; sent < asked; sent += 50) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(`${rig.url}/not/listed`)));
    for (const answer of answers) {
      assert.equal(answer.status, 404);
      await answer.text();
    }
  }
  const refusals = rig.lines.filter((line) => line.kind === 'refusal').length;
  // The loop may run over the turn of a minute.
  assert.ok(refusals >= 600 && refusals <= 1200, `${refusals} lines for ${asked} requests`);
});
