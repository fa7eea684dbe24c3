/** Fills the disk that its ledger lies on, frees it again, and prints what appends were told. full.test.ts runs it on a small tmpfs. Argument: the folder. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { verifyLedger } from '../../../proxies/ledger/chain.ts';
import { openLedger } from '../../../proxies/ledger/ledger.ts';

const folder = process.argv[2] ?? '';
const path = join(folder, 'ledger.jsonl');
const ballast = join(folder, 'ballast');
writeFileSync(path, '');
writeFileSync(ballast, Buffer.alloc(128 * 1024));
const ledger = await openLedger({ path });

const filler = 'x'.repeat(3000);
const fill = async (): Promise<{ promised: number; refused: string[] }> => {
  let promised = 0;
  for (;;) {
    const batch = await Promise.allSettled(Array.from({ length: 7 }, () => ledger.append({ filler })));
    promised += batch.filter(({ status }) => status === 'fulfilled').length;
    const refused = batch
      .filter((each) => each.status === 'rejected')
      .map((each) => String(each.reason.code));
    if (refused.length > 0) return { promised, refused };
  }
};

const full = await fill();
const verifiedFull = await verifyLedger(path);
const small = await ledger.append({ small: true }).then(
  () => 1,
  () => 0,
);
rmSync(ballast);
const after = await ledger.append({ freed: true });
const verified = await verifyLedger(path, after);
process.stdout.write(JSON.stringify({ full, verifiedFull, small, after, verified }));
