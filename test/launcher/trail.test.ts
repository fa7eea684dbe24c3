/** A line of the trail is read raw and rendered: nothing in it is markdown, and a command of ours is as it is to be typed. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { addToTrail } from '../../appliance/launcher/trail.ts';

test('a command of ours keeps its backticks, and no other text keeps its own', (t) => {
  const home = mkdtempSync(join(tmpdir(), 'holdfast-trail-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  mkdirSync(join(home, 'shared/logs/errors'), { recursive: true });
  const line = (sentence: string): string => {
    addToTrail(home, 'error', sentence);
    const text = readFileSync(join(home, 'shared/logs/errors/ERROR-LOG.md'), 'utf8');
    return (
      text
        .trimEnd()
        .split('\n')
        .at(-1)
        ?.replace(/^- \S+ /, '') ?? ''
    );
  };
  assert.equal(line('ask once (`holdfast models price`)'), 'ask once (`holdfast models price`)');
  assert.equal(line('`holdfast audit verify` names _it_'), '`holdfast audit verify` names \\_it\\_');
  for (const [given, written] of [
    ['`rm -rf`', '\\`rm -rf\\`'],
    ['`holdfast `x`', '\\`holdfast \\`x\\`'],
    ['`holdfast <b>`', '\\`holdfast \\<b\\>\\`'],
    ['``holdfast up`', '\\``holdfast up`'],
    ['`holdfast [a](b)`', '\\`holdfast \\[a\\](b)\\`'],
  ] as const) {
    assert.equal(line(given), written);
  }
});
