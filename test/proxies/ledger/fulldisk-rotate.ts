/** A ledger that rotates on a disk with no room for the copy, and has it later. full.test.ts runs it on a small tmpfs. Argument: the folder. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Head, walkLedger } from '../../../proxies/ledger/chain.ts';
import { openLedger } from '../../../proxies/ledger/ledger.ts';

const folder = process.argv[2] ?? '';
const path = join(folder, 'ledger.jsonl');
const archive = join(folder, 'ledger');
const ballast = join(folder, 'ballast');
writeFileSync(path, '');
mkdirSync(archive);
// 512 KiB in all: what is left takes the live file, and not its copy beside it.
writeFileSync(ballast, Buffer.alloc(300 * 1024));
const ledger = await openLedger({ path, archive, segmentBytes: 120 * 1024 });

const promised: Head[] = [];
const filler = 'x'.repeat(1500);
for (let turn = 0; turn < 100; turn++) promised.push(await ledger.append({ turn, filler }));
const whileFull = { archived: readdirSync(archive), promised: promised.length };
const asked = await ledger.rotate().then(
  () => 'rotated',
  (error: unknown) => String((error as { code?: unknown }).code),
);
rmSync(ballast);
for (let turn = 100; turn < 150; turn++) promised.push(await ledger.append({ turn, filler }));
await ledger.close();

const found = new Map<number, string>();
let unrotated = 0;
const seen = await walkLedger(path, (head, line) => {
  found.set(head.seq, head.hash);
  if (line.kind === 'unrotated' && line.why === 'ENOSPC') unrotated += 1;
});
const lost = promised.filter(({ seq, hash }) => found.get(seq) !== hash).length;
process.stdout.write(
  JSON.stringify({ whileFull, asked, unrotated, lost, ok: seen.ok, archived: readdirSync(archive) }),
);
