/** Answers that are put aside while they pass and read when they are over. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createCaptures } from '../../../proxies/llm/answer/capture.ts';
import { createReader, type Reading } from '../../../proxies/llm/answer/reader.ts';
import { createLanes } from '../../../proxies/llm/lane.ts';
import { createSpools, type Spools } from '../../../proxies/llm/spool.ts';

const sse = 'text/event-stream';

function spoolsOf(t: TestContext): { spools: Spools; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-capture-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return { spools: createSpools(folder), folder };
}

const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
const delta = (content: string): string => event({ choices: [{ index: 0, delta: { content } }] });
const ending = `${event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}${event({
  choices: [],
  usage: { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16 },
})}data: [DONE]\n\n`;

/** About `kb` long, no two events the same. */
function streamOf(kb: number): Buffer {
  const events: string[] = [];
  for (let at = 0; at < kb * 4; at++) events.push(delta(`${at} ${'é'.repeat(90)}`));
  return Buffer.from(events.join('') + ending);
}

function chunksOf(bytes: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}

test('what was put aside reads as if it had been read while it passed, whatever its length and cuts', async (t) => {
  const { spools, folder } = spoolsOf(t);
  const captures = createCaptures(spools, createLanes().answered);
  for (const [kb, size] of [
    [0, 10],
    [10, 245],
    [63, 7],
    [64, 1000],
    [300, 245],
    [300, 60_001],
    [300, 200_000],
  ] as const) {
    const bytes = streamOf(kb);
    const reader = createReader('openai-chat', sse);
    reader.push(bytes);
    const capture = captures('openai-chat', sse);
    for (const chunk of chunksOf(bytes, size)) capture.write(chunk);
    const seen: Reading[] = [];
    await capture.read(async (reading) => void seen.push(reading));
    assert.deepEqual(seen, [reader.end()], `${kb} KB in ${size}`);
    assert.deepEqual(seen[0]?.tokens, { in: 7, out: 9 });
  }
  assert.deepEqual(readdirSync(folder), []);
});

test('of long answers one is read at a time, until it is on record, with turns of the loop between', async (t) => {
  const { spools } = spoolsOf(t);
  const captures = createCaptures(spools, createLanes().answered);
  const steps: string[] = [];
  let turns = 0;
  let over = false;
  const tick = (): void => {
    turns += 1;
    if (!over) setImmediate(tick);
  };
  tick();
  const read = (name: string): Promise<void> => {
    const capture = captures('openai-chat', sse);
    for (const chunk of chunksOf(streamOf(500), 10_000)) capture.write(chunk);
    return capture.read(async () => {
      steps.push(`${name} read`);
      await new Promise((done) => setTimeout(done, 20));
      steps.push(`${name} on record`);
    });
  };
  const small = captures('openai-chat', sse);
  small.write(streamOf(1));
  const all = ['one', 'two', 'three'].map(read);
  await small.read(async () => void steps.push('small'));
  await Promise.all(all);
  over = true;
  const expected = ['one', 'two', 'three'].flatMap((name) => [`${name} read`, `${name} on record`]);
  assert.deepEqual(steps, ['small', ...expected], 'a small one waits for nobody');
  assert.ok(turns > 30, `${turns} turns of the loop`);
});

test('one that fails to be recorded does not hold up the next', async (t) => {
  const { spools } = spoolsOf(t);
  const captures = createCaptures(spools, createLanes().answered);
  const [first, second] = [captures('openai-chat', sse), captures('openai-chat', sse)];
  for (const each of [first, second]) each.write(streamOf(200));
  await assert.rejects(first.read(() => Promise.reject(new Error('no'))));
  let came = false;
  await second.read(async () => {
    came = true;
  });
  assert.ok(came);
});

for (const [what, bounds] of [
  ['one answer', { answerBytes: 100_000, agentBytes: 1e9 }],
  ["all of an agent's", { answerBytes: 1e9, agentBytes: 100_000 }],
] as const) {
  test(`past the bound of ${what}, what was kept is read, and no count in it is the last`, async (t) => {
    const { spools } = spoolsOf(t);
    const captures = createCaptures(spools, createLanes().answered, bounds);
    const capture = captures('openai-chat', sse);
    const early = event({ choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } });
    capture.write(Buffer.from(delta('first words') + early));
    for (const chunk of chunksOf(streamOf(300), 5000)) capture.write(chunk);
    await capture.read(async (reading) => {
      assert.equal(reading.tokens, undefined);
      assert.deepEqual(reading.tokensUntilCut, { in: 1, out: 1 });
      assert.equal(reading.truncated, true);
      assert.match(reading.message ?? '', /first words/);
    });
    const after = captures('openai-chat', sse);
    after.write(streamOf(1));
    await after.read(async ({ tokens }) => assert.deepEqual(tokens, { in: 7, out: 9 }, 'room again'));
  });
}

test('a disk that is full cuts the record and not the answer', async (t) => {
  const { spools } = spoolsOf(t);
  let full = false;
  const captures = createCaptures((memoryBytes) => {
    const spool = spools(memoryBytes);
    return {
      get bytes() {
        return spool.bytes;
      },
      slice: (from, to) => spool.slice(from, to),
      read: (into, from) => spool.read(into, from),
      pieces: (from, to) => spool.pieces(from, to),
      close: () => spool.close(),
      write(chunk) {
        if (full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        spool.write(chunk);
      },
    };
  }, createLanes().answered);
  const capture = captures('openai-chat', sse);
  const [one = Buffer.alloc(0), ...rest] = chunksOf(streamOf(200), 100_000);
  capture.write(one);
  full = true;
  for (const chunk of rest) capture.write(chunk);
  full = false;
  capture.write(Buffer.from(ending)); // behind a gap: not read
  await capture.read(async (reading) => {
    assert.deepEqual([reading.truncated, reading.ended, reading.tokens], [true, false, undefined]);
    assert.match(reading.message ?? '', /"0 é/);
  });
});

test('vectors and sound are read as they pass: nothing of them is put aside', async (t) => {
  const { folder } = spoolsOf(t);
  const refusing: Spools = () => assert.fail(`a spool in ${folder}`);
  const captures = createCaptures(refusing, createLanes().answered);
  const vectors = captures('openai-embeddings', 'application/json');
  vectors.write(Buffer.from(`{"object":"list","data":[{"embedding":[${'0.5,'.repeat(100_000)}1]}],`));
  vectors.write(Buffer.from('"usage":{"prompt_tokens":5,"total_tokens":5}}'));
  await vectors.read(async ({ tokens }) => assert.equal(tokens?.in, 5));
  const sound = captures('openai-speech', 'audio/mpeg');
  sound.write(Buffer.alloc(1000, 0xff));
  await sound.read(async ({ ended }) => assert.ok(ended));
});
