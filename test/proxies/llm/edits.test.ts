/** What is changed in a body on its way out: a few ranges, and the rest stays as it was written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Change, editsFor } from '../../../proxies/llm/asked/edits.ts';
import { createScan } from '../../../proxies/llm/asked/scan.ts';
import type { FormatName } from '../../../proxies/llm/kinds/kind.ts';
import { kinds } from '../../../proxies/llm/kinds/paths.ts';

function edited(format: FormatName, text: string, change: Change, model?: string): string {
  const body = Buffer.from(text);
  const scanning = createScan(format, {
    kind: kinds.openai,
    contentType: undefined,
    ...(model ? { model } : {}),
  });
  assert.equal(scanning.push(body), undefined, text);
  const scanned = scanning.end();
  assert.ok(!('allow' in scanned), JSON.stringify(scanned));
  const pieces: Buffer[] = [];
  let at = 0;
  for (const { from, to, text: put } of editsFor(format, scanned, change)) {
    assert.ok(from >= at && to >= from, 'in order and not overlapping');
    pieces.push(body.subarray(at, from), Buffer.from(put));
    at = to;
  }
  return Buffer.concat([...pieces, body.subarray(at)]).toString();
}

const read = (format: FormatName, body: unknown, change: Change): unknown =>
  JSON.parse(edited(format, typeof body === 'string' ? body : JSON.stringify(body), change));

test('the real model takes the place of an alias, and not a byte more is another', () => {
  const body =
    '{ "messages" : [ {"content":"model é \\u0041"} ],\n "mod\\u0065l"\t: "ali\\u0061s" , "n":1.0 }';
  assert.equal(
    edited('openai-chat', body, { model: 'org/"real"' }),
    body.replace('"ali\\u0061s"', '"org/\\"real\\""'),
  );
  assert.equal(edited('openai-chat', body, {}), body);
});

test("the agent's tag replaces what the client said of itself", () => {
  const tag = 'scout';
  for (const format of ['openai-chat', 'openai-embeddings'] as const) {
    assert.deepEqual(read(format, { model: 'm' }, { tag }), { user: tag, model: 'm' });
    assert.deepEqual(read(format, { user: 'me', model: 'm' }, { tag }), { user: tag, model: 'm' });
    assert.deepEqual(read(format, { model: 'm', user: null }, { tag }), { model: 'm', user: tag });
  }
  const metadata = { user_id: tag };
  assert.deepEqual(read('anthropic-messages', { model: 'm' }, { tag }), { metadata, model: 'm' });
  assert.deepEqual(read('anthropic-messages', { model: 'm', metadata: null }, { tag }), {
    model: 'm',
    metadata,
  });
  assert.deepEqual(read('anthropic-messages', { metadata: { user_id: 'me' }, model: 'm' }, { tag }), {
    metadata,
    model: 'm',
  });
  for (const format of ['anthropic-count', 'ollama-chat', 'openai-speech'] as const) {
    assert.deepEqual(read(format, { model: 'm' }, { tag }), { model: 'm' });
  }
});

test('metadata for what is stored is taken out, since nothing is: LiteLLM reads from it where to log', () => {
  const metadata = { langfuse_host: 'attacker.example', langfuse_public_key: 'a' };
  for (const format of ['openai-chat', 'openai-responses'] as const) {
    const sent = read(format, { metadata, model: 'm', store: false }, { tag: 'scout' });
    assert.deepEqual(sent, { metadata: {}, model: 'm', store: false, user: 'scout' });
  }
});

test('usage is asked for, whatever stood there', () => {
  const wish = (options?: unknown): unknown => {
    const body = { model: 'm', stream: true, ...(options === undefined ? {} : { stream_options: options }) };
    return (read('openai-chat', body, { addUsage: true }) as { stream_options: unknown }).stream_options;
  };
  for (const options of [
    undefined,
    null,
    {},
    { include_usage: false },
    { include_usage: null },
    { include_usage: true },
  ]) {
    assert.deepEqual(wish(options), { include_usage: true });
  }
  assert.deepEqual(wish({ include_obfuscation: false }), { include_usage: true, include_obfuscation: false });
  assert.equal(
    edited('openai-chat', '{"model":"m","stream_options":{ }}', { addUsage: true }),
    '{"model":"m","stream_options":{"include_usage":true}}',
  );
  assert.equal(
    edited('openai-responses', '{"model":"m","store":false}', { addUsage: true }),
    '{"model":"m","store":false}',
  );
});

test('nothing is stored: the responses API is told so, which keeps what it is sent otherwise', () => {
  assert.deepEqual(read('openai-responses', { model: 'm', input: 'x' }, {}), {
    store: false,
    model: 'm',
    input: 'x',
  });
  assert.deepEqual(read('openai-responses', { model: 'm', store: null }, { tag: 't' }), {
    user: 't',
    model: 'm',
    store: false,
  });
  assert.deepEqual(read('openai-responses', { store: false, model: 'm' }, {}), { store: false, model: 'm' });
  assert.deepEqual(read('openai-chat', { model: 'm' }, {}), { model: 'm' });
});

test('a Gemini body that repeats the model is changed with its path', () => {
  const text = '{"requests":[{"model":"models/alias","content":{}},{"content":{}}]}';
  assert.equal(
    edited('gemini-embed', text, { model: 'real' }, 'alias'),
    '{"requests":[{"model":"models/real","content":{}},{"content":{}}]}',
  );
  assert.equal(edited('gemini-generate', '{}', { model: 'real', tag: 't' }, 'alias'), '{}');
});

test('all changes together are still one object that says what was meant', () => {
  const options = fc.constantFrom(
    undefined,
    null,
    {},
    { include_usage: false },
    { include_obfuscation: true },
  );
  const body = fc.record(
    { user: fc.option(fc.string()), stream_options: options, messages: fc.constant([]) },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      body,
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary', minLength: 1 }),
      fc.constantFrom(0, 2),
      fc.boolean(),
      (rest, tag, model, indent, last) => {
        const all = last ? { ...rest, model: 'a' } : { model: 'a', ...rest };
        const result = JSON.parse(
          edited('openai-chat', JSON.stringify(all, null, indent), { tag, model, addUsage: true }),
        );
        const { stream_options: given } = rest as { stream_options?: object | null };
        assert.deepEqual(
          result,
          JSON.parse(
            JSON.stringify({ ...all, user: tag, model, stream_options: { ...given, include_usage: true } }),
          ),
        );
      },
    ),
    { numRuns: 500 },
  );
});
