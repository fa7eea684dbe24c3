/** What stands on record is what was asked and answered: of each format, streamed and not, through a real door and a real ledger. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type TestContext, test } from 'node:test';
import { type Bodies, bodiesOf } from '../../../proxies/ledger/body.ts';
import { verifyLedger } from '../../../proxies/ledger/chain.ts';
import { type Exchange, exchanges } from '../../../proxies/ledger/exchange.ts';
import { type Ledger, openLedger } from '../../../proxies/ledger/ledger.ts';
import type { KindName } from '../../../proxies/llm/kinds/kind.ts';
import type { Provider } from '../../provider/provider.ts';
import { type Rig, startBoth } from './rig.ts';

type Recorded = {
  provider: Provider;
  rig: Rig;
  ledger: Ledger;
  path: string;
  /** The newest exchange and its bodies, when its outcome is there. */
  last(): Promise<{ exchange: Exchange; bodies: Bodies }>;
};

async function start(t: TestContext, kind: KindName): Promise<Recorded> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-recorded-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'traffic.jsonl');
  writeFileSync(path, '');
  mkdirSync(join(folder, 'traffic'));
  const ledger = await openLedger({ path, archive: join(folder, 'traffic') });
  t.after(() => ledger.close());
  const { provider, rig } = await startBoth(t, kind, { ledger });
  let asked = 0;
  return {
    provider,
    rig,
    ledger,
    path,
    async last() {
      asked += 1;
      await rig.line('outcome', asked);
      for await (const exchange of exchanges(path)) {
        const [bodies] = await bodiesOf(path, [exchange]);
        assert.ok(bodies);
        return { exchange, bodies };
      }
      throw new Error('nothing is on record');
    },
  };
}

const send = (url: string, body: Buffer | string, type = 'application/json'): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { 'content-type': type }, body: new Uint8Array(Buffer.from(body)) });

type Case = {
  kind: KindName;
  path: string;
  body: Record<string, unknown>;
  /** How it is asked for in pieces, where it can be. */
  stream?: { path?: string; body?: Record<string, unknown> };
};

const words = 'naïve 世界 🎈 "quoted" \\ done';
const long = 'x'.repeat(100);
const user = { role: 'user', content: words };
const google = '/v1beta/models/practice';
const turn = { role: 'user', parts: [{ text: words }] };
const streams = { body: { stream: true } };

// biome-ignore format: a table, one case a line
const cases: Case[] = [
  {
    kind: 'openai',
    path: '/v1/chat/completions',
    body: { model: 'practice', messages: [{ role: 'system', content: long }, user, user, user], tools: [{ type: 'function', function: { name: 'f', description: long } }] },
    stream: streams,
  },
  { kind: 'openai', path: '/v1/responses', body: { model: 'practice', instructions: long, input: words, store: false }, stream: streams },
  { kind: 'openai', path: '/v1/embeddings', body: { model: 'practice', input: [words, long] } },
  { kind: 'anthropic', path: '/v1/messages', body: { model: 'practice', max_tokens: 99, system: [{ type: 'text', text: long }], messages: [user] }, stream: streams },
  { kind: 'anthropic', path: '/v1/messages/count_tokens', body: { model: 'practice', messages: [user] } },
  { kind: 'gemini', path: `${google}:generateContent`, body: { contents: [turn], systemInstruction: { parts: [{ text: long }] } }, stream: { path: `${google}:streamGenerateContent?alt=sse` } },
  { kind: 'gemini', path: `${google}:generateContent`, body: { contents: [turn, turn, turn] } },
  { kind: 'gemini', path: `${google}:embedContent`, body: { content: { parts: [{ text: long }] } } },
  { kind: 'gemini', path: `${google}:countTokens`, body: { contents: [turn] } },
  { kind: 'ollama', path: '/api/chat', body: { model: 'practice', messages: [user], stream: false }, stream: streams },
  { kind: 'ollama', path: '/api/generate', body: { model: 'practice', prompt: words, stream: false }, stream: streams },
  { kind: 'ollama', path: '/api/embed', body: { model: 'practice', input: [words] } },
];

const bodyIn = ({ lines }: Exchange) =>
  (lines.request?.body ?? {}) as { after?: string; parts?: unknown[]; frameBlob?: string };

/** Vectors are not stored: a summary stands for them. */
const summed = /embed/;

for (const { kind, path, body, stream } of cases) {
  test(`${kind} ${path}: what was asked stands there byte by byte, and the answer`, async (t) => {
    const { rig, last } = await start(t, kind);
    // As JSON.stringify says it, and as Python's json does.
    for (const space of [undefined, ' ']) {
      const said = JSON.stringify(body, null, space).replaceAll('\n', '');
      const answer = await send(rig.url + path, said);
      assert.equal(answer.status, 200);
      const heard = await answer.text();
      const { bodies } = await last();
      assert.equal(bodies.asked?.bytes.toString(), said);
      assert.deepEqual([bodies.asked?.missing, bodies.asked?.redacted], [0, 0]);
      const answered = bodies.answered?.bytes.toString() ?? '';
      if (summed.test(path)) assert.ok(answered.length > 0 && answered.length < heard.length);
      else assert.equal(answered, heard.replaceAll('\n', ' '));
      if (!stream) continue;
      const inPieces = JSON.stringify({ ...body, ...stream.body });
      const pieces = await send(rig.url + (stream.path ?? path), inPieces);
      assert.equal(pieces.status, 200);
      const events = await pieces.text();
      assert.notEqual(events, heard, 'control: it came in pieces');
      const { bodies: streamed } = await last();
      assert.equal(streamed.asked?.bytes.toString(), inPieces);
      assert.deepEqual(meant(streamed.answered?.bytes), meant(Buffer.from(heard)));
    }
  });
}

/** Without a list of nothing, which a stream leaves out. */
const meant = (bytes: Buffer | undefined): unknown =>
  JSON.parse(bytes?.toString() ?? 'null', (_, value: unknown) =>
    Array.isArray(value) && value.length === 0 ? undefined : value,
  );

test('a form: the bytes of the sound, and the text around them, also where it holds what looks like a mark', async (t) => {
  const { rig, last } = await start(t, 'openai');
  const sound = Buffer.concat([
    Buffer.from(Array.from({ length: 256 }, (_, at) => at)),
    Buffer.from('\r\n--x\r\n\u00010\u0001'),
    Buffer.alloc(300_000, 7),
  ]);
  const field = (name: string, value: string): string =>
    `--XX\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const controls = String.fromCharCode(1, 2, 3, 4, 5, 6).repeat(7_000);
  for (const prompt of [
    'naïve',
    '\u0001',
    'a\u00010\u0001b\u00010-0,\u0001',
    `\u0001\u0001${'p'.repeat(60_000)}`,
    controls,
  ]) {
    for (const stream of [false, true]) {
      const form = Buffer.concat([
        Buffer.from(field('model', 'practice') + field('prompt', prompt)),
        Buffer.from(stream ? field('stream', 'true') : ''),
        Buffer.from(
          '--XX\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n',
        ),
        sound,
        Buffer.from(`\r\n${field('language', 'de')}--XX--\r\n`),
      ]);
      const answer = await send(
        `${rig.url}/v1/audio/transcriptions`,
        form,
        'multipart/form-data; boundary=XX',
      );
      assert.equal(answer.status, 200);
      const heard = await answer.text();
      const { bodies, exchange } = await last();
      assert.ok(bodies.asked?.bytes.equals(form));
      assert.equal(bodyIn(exchange).parts?.length, 1);
      const text = (JSON.parse(bodies.answered?.bytes.toString() ?? '') as { text: string }).text;
      assert.ok(text.startsWith(`${sound.length} bytes of sound`) && heard.includes(text), text);
    }
  }
});

test('a frame that is longer than a line may be, with parts in it', async (t) => {
  const { rig, last, path, ledger } = await start(t, 'openai');
  const metadata = Object.fromEntries(
    Array.from({ length: 4_000 }, (_, at) => [`key${at}`, `"value" ${at} é`]),
  );
  const bodies = [1, 3, 5].map((turns) =>
    JSON.stringify({ model: 'practice', messages: Array.from({ length: turns }, () => user), metadata }),
  );
  for (const body of bodies) {
    assert.ok(body.length > 64 * 1024);
    assert.equal((await send(`${rig.url}/v1/chat/completions`, body)).status, 200);
    const { exchange, bodies: found } = await last();
    assert.match(String(bodyIn(exchange).frameBlob), /^[0-9a-f]{64}$/);
    assert.equal(found.asked?.bytes.toString(), body);
  }
  await ledger.rotate();
  assert.equal((await verifyLedger(path)).ok, true);
});

test('a chunked body of 10 MB with more messages than are told apart, and its next turn, stand there whole', async (t) => {
  const { rig, provider, last, path } = await start(t, 'openai');
  const messages = Array.from({ length: 10_050 }, (_, at) => ({
    role: at % 2 ? 'assistant' : 'user',
    content: `${at} `.padEnd(980, 'x'),
  }));
  for (const count of [10_020, 10_050]) {
    const body = JSON.stringify({
      model: 'practice-error',
      messages: messages.slice(0, count),
      stream: true,
    });
    assert.ok(body.length > 10_000_000);
    const before = statSync(path).size;
    // No length is told: it goes out in chunks.
    const chunks = async function* () {
      for (let at = 0; at < body.length; at += 50_001) yield Buffer.from(body.slice(at, at + 50_001));
    };
    const sent = request(`${rig.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    const answered = once(sent, 'response');
    await pipeline(chunks, sent);
    const [answer] = (await answered) as [IncomingMessage];
    for await (const _ of answer);
    assert.equal(answer.statusCode, 200);
    assert.ok(provider.requests.at(-1)?.body.includes('"10019 xxx'));
    const { bodies, exchange } = await last();
    assert.ok(bodies.asked?.bytes.equals(Buffer.from(body)));
    if (count === 10_020) continue;
    assert.equal(typeof bodyIn(exchange).after, 'string');
    assert.ok(statSync(path).size - before < 200_000, 'the messages stand there once');
  }
  assert.equal((await verifyLedger(path)).ok, true);
});

test('a session of 100 turns grows the ledger by the same with each turn', async (t) => {
  const { rig, path } = await start(t, 'openai');
  const said: object[] = [{ role: 'system', content: 'You are terse.' }];
  const added: number[] = [];
  let before = 0;
  for (let turn = 0; turn < 100; turn++) {
    said.push({ role: 'user', content: `turn ${String(turn).padStart(3, '0')} ${long}` });
    const body = JSON.stringify({ model: 'practice', messages: said });
    const answer = await send(`${rig.url}/v1/chat/completions`, body);
    assert.equal(answer.status, 200);
    await answer.arrayBuffer();
    // The same bytes from each turn, whatever was said.
    said.push({ role: 'assistant', content: `said ${String(turn).padStart(3, '0')} ${long}` });
    await rig.line('outcome', turn + 1);
    const { size } = statSync(path);
    added.push(size - before);
    before = size;
  }
  const sum = (from: number, to: number): number =>
    added.slice(from, to).reduce((all, each) => all + each, 0);
  assert.ok(
    sum(90, 100) <= 1.05 * sum(10, 20),
    `${sum(10, 20)} bytes in turns 11-20, ${sum(90, 100)} in the last ten`,
  );
  assert.ok(
    (added[99] ?? 0) <= 1.05 * (added[1] ?? 0),
    `${added[1]} bytes in turn 2, ${added[99]} in turn 100`,
  );
  let at = 100;
  const found: Exchange[] = [];
  for await (const each of exchanges(path)) found.push(each);
  for (const { asked } of await bodiesOf(path, found)) {
    at -= 1;
    assert.equal(
      asked?.bytes.toString(),
      JSON.stringify({ model: 'practice', messages: said.slice(0, 2 * at + 2) }),
    );
  }
  assert.equal(at, 0);
});
