/** Whatever is appended, whenever it is put away and at whichever byte a crash cuts it: what was promised is there, and the chain holds. */
import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { walkLedger } from '../../../proxies/ledger/chain.ts';
import { type Ledger, openLedger } from '../../../proxies/ledger/ledger.ts';
import { tailLedger } from '../../../proxies/ledger/tail.ts';
import { ledgerFile } from './file.ts';

type Step =
  | { do: 'append'; records: Record<string, unknown>[] }
  | { do: 'group'; records: Record<string, unknown>[] }
  | { do: 'rotate' }
  | { do: 'reopen' }
  /** A write that was under way: some of its bytes reached the disk. */
  | { do: 'torn'; bytes: Uint8Array }
  /** A rotation that was under way: how far it came, and how much of the copy was made. */
  | { do: 'halfway'; came: 'copying' | 'renamed' | 'truncated' | 'begun'; part: number };

const record = fc.dictionary(
  fc.string({ maxLength: 8 }).filter((key) => !['seq', 'at', 'prev', 'kind', '__proto__'].includes(key)),
  fc.jsonValue({ maxDepth: 2 }),
  { maxKeys: 4 },
);
const records = fc.array(record, { minLength: 1, maxLength: 6 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('append' as const), records }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('group' as const), records }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('rotate' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('torn' as const),
      bytes: fc
        .uint8Array({ minLength: 1, maxLength: 200 })
        .map((bytes) => bytes.map((byte) => (byte === 10 ? 11 : byte))),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('halfway' as const),
      came: fc.constantFrom('copying' as const, 'renamed' as const, 'truncated' as const, 'begun' as const),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
);

/** Leaves on the disk what a crash in the middle of the next rotation leaves. */
function halfway(path: string, archive: string, { came, part }: Extract<Step, { do: 'halfway' }>): void {
  const live = readFileSync(path);
  if (live.length === 0) return;
  const next = join(archive, `${String(readdirSync(archive).length + 1).padStart(6, '0')}.jsonl`);
  if (came === 'copying') writeFileSync(`${next}.part`, live.subarray(0, Math.floor(live.length * part)));
  else writeFileSync(next, live, { mode: 0o444 });
  if (came === 'truncated' || came === 'begun') truncateSync(path);
  if (came === 'begun') appendFileSync(path, '{"seq":7,"at":"2026-'.slice(0, Math.ceil(20 * part)));
}

test('no promised line is lost and the chain holds, over random appends, rotations and crashes', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 25 }),
      fc.integer({ min: 200, max: 5000 }),
      async (steps, segmentBytes) => {
        const path = ledgerFile(t);
        const archive = path.replace(/\.jsonl$/, '');
        mkdirSync(archive);
        const promised: { seq: number; hash: string }[] = [];
        const wanted: unknown[] = [];
        const open = (): Promise<Ledger> => openLedger({ path, archive, segmentBytes });
        let ledger = await open();
        for (const each of steps) {
          if (each.do === 'append') {
            promised.push(...(await Promise.all(each.records.map((one) => ledger.append(one)))));
            wanted.push(...each.records);
          } else if (each.do === 'group') {
            promised.push(
              await ledger.group(() =>
                each.records.map((one, at) => (at % 2 ? one : Buffer.from(JSON.stringify(one)))),
              ),
            );
            wanted.push(...each.records);
          } else if (each.do === 'rotate') await ledger.rotate();
          else {
            await ledger.close();
            if (each.do === 'torn') appendFileSync(path, each.bytes);
            if (each.do === 'halfway') halfway(path, archive, each);
            ledger = await open();
          }
        }
        await ledger.close();

        const heads = new Map<number, string>();
        const found: unknown[] = [];
        const seen = await walkLedger(path, (head, { seq: _, at: __, prev: ___, ...rest }) => {
          heads.set(head.seq, head.hash);
          if (rest.kind === undefined) found.push(rest);
        });
        assert.ok(seen.ok, JSON.stringify(seen));
        assert.equal(seen.head.seq, heads.size);
        assert.deepEqual(
          promised.filter(({ seq, hash }) => heads.get(seq) !== hash),
          [],
        );
        const plain = (values: unknown[]): unknown => JSON.parse(JSON.stringify(values));
        assert.deepEqual(found, plain(wanted));
        const tail = await tailLedger(path, heads.size);
        assert.deepEqual(
          tail.map(({ seq }) => seq),
          [...heads.keys()],
          'and the tail shows each once',
        );
        rmSync(archive, { recursive: true });
      },
    ),
    { numRuns: 120 },
  );
});
