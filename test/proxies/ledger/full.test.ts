/** A disk that is full: who waits is told no, what was promised stays, and room made is room used. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Head, Verified } from '../../../proxies/ledger/chain.ts';
import { openLedger } from '../../../proxies/ledger/ledger.ts';

type Told = {
  full: { promised: number; refused: string[] };
  verifiedFull: Verified;
  small: number;
  after: Head;
  verified: Verified;
};

/** Runs a program beside this one on a tmpfs of 512 KiB, and gives what it printed. */
function onSmallDisk(t: TestContext, program: string): unknown {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-full-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const child = join(import.meta.dirname, program);
  // A mount namespace of its own: nothing to unmount, and as an ordinary user it needs a user namespace too.
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const script = 'mount -t tmpfs -o size=512k tmpfs "$1" && exec "$2" "$3" "$1"';
  const out = execFileSync(
    'unshare',
    [...asRoot, '--mount', 'sh', '-c', script, 'sh', folder, process.execPath, child],
    { encoding: 'utf8', timeout: 60_000 },
  );
  return JSON.parse(out);
}

test('on a full disk appends are rejected, the promised lines stay, and freed space is used again', (t) => {
  const told = onSmallDisk(t, 'fulldisk.ts') as Told;
  assert.ok(told.full.promised > 10, 'control: there was room at first');
  assert.deepEqual(new Set(told.full.refused), new Set(['not-durable']));
  assert.equal(told.full.refused.length, 7, 'the whole batch is refused: none of it was promised');
  assert.ok(told.verifiedFull.ok);
  assert.equal(told.verifiedFull.count, told.full.promised);
  assert.equal(told.verifiedFull.tornBytes, 0, 'the failed write was taken back');
  assert.ok(told.verified.ok);
  assert.equal(told.after.seq, told.full.promised + told.small + 1);
  assert.deepEqual(told.verified.head, told.after);
});

test('where there is no room for a segment to be put away, appends go on, it is on record, and later it is put away', (t) => {
  const told = onSmallDisk(t, 'fulldisk-rotate.ts') as {
    whileFull: { archived: string[]; promised: number };
    asked: string;
    unrotated: number;
    lost: number;
    ok: boolean;
    archived: string[];
  };
  assert.deepEqual(told.whileFull, { archived: [], promised: 100 }, 'no half copy is left');
  assert.equal(told.asked, 'not-rotated');
  assert.ok(told.unrotated >= 2 && told.unrotated < 12, `${told.unrotated} times`);
  assert.deepEqual([told.lost, told.ok], [0, true]);
  assert.equal(told.archived[0], '000001.jsonl');
});

test('where even taking back fails, every append is rejected from then on', async () => {
  // /dev/full answers ENOSPC to each write and EINVAL to ftruncate.
  const ledger = await openLedger({ path: '/dev/full' }).catch((error: unknown) => error as Error);
  assert.ok(!(ledger instanceof Error), String(ledger));
  await assert.rejects(ledger.append({ turn: 1 }), { code: 'shut', message: /ENOSPC|EINVAL/ });
  await assert.rejects(ledger.append({ turn: 2 }), { code: 'shut' });
  assert.equal(ledger.head().seq, 0);
  await ledger.close();
});
