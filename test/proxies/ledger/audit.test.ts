/** Whoever can write the files of the record, and lacks the keeper's key, is found: each thing that they could do to it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Audited, auditLedgers } from '../../../proxies/ledger/audit.ts';
import type { Head } from '../../../proxies/ledger/chain.ts';
import { signCheckpoint } from '../../../proxies/ledger/checkpoint.ts';
import { openLedger } from '../../../proxies/ledger/ledger.ts';
import { lineBeginning, lineHash, noHead } from '../../../proxies/ledger/line.ts';

const start = Date.UTC(2026, 1, 3, 12);
const minute = 60_000;

type Record_ = { folder: string; key: KeyObject; secret: KeyObject; now(): number; pass(ms: number): void };

/** A traffic ledger of three segments and five checkpoints of it, two of them of a time in which nothing was written. */
async function record(t: TestContext): Promise<Record_> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-audit-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const name of ['traffic', 'keeper']) {
    writeFileSync(join(folder, `${name}.jsonl`), '');
    mkdirSync(join(folder, name));
  }
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  let now = start;
  const made: Record_ = {
    folder,
    key: publicKey,
    secret: privateKey,
    now: () => now,
    pass: (ms) => {
      now += ms;
    },
  };
  const traffic = await opened(made, 'traffic');
  for (let round = 0; round < 5; round++) {
    if (round === 1 || round === 3) await traffic.rotate();
    if (round % 2 === 0)
      for (let turn = 0; turn < 4; turn++) await traffic.append({ round, turn, host: 'a.example' });
    await seal(made, traffic.head());
    made.pass(30 * minute);
  }
  await traffic.close();
  return made;
}

const opened = ({ folder, now }: Record_, name: string) =>
  openLedger({ path: join(folder, `${name}.jsonl`), archive: join(folder, name), clock: now });

async function seal(
  made: Record_,
  head: Head,
  { secret = made.secret, at = made.now() }: { secret?: KeyObject; at?: number } = {},
): Promise<void> {
  const keeper = await opened(made, 'keeper');
  const sign = (name: string, { seq, hash }: Head): string =>
    signCheckpoint({ origin: `holdfast/x/${name}`, size: seq, hash, at: new Date(at).toISOString() }, secret);
  const own = keeper.head();
  const notes = [sign('traffic', head), ...(own.seq > 0 ? [sign('keeper', own)] : [])];
  await keeper.append({ kind: 'checkpoints', notes });
  await keeper.close();
}

const of = (audited: Audited[], ledger: string): Audited => {
  const found = audited.find((each) => each.ledger === ledger);
  assert.ok(found, ledger);
  return found;
};

const linesOf = (file: string): string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1);
const writeLines = (file: string, lines: string[]): void => {
  rmSync(file, { force: true });
  writeFileSync(file, lines.map((line) => `${line}\n`).join(''));
};

/** What a forger does who knows the format: every line after the change is chained anew. */
function rechained(lines: string[], before: Head = noHead): string[] {
  let head = before;
  return lines.map((line) => {
    const { seq: _, at, prev: __, ...rest } = JSON.parse(line) as Record<string, string>;
    const next = `${lineBeginning(head, at ?? '')},${JSON.stringify(rest).slice(1)}`;
    head = { seq: head.seq + 1, hash: lineHash(next) };
    return next;
  });
}

const segment = ({ folder }: Record_, number: number): string => join(folder, `traffic/00000${number}.jsonl`);
const live = ({ folder }: Record_): string => join(folder, 'traffic.jsonl');

test('an honest record is whole, and says how far it is signed', async (t) => {
  const made = await record(t);
  const audited = await auditLedgers(made.folder, made.key);
  assert.deepEqual(
    audited.map(({ ledger, ok }) => [ledger, ok]),
    [
      ['keeper', true],
      ['traffic', true],
    ],
  );
  const traffic = of(audited, 'traffic');
  assert.deepEqual([traffic.lines, traffic.segments], [14, 3]);
  assert.equal(traffic.signed?.lines, 14);
});

type Attack = {
  what: string;
  do(made: Record_): Promise<void> | void;
  file: RegExp;
  line: number;
  why: RegExp;
};

const edit = (file: (made: Record_) => string, change: (lines: string[]) => string[]) => (made: Record_) =>
  writeLines(file(made), change(linesOf(file(made))));

const attacks: Attack[] = [
  {
    what: 'a flipped byte in an archived segment',
    do: edit(
      (made) => segment(made, 1),
      (lines) => lines.with(1, (lines[1] ?? '').replace('a.ex', 'b.ex')),
    ),
    file: /traffic\/000001\.jsonl$/,
    line: 3,
    why: /prev is not the hash of line 2/,
  },
  {
    what: 'a dropped line',
    do: edit(
      (made) => segment(made, 2),
      (lines) => lines.filter((_, at) => at !== 2),
    ),
    file: /000002/,
    line: 3,
    why: /seq is 8, not 7/,
  },
  {
    what: 'two swapped lines',
    do: edit(
      (made) => segment(made, 2),
      ([a = '', b = '', c = '', ...rest]) => [a, c, b, ...rest],
    ),
    file: /000002/,
    line: 2,
    why: /seq/,
  },
  {
    what: 'a changed line with everything after it chained anew',
    do: (made) => {
      const files = [segment(made, 1), segment(made, 2), live(made)];
      const all = rechained(
        files.flatMap(linesOf).map((line, at) => (at === 6 ? line.replace('a.ex', 'b.ex') : line)),
      );
      let from = 0;
      for (const file of files) {
        const { length } = linesOf(file);
        writeLines(file, all.slice(from, from + length));
        from += length;
      }
    },
    file: /000002/,
    line: 5,
    why: /not the line that was signed at 2026-02-03T13:00/,
  },
  {
    what: 'a segment that is gone',
    do: (made) => rmSync(segment(made, 1)),
    file: /000001/,
    line: 1,
    why: /missing/,
  },
  {
    what: 'the last segment of the archive gone',
    do: (made) => rmSync(segment(made, 2)),
    file: /000002/,
    line: 1,
    why: /missing/,
  },
  {
    what: 'the archive gone, and the live file with it',
    do: (made) => {
      rmSync(join(made.folder, 'traffic'), { recursive: true });
      writeFileSync(live(made), '');
    },
    file: /traffic\.jsonl$/,
    line: 4,
    why: /missing, though it was signed/,
  },
  {
    what: 'the whole ledger gone',
    do: (made) => {
      rmSync(join(made.folder, 'traffic'), { recursive: true });
      rmSync(live(made));
    },
    file: /traffic\.jsonl$/,
    line: 1,
    why: /missing, though it was signed/,
  },
  {
    what: 'segments that changed places',
    do: (made) => {
      renameSync(segment(made, 1), `${segment(made, 1)}.x`);
      renameSync(segment(made, 2), segment(made, 1));
      renameSync(`${segment(made, 1)}.x`, segment(made, 2));
    },
    file: /000001/,
    line: 1,
    why: /seq is 5, not 1/,
  },
  {
    what: 'a cut tail',
    do: edit(live, (lines) => lines.slice(0, -2)),
    file: /traffic\.jsonl$/,
    line: 5,
    why: /missing, though it was signed at 2026-02-03T14:00/,
  },
  {
    what: 'a cut tail, after which the writer went on (CVE-2023-31438)',
    do: async (made) => {
      edit(live, (lines) => lines.slice(0, -2))(made);
      const ledger = await opened({ ...made, now: () => start + 120 * minute }, 'traffic');
      for (let turn = 0; turn < 3; turn++) await ledger.append({ forged: turn });
      await ledger.close();
    },
    file: /traffic\.jsonl$/,
    line: 5,
    why: /not the line that was signed/,
  },
  {
    what: 'the same, with the time in which nothing was signed anew taken out of the keeper ledger too (CVE-2023-31438)',
    do: async (made) => {
      edit(live, (lines) => lines.slice(0, -2))(made);
      const file = join(made.folder, 'keeper.jsonl');
      writeLines(file, rechained(linesOf(file).filter((_, at) => at < 3 || at > 3)));
    },
    file: /keeper\.jsonl$/,
    line: 4,
    why: /not the one that was signed here/,
  },
  {
    what: 'old lines that were written later and sealed with the key of today (CVE-2023-31439)',
    do: async (made) => {
      // Whoever has the key now can sign anything from now on; they date it back to where it is wanted.
      const ledger = await openLedger({
        path: live(made),
        archive: join(made.folder, 'traffic'),
        clock: () => start + minute,
      });
      const head = await ledger.append({ forged: 'it was like this from the beginning' });
      await ledger.close();
      made.pass(24 * 60 * minute);
      await seal(made, head);
    },
    file: /traffic\.jsonl$/,
    line: 6,
    why: /its time 2026-02-03T12:01.* is not one between the checkpoints/,
  },
  {
    what: 'lines that are dated after the checkpoint that covers them',
    do: async (made) => {
      const later = made.now() + 24 * 60 * minute;
      const ledger = await openLedger({
        path: live(made),
        archive: join(made.folder, 'traffic'),
        clock: () => later,
      });
      const head = await ledger.append({ forged: true });
      await ledger.close();
      await seal(made, head);
    },
    file: /traffic\.jsonl$/,
    line: 6,
    why: /not one between the checkpoints/,
  },
  {
    what: 'a checkpoint of another key',
    do: async (made) => {
      const ledger = await opened(made, 'traffic');
      const head = await ledger.append({ more: true });
      await ledger.close();
      await seal(made, head, { secret: generateKeyPairSync('ed25519').privateKey });
    },
    file: /keeper\.jsonl$/,
    line: 6,
    why: /this key did not sign/,
  },
  {
    what: 'everything forged and signed anew with another key',
    do: async (made) => {
      const secret = generateKeyPairSync('ed25519').privateKey;
      rmSync(join(made.folder, 'keeper.jsonl'));
      writeFileSync(join(made.folder, 'keeper.jsonl'), '');
      const ledger = await opened(made, 'traffic');
      const head = ledger.head();
      await ledger.close();
      await seal(made, head, { secret });
    },
    file: /keeper\.jsonl$/,
    line: 1,
    why: /this key did not sign/,
  },
  {
    what: 'a checkpoint that contradicts an earlier one',
    do: (made) => seal(made, { seq: 14, hash: 'ab'.repeat(32) }),
    file: /keeper\.jsonl$/,
    line: 6,
    why: /contradicts an earlier one of line 14/,
  },
  {
    what: 'a checkpoint that goes back',
    do: (made) => seal(made, { seq: 3, hash: 'ab'.repeat(32) }),
    file: /keeper\.jsonl$/,
    line: 6,
    why: /goes back from line 14 to 3/,
  },
  {
    what: 'a line without checkpoints that says it has some',
    do: async (made) => {
      const keeper = await opened(made, 'keeper');
      await keeper.append({ kind: 'checkpoints' });
      await keeper.close();
    },
    file: /keeper\.jsonl$/,
    line: 6,
    why: /no checkpoints/,
  },
];

for (const attack of attacks) {
  test(`${attack.what}: found, with its file and line`, async (t) => {
    const made = await record(t);
    await attack.do(made);
    const bad = (await auditLedgers(made.folder, made.key)).filter(({ ok }) => !ok);
    const [found] = bad;
    assert.ok(found?.bad, 'not found');
    assert.match(found.bad.file, attack.file);
    assert.equal(found.bad.line, attack.line, found.bad.why);
    assert.match(found.bad.why, attack.why);
  });
}

test('a clock that was put back or forth between two checkpoints is no forgery', async (t) => {
  const made = await record(t);
  for (const step of [-5, 9, -2]) {
    // Looked at, then the clock is put, then written, then looked at again: so the keeper does it when the box starts.
    const ledger = await opened(made, 'traffic');
    await seal(made, ledger.head());
    made.pass(step * 60 * minute);
    const head = await ledger.append({ step });
    await ledger.close();
    await seal(made, head);
  }
  const audited = await auditLedgers(made.folder, made.key);
  assert.deepEqual(
    audited.filter(({ ok }) => !ok),
    [],
  );
});

test('every flipped byte of every file is found', async (t) => {
  const made = await record(t);
  const files = [
    ...readdirSync(join(made.folder, 'traffic')).map((name) => join('traffic', name)),
    'traffic.jsonl',
    'keeper.jsonl',
  ];
  for (const name of files) {
    const file = join(made.folder, name);
    const good = readFileSync(file);
    // The last line of the keeper's own ledger is covered by its next checkpoint.
    const end = name === 'keeper.jsonl' ? good.lastIndexOf(10, good.length - 2) : good.length - 1;
    rmSync(file);
    for (let at = 0; at < end; at += 41) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ 1;
      writeFileSync(file, bad);
      assert.ok(
        (await auditLedgers(made.folder, made.key)).some(({ ok }) => !ok),
        `${name} byte ${at}`,
      );
    }
    writeFileSync(file, good);
  }
  assert.ok(
    (await auditLedgers(made.folder, made.key)).every(({ ok }) => ok),
    'control: unharmed, it is whole',
  );
});
