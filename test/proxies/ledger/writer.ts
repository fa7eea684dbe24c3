/** A process that appends without pause and says on stdout which lines it was promised. survive.test.ts kills it. Argument: the ledger. */
import { openLedger } from '../../../proxies/ledger/ledger.ts';

const ledger = await openLedger({ path: process.argv[2] ?? '' });
const writer = async (name: number): Promise<never> => {
  for (let turn = 0; ; turn++) {
    const { seq, hash } = await ledger.append({ kind: 'load', name, turn, filler: 'x'.repeat(turn % 3000) });
    process.stdout.write(`${seq} ${hash}\n`);
  }
};
await Promise.all(Array.from({ length: 16 }, (_, name) => writer(name)));
