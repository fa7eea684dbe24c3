/** A guest's output in the launcher: kept, bounded, and never in the way of anything else. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { collect } from '../../appliance/launcher/collect.ts';

function home(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-collect-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'shared/logs'), { recursive: true });
  return folder;
}

test('a guest that prints empty lines without end leaves the launcher free for everything else', async (t) => {
  const folder = home(t);
  const script = 'my $b = "\\n" x 65536; while (1) { syswrite(STDOUT, $b) or exit }';
  const guest = spawn('perl', ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.after(() => guest.kill('SIGKILL'));
  collect(folder, 'agent@main', guest.stdout, null);
  let latestMs = 0;
  for (const end = performance.now() + 2000; performance.now() < end; ) {
    const from = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
    latestMs = Math.max(latestMs, performance.now() - from);
  }
  assert.ok(latestMs < 500, `a timer of 10 ms came after ${Math.round(latestMs)} ms`);
  const { size } = statSync(join(folder, 'shared/logs/agent@main.log'));
  assert.ok(size > 0 && size < 5 * 1024 * 1024, `${size} bytes were kept`);
});
