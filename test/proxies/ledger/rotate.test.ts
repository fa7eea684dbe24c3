/** A ledger in segments: what is put away chains on, each segment stands for itself, and a crash at any step of a rotation loses nothing. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Head, verifyLedger, walkLedger } from '../../../proxies/ledger/chain.ts';
import { openLedger } from '../../../proxies/ledger/ledger.ts';
import type { Line } from '../../../proxies/ledger/line.ts';
import { tailLedger } from '../../../proxies/ledger/tail.ts';
import { ledgerFile } from './file.ts';

function place(t: TestContext): { path: string; archive: string } {
  const path = ledgerFile(t);
  const archive = path.replace(/\.jsonl$/, '');
  mkdirSync(archive);
  return { path, archive };
}

const linesOf = (file: string): Line[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

/** Every line that was promised is still where it was promised. */
async function holds(path: string, promised: Head[]): Promise<void> {
  const found = new Map<number, string>();
  const seen = await walkLedger(path, (head) => void found.set(head.seq, head.hash));
  assert.ok(seen.ok, JSON.stringify(seen));
  assert.deepEqual(
    promised.filter(({ seq, hash }) => found.get(seq) !== hash),
    [],
  );
  assert.equal((await verifyLedger(path, promised.at(-1))).ok, true);
}

test('a file that is large is put away, numbers and hashes go on, and the whole is verified', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive, segmentBytes: 4096, carry: () => ({ spent: 7 }) });
  const promised: Head[] = [];
  for (let turn = 1; turn <= 60; turn++)
    promised.push(await ledger.append({ turn, filler: 'x'.repeat(300) }));
  await ledger.close();
  const segments = readdirSync(archive).sort();
  assert.ok(segments.length >= 4, segments.join());
  assert.equal(segments[0], '000001.jsonl');
  assert.ok(statSync(join(archive, '000001.jsonl')).size < 4096 + 500);
  const [first] = linesOf(join(archive, '000002.jsonl'));
  const before = linesOf(join(archive, '000001.jsonl')).at(-1);
  assert.deepEqual(
    [first?.kind, first?.number, first?.carry, first?.seq],
    ['segment', 2, { spent: 7 }, (before?.seq ?? 0) + 1],
  );
  await holds(path, promised);
  const again = await openLedger({ path, archive });
  assert.equal(again.head().seq, promised.at(-1)?.seq);
  await again.close();
});

test('the tail goes on into the archive, of the wanted kinds alone', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  const add = async (from: number, to: number): Promise<void> => {
    for (let turn = from; turn <= to; turn++) {
      await ledger.append({ kind: 'blob', turn });
      await ledger.append({ turn, kind: 'request' });
    }
  };
  const turns = async (count: number): Promise<unknown[]> =>
    (await tailLedger(path, count, { kinds: ['request'] })).map(({ turn }) => turn);
  await add(1, 3);
  await ledger.rotate();
  assert.equal(linesOf(path).length, 1, 'only the line that begins the segment');
  assert.deepEqual(await turns(2), [2, 3]);
  await add(4, 5);
  await ledger.rotate();
  await add(6, 6);
  await ledger.close();
  assert.deepEqual(await turns(5), [2, 3, 4, 5, 6]);
  assert.deepEqual(await turns(99), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(
    (await tailLedger(path, 3)).map(({ kind }) => kind),
    ['segment', 'blob', 'request'],
  );
  assert.deepEqual(
    (await tailLedger(path, 1, { kinds: ['request'], archive: join(archive, 'none') })).map(
      ({ turn }) => turn,
    ),
    [6],
  );
});

test('a week-old file is put away with the next line, a fresh one is not', async (t) => {
  const { path, archive } = place(t);
  let now = Date.UTC(2026, 1, 3);
  const parts = { path, archive, clock: () => now };
  const first = await openLedger(parts);
  await first.append({ turn: 1 });
  now += 6 * 24 * 3600 * 1000;
  await first.append({ turn: 2 });
  await first.close();
  assert.deepEqual(readdirSync(archive), []);
  const second = await openLedger(parts); // and the age outlives a restart
  now += 2 * 24 * 3600 * 1000;
  await second.append({ turn: 3 });
  await second.append({ turn: 4 });
  await second.close();
  assert.deepEqual(readdirSync(archive), ['000001.jsonl']);
  assert.deepEqual(
    linesOf(path).map(({ kind, turn }) => kind ?? turn),
    ['segment', 3, 4],
  );
});

test('the lines of a group stand in one segment, in order, and the next segment is another object', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive, segmentBytes: 2000 });
  const seen: object[] = [];
  const heads: Head[] = [];
  for (let turn = 1; turn <= 20; turn++) {
    heads.push(
      await ledger.group((segment) => {
        seen.push(segment);
        return [
          { turn, part: 1 },
          Buffer.from(`{"turn":${turn},"part":2,"filler":"${'x'.repeat(300)}"}`),
          { turn, part: 3 },
        ];
      }),
    );
  }
  await ledger.close();
  await holds(path, heads);
  const files = [
    ...readdirSync(archive)
      .sort()
      .map((name) => join(archive, name)),
    path,
  ];
  assert.equal(new Set(seen).size, files.length);
  const parts = files.map((file) => linesOf(file).filter(({ kind }) => kind !== 'segment'));
  for (const lines of parts) {
    assert.equal(lines.length % 3, 0);
    for (const [at, line] of lines.entries()) assert.equal(line.part, (at % 3) + 1);
  }
});

test('a group with a record that cannot be a line is refused whole, and the others are not harmed', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  let before: object = {};
  let after: object = {};
  const group = (records: (Record<string, unknown> | Buffer)[]) => ledger.group(() => records);
  const results = await Promise.allSettled([
    ledger.group((segment) => {
      before = segment;
      return [{ turn: 1 }];
    }),
    group([{ turn: 'no' }, { seq: 4 }]),
    group([{ turn: 'no' }, Buffer.from('{"a":\n1}')]),
    group([{ turn: 'no' }, Buffer.from('[1]')]),
    group([{ turn: 'no' }, Buffer.from(`{"a":"${'x'.repeat(256 * 1024)}"}`)]),
    ledger.group(() => {
      throw new Error('made nothing');
    }),
    ledger.group((segment) => {
      after = segment;
      return [{ turn: 2 }];
    }),
  ]);
  assert.deepEqual(
    results.map(({ status }) => (status === 'fulfilled' ? 'kept' : 'no')),
    ['kept', 'no', 'no', 'no', 'no', 'no', 'kept'],
  );
  assert.notEqual(before, after, 'what was made for a refused group may not be thought to be stored');
  await ledger.close();
  assert.deepEqual(
    linesOf(path).map(({ turn }) => turn),
    [1, 2],
  );
});

test('a group larger than one write is one line after the other all the same', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  const text = 'é'.repeat(100_000);
  const [big] = await Promise.all([
    ledger.group(() => Array.from({ length: 60 }, (_, part) => ({ part, text }))),
    ledger.append({ after: true }),
  ]);
  await ledger.close();
  assert.equal(big.seq, 60);
  const seen = await verifyLedger(path, big);
  assert.ok(seen.ok);
  assert.equal(seen.count, 61);
});

test('a rotation is refused where there is no archive, and after the close', async (t) => {
  const { path } = place(t);
  const ledger = await openLedger({ path });
  await ledger.append({ turn: 1 });
  await assert.rejects(ledger.rotate(), { code: 'not-rotated' });
  await ledger.close();
  await assert.rejects(ledger.rotate(), { code: 'shut' });
});

test('a visitor sees each live line once, and of the last segment where the live file has none', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  for (let turn = 1; turn <= 3; turn++) await ledger.append({ turn });
  await ledger.rotate();
  for (let turn = 4; turn <= 5; turn++) await ledger.append({ turn });
  await ledger.close();
  const visits = async (): Promise<{ told: unknown[]; same: boolean }> => {
    const told: unknown[] = [];
    let of: object | undefined;
    const opened = await openLedger({
      path,
      archive,
      visit: (line, segment) => {
        told.push(line.turn ?? line.kind);
        of = segment;
      },
    });
    let now: object | undefined;
    await opened.group((segment) => {
      now = segment;
      return [];
    });
    await opened.close();
    return { told, same: of === now };
  };
  assert.deepEqual(await visits(), { told: ['segment', 4, 5], same: true });
  copyFileSync(path, join(archive, '000002.jsonl'));
  truncateSync(path); // as a crash right after the truncation leaves it
  assert.deepEqual(await visits(), { told: ['segment', 4, 5], same: false });
});

/** Ten promised lines, the live file of segment 2, and what a rotation of it would write. */
async function halfway(t: TestContext) {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  const promised: Head[] = [];
  for (let turn = 1; turn <= 10; turn++) {
    if (turn === 6) await ledger.rotate();
    promised.push(await ledger.append({ turn }));
  }
  const live = readFileSync(path);
  await ledger.rotate();
  await ledger.close();
  const header = readFileSync(path);
  const second = join(archive, '000002.jsonl');
  rmSync(second);
  writeFileSync(path, live);
  return { path, archive, promised, live, header, second };
}
type Halfway = Awaited<ReturnType<typeof halfway>>;

const crashes: [what: string, leave: (at: Halfway) => void, segments: number][] = [
  ['before the copy', () => {}, 2],
  [
    'in the middle of the copy',
    ({ second, live }) => writeFileSync(`${second}.part`, live.subarray(0, 100)),
    2,
  ],
  ['after the copy', ({ second, live }) => writeFileSync(`${second}.part`, live), 2],
  ['after the rename', ({ second, live }) => writeFileSync(second, live, { mode: 0o444 }), 2],
  [
    'after the rename, where the copy could not be removed and the live file went on',
    ({ second, live }) => writeFileSync(second, live.subarray(0, live.indexOf(10) + 1), { mode: 0o444 }),
    2,
  ],
  [
    'after the truncation',
    ({ second, path, live }) => {
      writeFileSync(second, live);
      truncateSync(path);
    },
    3,
  ],
  [
    'in the middle of the first line of the new segment',
    ({ second, path, live, header }) => {
      writeFileSync(second, live);
      writeFileSync(path, header.subarray(0, 40));
    },
    3,
  ],
  [
    'after the first line of the new segment',
    ({ second, path, live, header }) => {
      writeFileSync(second, live);
      writeFileSync(path, header);
    },
    3,
  ],
];

for (const [what, leave, segments] of crashes) {
  test(`a crash ${what} loses no promised line, and the ledger goes on`, async (t) => {
    const at = await halfway(t);
    leave(at);
    const before = await walkLedger(at.path);
    assert.ok(before.ok, `it verifies as it lies there: ${JSON.stringify(before)}`);
    const ledger = await openLedger({ path: at.path, archive: at.archive, carry: () => ({ kept: true }) });
    assert.ok(ledger.head().seq >= (at.promised.at(-1)?.seq ?? 0));
    at.promised.push(await ledger.append({ turn: 11 }));
    await ledger.rotate();
    at.promised.push(await ledger.append({ turn: 12 }));
    await ledger.close();
    await holds(at.path, at.promised);
    assert.deepEqual(
      readdirSync(at.archive).sort(),
      Array.from({ length: segments }, (_, number) => `00000${number + 1}.jsonl`),
    );
    const turns = (await tailLedger(at.path, 99))
      .map(({ turn }) => turn)
      .filter((turn) => turn !== undefined);
    assert.deepEqual(turns, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 'each once');
  });
}

test('an archive that holds other lines of the live segment is evidence: nothing is opened or repaired', async (t) => {
  const at = await halfway(t);
  for (const [what, bytes] of [
    ['changed', Buffer.from(at.live.toString().replace('"turn":7', '"turn":8'))],
    ['longer', Buffer.concat([at.live, at.live])],
  ] as const) {
    writeFileSync(at.second, bytes);
    await assert.rejects(openLedger(at), { code: 'broken-chain' }, what);
    assert.deepEqual([readFileSync(at.path), readFileSync(at.second)], [at.live, bytes]);
    rmSync(at.second);
  }
  writeFileSync(join(at.archive, '000007.jsonl'), at.live);
  await assert.rejects(openLedger(at), { code: 'broken-chain' });
  rmSync(join(at.archive, '000007.jsonl'));
  const ledger = await openLedger(at);
  await ledger.close();
});

test('a live file that does not follow the last segment is not opened', async (t) => {
  const at = await halfway(t);
  const first = join(at.archive, '000001.jsonl');
  const lines = readFileSync(first, 'utf8').trimEnd().split('\n');
  rmSync(first);
  writeFileSync(first, `${lines.slice(0, -1).join('\n')}\n`);
  await assert.rejects(openLedger(at), { code: 'broken-chain', message: /does not follow/ });
});

test('a segment that is gone is named, and a process that serves goes on', async (t) => {
  const at = await halfway(t);
  rmSync(join(at.archive, '000001.jsonl'));
  assert.deepEqual(await verifyLedger(at.path), {
    ok: false,
    file: join(at.archive, '000001.jsonl'),
    line: 1,
    why: 'the segment is missing',
  });
  const ledger = await openLedger(at);
  assert.equal((await ledger.append({ turn: 11 })).seq, (at.promised.at(-1)?.seq ?? 0) + 1);
  await ledger.close();
});

test('a rotation that cannot be made is on record, appends go on, and it is made when it can be', async (t) => {
  const { path, archive } = place(t);
  rmSync(archive, { recursive: true });
  const ledger = await openLedger({ path, archive, segmentBytes: 3200 });
  const promised: Head[] = [];
  const add = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++)
      promised.push(await ledger.append({ turn, filler: 'x'.repeat(300) }));
  };
  await add(20);
  assert.ok(linesOf(path).some(({ kind, why }) => kind === 'unrotated' && why === 'ENOENT'));
  await assert.rejects(ledger.rotate(), { code: 'not-rotated' });
  mkdirSync(archive);
  await add(2);
  await ledger.close();
  assert.ok(existsSync(join(archive, '000001.jsonl')));
  await holds(path, promised);
});

test('a carry that is no record postpones the rotation and not the appends', async (t) => {
  const { path, archive } = place(t);
  let carry: () => Record<string, unknown> = () => {
    throw new Error('not now');
  };
  const ledger = await openLedger({ path, archive, carry: () => carry() });
  const promised = [await ledger.append({ turn: 1 })];
  await assert.rejects(ledger.rotate(), { code: 'not-rotated', message: /not now/ });
  promised.push(await ledger.append({ turn: 2 }));
  carry = () => ({ text: 'x'.repeat(300_000) });
  await assert.rejects(ledger.rotate(), { code: 'not-rotated' });
  carry = () => ({});
  promised.push(await ledger.append({ turn: 3 }));
  await ledger.rotate();
  await ledger.close();
  await holds(path, promised);
});

test('a ledger is verified and its tail read while it is written and rotated', {
  timeout: 60_000,
}, async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive, segmentBytes: 20_000 });
  let writing = true;
  const writer = (async () => {
    for (let turn = 0; writing; turn++)
      await ledger.append({ kind: 'request', turn, filler: 'x'.repeat(turn % 500) });
  })();
  const began = performance.now();
  let looked = 0;
  // On a busy machine it takes longer; that it never happens is the test's own time limit.
  const looking = async (): Promise<void> => {
    while (looked < 20 || readdirSync(archive).length < 4 || performance.now() - began < 1000) {
      const before = ledger.head();
      const seen = await verifyLedger(path, before);
      assert.ok(seen.ok, JSON.stringify(seen));
      assert.ok(seen.count >= before.seq);
      const seqs = (await tailLedger(path, 50)).map(({ seq }) => seq);
      const whole = Array.from({ length: seqs.length }, (_, at) => (seqs[0] ?? 0) + at);
      assert.deepEqual(seqs, whole, 'each once, in order, none left out');
      looked += 1;
    }
  };
  await looking().finally(() => {
    writing = false;
  });
  await writer;
  await ledger.close();
});

test('the readers of ledgers can read what was put away, whatever the umask is, and nobody writes it again', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  await ledger.append({ turn: 1 });
  const umask = process.umask(0o077);
  await ledger.rotate().finally(() => process.umask(umask));
  await ledger.close();
  assert.equal(statSync(join(archive, '000001.jsonl')).mode & 0o777, 0o444);
});

test('what somebody else wrote into the live file is not cut off by a rotation: the ledger shuts', async (t) => {
  const { path, archive } = place(t);
  const ledger = await openLedger({ path, archive });
  await ledger.append({ turn: 1 });
  writeFileSync(path, `${readFileSync(path, 'utf8')}{"foreign":true}\n`);
  const before = readFileSync(path);
  await assert.rejects(ledger.rotate(), { code: 'not-rotated' });
  await assert.rejects(ledger.append({ turn: 2 }), { code: 'shut' });
  await ledger.close();
  assert.deepEqual([readFileSync(path), readdirSync(archive)], [before, []]);
});
