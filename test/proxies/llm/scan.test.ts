/** What a body may ask of a vendor: one table of what passes and one of what does not, and where the pieces lie. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createScan, type Scanned, type ScanOptions } from '../../../proxies/llm/asked/scan.ts';
import { type Denial, deny } from '../../../proxies/llm/denial.ts';
import type { FormatName } from '../../../proxies/llm/kinds/kind.ts';
import { kinds } from '../../../proxies/llm/kinds/paths.ts';
import {
  asks,
  type Body,
  chat,
  claude,
  gemini,
  ollama,
  parts,
  passing,
  png,
  refused,
  responses,
  says,
  url,
} from './bodies.ts';

const no = undefined;

function scan(
  format: FormatName,
  body: Body | string,
  options: Partial<ScanOptions> = {},
  cuts: number[] = [],
): Scanned | Denial {
  const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const scanning = createScan(format, { kind: kinds.openai, contentType: no, model: 'm', ...options });
  let from = 0;
  for (const to of [...[...cuts].sort((a, b) => a - b), bytes.length]) {
    const denial = scanning.push(bytes.subarray(from, to));
    if (denial) return denial;
    from = to;
  }
  return scanning.end();
}

const inPath = (format: FormatName): boolean => format.startsWith('gemini');
const complete = (format: FormatName, body: Body): Body => (inPath(format) ? body : { model: 'm', ...body });

function ruleOf(format: FormatName, body: Body, options: Partial<ScanOptions> = {}): string {
  const scanned = scan(format, complete(format, body), options);
  return 'allow' in scanned ? scanned.rule : 'passes';
}

test('an ordinary conversation passes', () => {
  for (const [format, body] of passing)
    assert.equal(ruleOf(format, body), 'passes', `${format} ${JSON.stringify(body)}`);
});

test('what makes a provider fetch, run or keep something is refused, with a rule and a hint', () => {
  for (const [rule, format, body] of refused) {
    const said = `${format} ${JSON.stringify(body)}`;
    assert.equal(ruleOf(format, body), rule, said);
    const denial = scan(format, complete(format, body)) as Denial;
    assert.ok(denial.hint.length > 10 && denial.reason.length > 10, said);
  }
});

test("an Ollama cloud model is refused on each of Ollama's paths", () => {
  for (const format of [
    'ollama-chat',
    'ollama-generate',
    'ollama-embed',
    'ollama-show',
    chat,
    claude,
  ] as const) {
    for (const model of ['gpt-oss:120b-cloud', 'glm-4.6:CLOUD', 'kimi-k2:1t-cloud ']) {
      assert.equal(ruleOf(format, { model }, { kind: kinds.ollama }), 'model-reaches-out');
    }
  }
});

/** Each object's keys turned round, and some letters of keys and types written as escapes. */
function disguised(value: unknown, random: () => number): string {
  if (Array.isArray(value)) return `[${value.map((each) => disguised(each, random)).join(' , ')}]`;
  if (typeof value === 'string') {
    const inner = JSON.stringify(value).slice(1, -1);
    return `"${inner.replaceAll(/[a-z]/g, (letter, at: number) => (random() < 0.2 && inner[at - 1] !== '\\' && !/\\u[0-9a-f]{0,3}$/.test(inner.slice(0, at)) ? `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}` : letter))}"`;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  const turned = random() < 0.5 ? members.toReversed() : members;
  return `{ ${turned.map(([key, each]) => `${disguised(key, random)} :${disguised(each, random)}`).join(',\n')} }`;
}

test('neither the order of keys, nor escapes, nor where the body is cut changes the verdict', () => {
  const cases = [...passing.map(([format, body]) => ['passes', format, body] as const), ...refused];
  fc.assert(
    fc.property(
      fc.constantFrom(...cases),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      fc.array(fc.nat(300), { maxLength: 6 }),
      ([rule, format, body], randoms, at) => {
        const text = disguised(complete(format, body), () => randoms.next().value as number);
        const cuts = at.map((each) => Math.min(each, Buffer.byteLength(text)));
        const scanned = scan(format, text, {}, cuts);
        assert.equal('allow' in scanned, rule !== 'passes', text);
      },
    ),
    { numRuns: 3000 },
  );
});

test('where the owner allows URLs each one is judged, and nothing but the web is one', () => {
  const judged: string[] = [];
  const judgeUrl = (each: string): Denial | undefined => {
    judged.push(each);
    return each.includes('evil') ? deny(403, 'not-allowed', 'no', 'no') : undefined;
  };
  const rule = (format: FormatName, body: Body): string => ruleOf(format, body, { judgeUrl });
  const image = (of: string): Body => says([{ type: 'image_url', image_url: { url: of } }]);
  assert.equal(rule(chat, image(url)), 'passes');
  assert.equal(rule(chat, image('https://evil.example/x')), 'not-allowed');
  assert.equal(rule(chat, image(png)), 'passes');
  assert.equal(
    rule(chat, says([{ type: 'file', file: { file_data: 'https://evil.example/a.pdf' } }])),
    'not-allowed',
  );
  assert.equal(
    rule(responses, asks({ role: 'user', content: [{ type: 'input_file', file_url: url }] })),
    'passes',
  );
  assert.equal(rule(claude, says([{ type: 'image', source: { type: 'url', url } }])), 'passes');
  assert.equal(
    rule(claude, says([{ type: 'image', source: { url: 'https://evil.example', type: 'url' } }])),
    'not-allowed',
  );
  assert.equal(
    rule(claude, says([{ type: 'document', source: { type: 'file', file_id: 'f' } }])),
    'url-content',
  );
  assert.equal(rule(gemini, parts({ fileData: { fileUri: url } })), 'passes');
  assert.deepEqual(
    [...new Set(judged)].toSorted(),
    [url, 'https://evil.example', 'https://evil.example/a.pdf', 'https://evil.example/x'].toSorted(),
  );
  judged.length = 0;
  for (const each of [
    'file:///etc/passwd',
    'gs://b/x',
    ' https://a.example',
    'https://a.example\\@evil',
    `https://a.example/${'x'.repeat(9000)}`,
    '',
  ]) {
    assert.equal(rule(chat, image(each)), 'url-content', each);
  }
  const kept = 'https://generativelanguage.googleapis.com/v1beta/files/abc';
  assert.equal(rule(gemini, parts({ fileData: { fileUri: kept } })), 'stored-object');
  assert.deepEqual(judged, []);
});

const found = (format: FormatName, body: Body, options?: Partial<ScanOptions>): Scanned => {
  const scanned = scan(format, body, options);
  assert.ok(!('allow' in scanned), JSON.stringify(scanned));
  return scanned;
};

test('says where the pieces of a conversation lie, none in another', () => {
  const long = 'x'.repeat(100);
  const pieces = (format: FormatName, body: Body): unknown[] => {
    const text = JSON.stringify(body);
    const { parts: spans } = found(format, body);
    for (const [at, span] of spans.entries()) assert.ok(at === 0 || (spans[at - 1]?.to ?? 0) <= span.from);
    return spans.map(({ from, to }) => JSON.parse(Buffer.from(text).toString('utf8', from, to)));
  };
  const user = { role: 'user', content: [{ type: 'text', text: 'ü' }] };
  const tools = [{ type: 'function', function: { name: 'f', description: long } }];
  assert.deepEqual(pieces(chat, { model: 'é', messages: [user, user], tools }), [user, user, tools]);
  assert.deepEqual(
    pieces(chat, {
      messages: [user],
      model: 'm',
      tools: [],
      prediction: { type: 'text', content: 'x' },
    } as Body).slice(0, 1),
    [user],
  );
  assert.deepEqual(pieces(responses, { model: 'm', instructions: long, input: long }), [long, long]);
  assert.deepEqual(
    pieces(responses, {
      model: 'm',
      instructions: 'short',
      input: [user, { type: 'function_call_output', call_id: 'c', output: long }],
    }),
    [user, { type: 'function_call_output', call_id: 'c', output: long }],
  );
  const system = [{ type: 'text', text: long }];
  assert.deepEqual(pieces(claude, { model: 'm', system, messages: [user] }), [system, user]);
  const turn = { role: 'user', parts: [{ text: 'x' }] };
  assert.deepEqual(
    pieces(gemini, { contents: [turn, turn], systemInstruction: { parts: [{ text: long }] } }),
    [turn, turn, { parts: [{ text: long }] }],
  );
  assert.deepEqual(
    pieces('gemini-embed', { requests: [{ model: 'models/m', content: { parts: [{ text: long }] } }] }),
    [{ parts: [{ text: long }] }],
  );
  assert.deepEqual(pieces('ollama-generate', { model: 'm', prompt: long, system: 's' }), [long]);
  assert.deepEqual(pieces('openai-embeddings', { model: 'm', input: [long, long] }), [[long, long]]);
  assert.equal(found(chat, { model: 'm', messages: Array(20_000).fill({}) }).parts.length, 10_000);
});

test('reads what decides about cost and streaming', () => {
  const most = (format: FormatName, body: Body): number | null =>
    found(format, complete(format, body)).maxOutputTokens;
  assert.equal(most(chat, {}), null);
  assert.equal(most(chat, { max_tokens: 5, max_completion_tokens: 9, n: 3 }), 27);
  assert.equal(most(chat, { max_completion_tokens: null, n: null }), null);
  assert.equal(most(responses, { max_output_tokens: 1e3 }), 1000);
  assert.equal(most(claude, { max_tokens: 7 }), 7);
  assert.equal(most(gemini, { generationConfig: { maxOutputTokens: 7, candidateCount: 2 } }), 14);
  assert.equal(most(ollama, { options: { num_predict: 7 } }), 7);
  assert.equal(most(ollama, { options: { num_predict: -1 } }), null);
  assert.equal(ruleOf(chat, { max_tokens: Number.MAX_VALUE }), 'passes');
  assert.ok('allow' in scan(chat, '{"model":"m","max_tokens":1e999}'));
  assert.ok('allow' in scan(chat, `{"model":"m","max_tokens":${'1'.repeat(70)}}`));

  const streams = (format: FormatName, body: Body): boolean => found(format, complete(format, body)).stream;
  assert.deepEqual(
    [streams(chat, {}), streams(chat, { stream: true }), streams(chat, { stream: null })],
    [false, true, false],
  );
  assert.deepEqual(
    [streams(ollama, {}), streams(ollama, { stream: false }), streams('ollama-embed', {})],
    [true, false, false],
  );
  assert.deepEqual(
    [streams('openai-speech', {}), streams('openai-speech', { stream_format: 'sse' })],
    [false, true],
  );
  assert.equal(found(chat, complete(chat, { stream_options: { include_usage: true } })).asksUsage, true);
  assert.equal(found(chat, complete(chat, { stream_options: { include_usage: false } })).asksUsage, false);
});

test('takes a Gemini body only with the model of its path', () => {
  const body = { requests: [{ model: 'models/m', content: {} }] };
  assert.equal(found('gemini-embed', body).model, 'm');
  assert.equal((scan('gemini-embed', body, { model: null }) as Denial).rule, 'cannot-scan');
  assert.equal(found(gemini, {}, { model: null }).model, null);
});

test('the first denial is final', () => {
  const scanning = createScan(chat, { kind: kinds.openai, contentType: no });
  assert.ok(scanning.push(Buffer.from('{"plugins":')));
  assert.ok(scanning.push(Buffer.from('[],"model":"m"}')));
  assert.equal((scanning.end() as Denial).rule, 'field-not-listed');
});

test('an attachment is counted by its bytes, and text of any script is not one', () => {
  const attached = (content: unknown): number => {
    const scanned = scan('openai-chat', { model: 'm', messages: [{ role: 'user', content }] });
    assert.ok(!('allow' in scanned));
    return scanned.attachedBytes;
  };
  const base64 = Buffer.alloc(9000, 7).toString('base64');
  assert.equal(
    attached([{ type: 'image_url', image_url: { url: `data:image/png;base64,${base64}` } }]),
    12_024,
  );
  assert.equal(attached('plain words '.repeat(1000)), 0);
  // It is text where it stands: a beginning without a blank does not make it cheaper.
  assert.equal(attached('a'.repeat(300) + 'plain words '.repeat(1000)), 0);
  assert.equal(attached([{ type: 'text', text: base64 }]), 0);
  const sourced = (source: unknown): number => {
    const content = [{ type: 'document', source }];
    const scanned = scan('anthropic-messages', { model: 'm', messages: [{ role: 'user', content }] });
    assert.ok(!('allow' in scanned));
    return scanned.attachedBytes;
  };
  assert.equal(sourced({ type: 'base64', media_type: 'application/pdf', data: base64 }), 12_002);
  assert.equal(sourced({ data: base64, media_type: 'application/pdf', type: 'base64' }), 12_002);
  assert.equal(sourced({ type: 'text', media_type: 'text/plain', data: base64 }), 0);
  assert.equal(attached('没有空格的文字'.repeat(1000)), 0);
});

test('a tier that costs more than the list price is refused, and the usual ones pass', () => {
  assert.equal(ruleOf('openai-chat', { messages: [], service_tier: 'priority' }), 'dearer-tier');
  assert.equal(ruleOf('openai-responses', { input: 'x', service_tier: 'fast' }), 'dearer-tier');
  assert.equal(ruleOf('anthropic-messages', { messages: [], max_tokens: 1, speed: 'fast' }), 'dearer-tier');
  assert.equal(
    ruleOf('anthropic-messages', { messages: [], max_tokens: 1, inference_geo: 'us' }),
    'dearer-tier',
  );
  for (const tier of ['priority', 'SERVICE_TIER_PRIORITY', 'PRIORITY'])
    for (const key of ['serviceTier', 'service_tier'])
      assert.equal(ruleOf('gemini-generate', { contents: [], [key]: tier }), 'dearer-tier', tier);
  assert.equal(ruleOf('gemini-generate', { contents: [], serviceTier: 3 }), 'dearer-tier');
  assert.equal(ruleOf('gemini-generate', { contents: [], serviceTier: 'flex' }), 'passes');
  assert.equal(ruleOf('openai-chat', { messages: [], service_tier: 'flex' }), 'passes');
  assert.equal(
    ruleOf('anthropic-messages', { messages: [], max_tokens: 1, service_tier: 'standard_only' }),
    'passes',
  );
});
