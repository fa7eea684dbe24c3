/** Invariant 12: an audit record that was acknowledged survives SIGKILL and power loss; a changed, dropped or reordered one is found. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createHeads } from '../../appliance/keeper/heads.ts';
import { auditLedgers } from '../../proxies/ledger/audit.ts';
import { type Ledger, openLedger } from '../../proxies/ledger/ledger.ts';
import { type Disk, watchDisk } from '../proxies/ledger/disk.ts';
import { killAfter, lostOf } from '../proxies/ledger/killed.ts';

function place(t: TestContext): { folder: string; path: string; archive: string } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-12-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const archive = join(folder, 'ledger');
  mkdirSync(archive);
  writeFileSync(`${archive}.jsonl`, '');
  return { folder, path: `${archive}.jsonl`, archive };
}

test('no acknowledged record is lost by SIGKILL under load, in the middle of rotations too', async (t) => {
  const { path, archive } = place(t);
  const promised = new Map<number, string>();
  for (let round = 0; round < 6; round++) {
    for (const [seq, hash] of await killAfter(20 + 17 * round, [path, archive, String(96 * 1024)]))
      promised.set(seq, hash);
    assert.equal(await lostOf(path, promised), 0, `round ${round}`);
  }
  assert.ok(promised.size > 1000, `${promised.size} were acknowledged`);
});

test('control: what promises first and writes later does lose records, and it is seen', async (t) => {
  const { path } = place(t);
  const careless = join(import.meta.dirname, '../proxies/ledger/careless.ts');
  const promised = await killAfter(150, [path], careless);
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.subarray(0, bytes.lastIndexOf(10) + 1));
  assert.ok((await lostOf(path, promised)) > 0);
});

/** After each acknowledgement, both what a power loss leaves at least and what it leaves at most. */
async function throughPowerLoss(t: TestContext, deaf: boolean): Promise<{ lost: number; looked: number }> {
  const { folder, path, archive } = place(t);
  const disk: Disk = await watchDisk(t, folder, 'ledger', deaf);
  const ledger: Ledger = await openLedger({ path, archive, segmentBytes: 3000 });
  const promised = new Map<number, string>();
  let lost = 0;
  let looked = 0;
  const look = async (): Promise<void> => {
    looked += 1;
    for (const left of [disk.least(), disk.most()]) {
      const again = { path: join(left, 'ledger.jsonl'), archive: join(left, 'ledger') };
      lost += await lostOf(again.path, promised);
      const opened = await openLedger(again);
      await opened.append({ kind: 'after the power loss' });
      await opened.close();
      lost += await lostOf(again.path, promised);
    }
  };
  for (let turn = 0; turn < 25; turn++) {
    const heads = await Promise.all([
      ledger.append({ turn, filler: 'x'.repeat(200) }),
      ledger.group(() => [
        { turn, part: 1 },
        { turn, part: 2 },
      ]),
    ]);
    for (const { seq, hash } of heads) promised.set(seq, hash);
    await look();
    if (turn % 10 === 9) {
      await ledger.rotate();
      await look();
    }
  }
  await ledger.close();
  assert.ok(disk.syncs() > 25, `${disk.syncs()} syncs`);
  return { lost, looked };
}

test('no acknowledged record is lost by a loss of power after it, whatever of the rest reached the disk', async (t) => {
  assert.deepEqual(await throughPowerLoss(t, false), { lost: 0, looked: 27 });
});

test('control: a disk that loses what was synced loses acknowledged records, and it is seen', async (t) => {
  const { lost } = await throughPowerLoss(t, true);
  assert.ok(lost > 0);
});

const changes: [what: string, change: (lines: string[]) => string[]][] = [
  ['changed', (lines) => lines.with(2, `${(lines[2] ?? '').slice(0, -1)},"more":1}`)],
  ['dropped', (lines) => lines.toSpliced(2, 1)],
  ['dropped from the end', (lines) => lines.slice(0, -1)],
  ['reordered', ([a = '', b = '', c = '', ...rest]) => [a, c, b, ...rest]],
];

for (const which of ['ledger.jsonl', 'ledger/000001.jsonl', 'keeper.jsonl']) {
  for (const [what, change] of changes) {
    test(`a record of ${which} that was ${what} is found`, async (t) => {
      const { folder, path, archive } = place(t);
      mkdirSync(join(folder, 'keeper'));
      writeFileSync(join(folder, 'keeper.jsonl'), '');
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      const heads = createHeads(folder, privateKey);
      const ledger = await openLedger({ path, archive });
      const keeper = await openLedger({
        path: join(folder, 'keeper.jsonl'),
        archive: join(folder, 'keeper'),
      });
      for (let turn = 0; turn < 12; turn++) {
        await ledger.append({ turn });
        if (turn === 5) await ledger.rotate();
        heads.moved(keeper.head());
        await keeper.append(heads.moved(keeper.head()) ?? {});
      }
      await Promise.all([ledger.close(), keeper.close()]);
      assert.ok(
        (await auditLedgers(folder, publicKey)).every(({ ok }) => ok),
        'control: unharmed, it is whole',
      );
      const lines = readFileSync(join(folder, which), 'utf8').split('\n').slice(0, -1);
      rmSync(join(folder, which));
      // The keeper's own last line is covered by its next checkpoint: of that ledger, the one before it is dropped.
      const changed =
        which === 'keeper.jsonl' && what === 'dropped from the end' ? lines.toSpliced(-2, 1) : change(lines);
      assert.notEqual(changed.join(), lines.join());
      writeFileSync(join(folder, which), changed.map((line) => `${line}\n`).join(''));
      const [bad] = (await auditLedgers(folder, publicKey)).filter(({ ok }) => !ok);
      assert.ok(bad?.bad, 'not found');
    });
  }
}
