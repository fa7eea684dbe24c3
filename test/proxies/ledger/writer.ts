/** A process that appends without pause and says on stdout which lines it was promised. The tests and the drill kill it. Arguments: the ledger; and for one that rotates its archive and the bytes of a segment. */
import { openLedger } from '../../../proxies/ledger/ledger.ts';

const [path = '', archive, segmentBytes] = process.argv.slice(2);
const ledger = await openLedger({
  path,
  ...(archive === undefined
    ? {}
    : { archive, segmentBytes: Number(segmentBytes), carry: () => ({ by: process.pid }) }),
});
const writer = async (name: number): Promise<never> => {
  for (let turn = 0; ; turn++) {
    const record = { kind: 'load', name, turn, filler: 'x'.repeat(turn % 3000) };
    const { seq, hash } =
      turn % 5 === 4
        ? await ledger.group(() => [{ kind: 'first' }, Buffer.from(JSON.stringify(record))])
        : await ledger.append(record);
    process.stdout.write(`${seq} ${hash}\n`);
  }
};
await Promise.all(Array.from({ length: 16 }, (_, name) => writer(name)));
