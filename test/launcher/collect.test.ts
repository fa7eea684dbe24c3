/** What processes print, in the launcher: kept, bounded, and never in the way of anything else; the faults of ours in the error log, and never a word of a guest's. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { collect, type Heard } from '../../appliance/launcher/collect.ts';

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

async function said(
  t: TestContext,
  ours: boolean,
  lines: unknown[],
): Promise<{ trail: string[]; faults: string[]; log: string }> {
  const folder = home(t);
  const trail: string[] = [];
  const faults: string[] = [];
  const heard: Heard = {
    ready: () => trail.push('ready'),
    trail: (where, sentence) => trail.push(`${where}: ${sentence}`),
    fault: (sentence) => faults.push(sentence),
    setupCode: () => trail.push('code'),
  };
  const stream = new PassThrough();
  collect(folder, 'llm', stream, ours ? heard : null);
  stream.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await finished(stream);
  return { trail, faults, log: readFileSync(join(folder, 'shared/logs/llm.log'), 'utf8') };
}

const fault = { level: 'error', text: 'a request could not be recorded', code: 'not-durable' };

test('a fault of a process of ours stands in the error log with its reason', async (t) => {
  const { trail } = await said(t, true, [fault, { level: 'info', text: 'nothing' }]);
  assert.deepEqual(trail, ['error: llm: a request could not be recorded (not-durable)']);
});

test('the last fault is told with its reason, and of a stack its first line alone', async (t) => {
  const stack = 'Error: no such door\n    at open (/x/door.ts:1:1)';
  const { faults } = await said(t, true, [
    ...Array(40).fill(fault),
    { level: 'error', text: 'ends on an uncaught fault', error: 'line 83: its prev is wrong', stack },
    { level: 'error', text: 'ends', stack },
  ]);
  assert.deepEqual(faults.slice(-2), [
    'ends on an uncaught fault (line 83: its prev is wrong)',
    'ends (Error: no such door)',
  ]);
});

test('a fault a request does not flood it: the rest is in the log, and that is said', async (t) => {
  const { trail, log } = await said(t, true, Array(40).fill(fault));
  assert.ok(trail.length <= 20, 'ten a minute; the minute may have turned');
  assert.match(trail[9] ?? '', /what else fails this minute is in shared\/logs\/llm\.log$/);
  assert.equal(log.trimEnd().split('\n').length, 40);
});

test('a guest that prints our words gets a log line and nothing else', async (t) => {
  const { trail, faults, log } = await said(t, false, [
    fault,
    { ready: true },
    { setupCode: 'X' },
    { trail: 'error', text: 'x' },
  ]);
  assert.deepEqual([trail, faults], [[], []]);
  assert.equal(log.trimEnd().split('\n').length, 4);
});
