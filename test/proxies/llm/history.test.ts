/** A session's requests on record: each names what is new since an earlier one, and each is read back byte by byte. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { createBlobs } from '../../../proxies/ledger/blobs.ts';
import { bodiesOf } from '../../../proxies/ledger/body.ts';
import { verifyLedger } from '../../../proxies/ledger/chain.ts';
import { type Exchange, exchanges } from '../../../proxies/ledger/exchange.ts';
import { type Ledger, openLedger } from '../../../proxies/ledger/ledger.ts';
import { createScan } from '../../../proxies/llm/asked/scan.ts';
import { cutBody } from '../../../proxies/llm/frame.ts';
import { createHistory, mostListed } from '../../../proxies/llm/history.ts';
import { kinds } from '../../../proxies/llm/kinds/paths.ts';
import { createRecorder, type Recorder } from '../../../proxies/llm/record.ts';
import { createSpools } from '../../../proxies/llm/spool.ts';

type Line = { body?: { after?: string; parts?: unknown[]; partsBlob?: string; frame?: string } };

/** A ledger that can be closed and opened again, and one agent's recorder. */
async function book(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'hf-history-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'traffic.jsonl');
  const archive = join(folder, 'traffic');
  writeFileSync(path, '');
  mkdirSync(archive);
  const spools = createSpools(folder);
  let ledger: Ledger;
  let recorders: Recorder[];
  const digests = new Map<string, string>();

  const open = async (): Promise<void> => {
    const blobs = createBlobs();
    ledger = await openLedger({ path, archive, visit: (line, segment) => blobs.seen(segment, line) });
    recorders = [0, 1].map(() => createRecorder(blobs, () => {}));
  };
  const cut = (text: string) => {
    const scan = createScan('openai-chat', { kind: kinds.openai, contentType: 'application/json' });
    const bytes = Buffer.from(text);
    assert.equal(scan.push(bytes), undefined);
    const scanned = scan.end();
    assert.ok(!('allow' in scanned));
    const spool = spools(1000); // some in memory, some in a file
    spool.write(bytes);
    const body = cutBody(spool, scanned.parts, '/v1/chat/completions');
    spool.close();
    return body;
  };
  /** As proxy.ts records a request. */
  const put = async (text: string, agent = 0): Promise<string> => {
    const id = randomUUID();
    const body = cut(text);
    const known = digests.get(body.digest);
    assert.ok(known === undefined || known === text, 'two bodies have one digest');
    digests.set(body.digest, text);
    await ledger.group(
      (segment) =>
        recorders[agent]?.request(segment, { kind: 'request', id, agent: `a${agent}` }, body) ?? [],
    );
    return id;
  };
  await open();
  t.after(() => ledger.close().catch(() => {}));
  return {
    path,
    put,
    cut,
    rotate: () => ledger.rotate(),
    async restart() {
      await ledger.close();
      await open();
    },
    /** A group that is not written: what was noted for it does not stand there. */
    async fault(text: string) {
      await assert.rejects(
        ledger.group((segment) => [
          ...(recorders[0]?.request(segment, { kind: 'request', id: 'lost', agent: 'a0' }, cut(text)) ?? []),
          { seq: 'not mine' },
        ]),
      );
    },
    async all(): Promise<Exchange[]> {
      const found: Exchange[] = [];
      for await (const each of exchanges(path)) found.push(each);
      return found;
    },
    lines: (): Line[] =>
      readFileSync(path, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Line & { kind: string })
        .filter(({ kind }) => kind === 'request'),
  };
}

const message = (role: string, content: string) => ({ role, content });
const chat = (messages: unknown[], more: object = {}): string =>
  JSON.stringify({ model: 'm', messages, ...more });

const conversation = (turns: number): object[] => [
  message('system', 'You are terse.'),
  ...Array.from({ length: turns }, (_, turn) => [
    message('user', `what is ${String(turn).padStart(6, '0')}?`),
    message('assistant', `it is ${String(turn).padStart(6, '0')}.`),
  ]).flat(),
];

test('a line names what is new, and the frame does not grow', async (t) => {
  const { put, lines, rotate, restart, fault } = await book(t);
  const tools = [{ type: 'function', function: { name: 'f', description: 'x'.repeat(100) } }];
  for (const turns of [2, 3, 4]) await put(chat(conversation(turns), { tools }));
  const [first, second, third] = lines();
  assert.equal(first?.body?.parts?.length, 6);
  assert.equal(first?.body?.after, undefined);
  assert.equal(second?.body?.frame, '{"model":"m","messages":[\u00010-6,\u0001],"tools":\u00017\u0001}');
  assert.deepEqual(
    third?.body?.parts?.map((part) => (typeof part === 'string' ? part.length : part)),
    [[0, 7], 64, 64, [7, 8]],
    'what stands behind the new messages is not new',
  );
  const isFull = async (): Promise<boolean> => {
    await put(chat(conversation(5)));
    return lines().at(-1)?.body?.after === undefined;
  };
  assert.equal(await isFull(), false, 'control');
  await restart();
  assert.equal(await isFull(), true);
  assert.equal(await isFull(), false);
  await fault(chat(conversation(6)));
  assert.equal(await isFull(), true);
  await rotate();
  assert.equal(await isFull(), true);
});

const ref = (at: number): string => String(at).padStart(64, '0');
const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => ref(from + at));

test('conversations that take turns, and a beginning that is new each time, are found again', () => {
  const history = createHistory();
  const segment = {};
  const named = new Map<string, string[]>();
  const listed = (id: string, refs: string[]): number => {
    const { after, parts } = history.list(segment, id, refs);
    const before = after === undefined ? [] : (named.get(after) ?? []);
    assert.deepEqual(
      parts.flatMap((part) => (typeof part === 'string' ? [part] : before.slice(...part))),
      refs,
    );
    named.set(id, refs);
    return parts.length;
  };
  for (let turn = 0; turn < 100; turn++) {
    for (let other = 0; other < 6; other++) {
      const refs = [ref(0), ...range(1000 * other + 1000, 1000 * other + 1010 + 2 * turn)];
      const items = listed(`${turn}-${other}`, refs);
      assert.ok(turn === 0 || items <= 3, `${items} items in turn ${turn}`);
    }
  }
  for (let turn = 0; turn < 60; turn++) {
    const clock = listed(`clock-${turn}`, [ref(90_000 + turn), ...range(20_000, 20_020 + 2 * turn)]);
    const window = listed(`window-${turn}`, [ref(0), ...range(30_000 + 2 * turn, 30_060 + 2 * turn)]);
    assert.ok(turn === 0 || Math.max(clock, window) <= 4, `${clock} and ${window} items in turn ${turn}`);
  }
});

test('a reader never has to follow more links than a request has parts, and a list in full is rare', () => {
  const history = createHistory();
  const segment = {};
  let full = 0;
  for (let turn = 0; turn < 1000; turn++)
    if (history.list(segment, String(turn), range(0, 100)).after === undefined) full++;
  assert.equal(full, 10, 'the same hundred parts again and again');
  full = 0;
  for (let turn = 2; turn < 1000; turn++)
    if (history.list(segment, `s${turn}`, range(5000, 5000 + 2 * turn)).after === undefined) full++;
  assert.equal(full, 1, 'a session that grows');
});

test('ten thousand parts and more, and then one more turn', async (t) => {
  const { path, put, lines, rotate, all } = await book(t);
  const many = conversation(5002);
  const texts = [chat(many.slice(0, -4)), chat(many.slice(0, -2)), chat(many)];
  const ids: string[] = [];
  for (const text of texts) ids.push(await put(text));
  const [first, second] = lines();
  assert.match(String(first?.body?.partsBlob), /^[0-9a-f]{64}$/);
  assert.ok(!first?.body?.parts);
  assert.ok(second?.body?.parts && second.body.parts.length <= 3 && second.body.parts.length < mostListed);
  await rotate();
  for (const [at, id] of ids.entries()) {
    const found = (await all()).find((each) => each.id === id);
    assert.ok(found);
    const [bodies] = await bodiesOf(path, [found]);
    assert.equal(bodies?.asked?.missing, 0);
    assert.ok(bodies?.asked?.bytes.equals(Buffer.from(texts[at] ?? '')));
  }
});

const texts = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 12 });
const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('say' as const), who: fc.nat(3), texts }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('forget' as const), who: fc.nat(3), keep: fc.nat(20) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('branch' as const),
      who: fc.nat(3),
      to: fc.nat(3),
      keep: fc.nat(40),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('edit' as const),
      who: fc.nat(3),
      at: fc.nat(20),
      text: fc.nat(30),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('rotate' as const, 'restart' as const, 'fault' as const) }),
  },
);
const styles: ((messages: unknown[]) => string)[] = [
  (messages) => chat(messages),
  (messages) =>
    chat(messages, {
      user: '\u0001é\u0001',
      tools: [{ type: 'function', function: { name: 'ü'.repeat(40) } }],
    }),
  // As Python's json does it.
  (messages) => `{"model": "m", "messages": [${messages.map((each) => JSON.stringify(each)).join(', ')}]}`,
  // What stands between two is never the same.
  (messages) =>
    `{"messages":[${messages.map((each, at) => `${' '.repeat(at % 3)}${JSON.stringify(each)}`)}],"model":"m"}\n`,
];

test('whatever conversations do, each request is read back byte by byte', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 40 }), fc.nat(3), async (steps, style) => {
      const { path, put, rotate, restart, fault, all } = await book(t);
      const said = new Map<string, string>();
      const open: unknown[][] = [[], [], [], []];
      const text = (at: number) => message(at % 2 ? 'user' : 'assistant', `${at} `.repeat(at * 3));
      for (const each of steps) {
        if (!('who' in each)) {
          if (each.do === 'rotate') await rotate();
          else if (each.do === 'restart') await restart();
          else await fault(styles[style]?.(open[0] ?? []) ?? '');
        } else {
          const mine = open[each.who] ?? [];
          if (each.do === 'say') mine.push(...each.texts.map(text));
          else if (each.do === 'forget') open[each.who] = mine.slice(each.keep);
          else if (each.do === 'branch') open[each.to] = mine.slice(0, each.keep);
          else if (mine.length > each.at) mine[each.at] = text(each.text);
          // Two agents with two conversations each.
          const body = styles[style]?.(open[each.who] ?? []) ?? '';
          said.set(await put(body, each.who >> 1), body);
        }
      }
      assert.equal((await verifyLedger(path)).ok, true);
      const found = await all();
      assert.equal(found.length, said.size);
      const together = await bodiesOf(path, found);
      for (const [at, one] of found.entries()) {
        assert.equal(together[at]?.asked?.bytes.toString(), said.get(one.id));
        assert.equal(together[at]?.asked?.missing, 0);
      }
      for (const one of [found[0], found[found.length >> 1], found.at(-1)]) {
        const [alone] = one ? await bodiesOf(path, [one]) : [];
        assert.equal(alone?.asked?.bytes.toString(), one && said.get(one.id));
      }
    }),
    { numRuns: 120 },
  );
});
