/** What begins with an error is told from what begins with an answer, and an answer is not held back for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstEvent } from '../../../proxies/llm/answer/first.ts';
import type { FormatName } from '../../../proxies/llm/kinds/kind.ts';

const sse = 'text/event-stream';
const json = 'application/json';
const ndjson = 'application/x-ndjson';

const answers: [FormatName, string, string][] = [
  ['openai-chat', sse, 'data: {"id":"x","choices":[{"delta":{"content":"error"}}]}\n\n'],
  ['openai-chat', sse, 'data: {"choices":[],"error":null}\n\n'],
  ['openai-chat', sse, ': OPENROUTER PROCESSING\n\ndata: {"choices":[]}\r\n\r\n'],
  ['openai-chat', sse, 'data: [DONE]\n\n'],
  ['openai-chat', json, '{"id": "'],
  ['openai-chat', json, '{ "error" : null, "choices": [] }'],
  [
    'openai-responses',
    sse,
    'event: response.created\ndata: {"type":"response.created","response":{"error":null}}\n\n',
  ],
  ['anthropic-messages', sse, 'event: message_start\ndata: {"type":"message_start"}\n\n'],
  ['anthropic-messages', json, '{"type":"message","content":[]}'],
  ['anthropic-messages', json, '{"type":"message", "content":[{"te'],
  ['openai-responses', json, '{ "error": null , "output":['],
  ['gemini-generate', json, '[{"candidates":'],
  ['gemini-generate', json, '[{\n  "candidates": ['],
  ['gemini-generate', sse, 'data: {"candidates": []}\r\n\r\n'],
  ['ollama-chat', ndjson, '{"model":"x","message":{"content":"'],
  ['openai-speech', 'audio/mpeg', '\u0000'],
  ['openai-embeddings', json, '{"object":"list","data":['],
  ['listing', json, '{"data":['],
  ['openai-chat', 'text/html', '<html>'],
];

const errors: [FormatName, string, string, string][] = [
  ['openai-chat', sse, 'data: {"error":{"message":"m","type":"server_error"}}\n\n', 'server_error'],
  ['openai-chat', sse, ': wait\n\nevent: error\ndata: {"message":"m","code":"overloaded"}\n\n', 'overloaded'],
  ['openai-chat', sse, 'event: error\ndata: no json\n\n', 'error'],
  ['openai-chat', sse, '{"error":{"code":"rate_limit_exceeded"}}', 'rate_limit_exceeded'],
  ['openai-chat', json, '{"error":{"message":"m","type":"x","code":502}}', 'x'],
  [
    'openai-responses',
    sse,
    'event: error\ndata: {"type":"error","code":"server_error","message":"m"}\n\n',
    'server_error',
  ],
  [
    'openai-responses',
    sse,
    'data: {"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded"}}}\n\n',
    'rate_limit_exceeded',
  ],
  [
    'anthropic-messages',
    sse,
    'event: ping\ndata: {"type":"ping"}\n\nevent: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"m"}}\n\n',
    'overloaded_error',
  ],
  ['anthropic-messages', json, '{"type":"error","error":{"type":"overloaded_error"}}', 'overloaded_error'],
  ['gemini-generate', json, '[{\n "error": {"code":503,"status":"UNAVAILABLE"}}\n]', 'UNAVAILABLE'],
  ['gemini-generate', json, '[{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}', 'RESOURCE_EXHAUSTED'],
  ['gemini-generate', sse, 'data: {"error":{"code":503,"status":"UNAVAILABLE"}}\r\n\r\n', 'UNAVAILABLE'],
  ['ollama-chat', ndjson, '{"error":"model runner has unexpectedly stopped"}\n', 'error'],
  ['ollama-chat', ndjson, '{"error":"a"}\n{"error":"b"}\n', 'error'],
];

test('an answer is let through at its first word, whatever comes behind', () => {
  for (const [format, type, text] of answers)
    assert.equal(firstEvent(format, type, Buffer.from(text)), 'ok', text);
});

test('an error at the beginning is named', () => {
  for (const [format, type, text, error] of errors)
    assert.deepEqual(firstEvent(format, type, Buffer.from(text)), { error }, text);
});

test('with less of it, the word is the same or not said yet', () => {
  for (const [format, type, text] of answers) {
    for (let to = 0; to < text.length; to++)
      assert.ok(
        ['more', 'ok'].includes(firstEvent(format, type, Buffer.from(text.slice(0, to))) as string),
        text,
      );
  }
  for (const [format, type, text, error] of errors) {
    for (let to = 0; to < text.length; to++) {
      const judged = firstEvent(format, type, Buffer.from(text.slice(0, to)));
      assert.ok(
        judged === 'more' || (typeof judged === 'object' && judged.error === error),
        `${text.slice(0, to)}: ${JSON.stringify(judged)}`,
      );
    }
  }
});

test('nothing is held back beyond 64 KiB', () => {
  const long = 'x'.repeat(70_000);
  for (const [type, text] of [
    [sse, `data: {"error":"${long}`],
    [sse, `: ${long}`],
    [json, `{"error":{"message":"${long}`],
    [json, ' '.repeat(70_000)],
    [ndjson, `{"error":"${long}`],
  ] as const)
    assert.equal(firstEvent('openai-chat', type, Buffer.from(text)), 'ok', text.slice(0, 20));
});

test('a beginning that is made to be tried in many ways takes no time', () => {
  const blanks = ' '.repeat(60_000);
  for (const text of [`{"${blanks}\\\n`, `{"${blanks}" x`, `{${blanks}x`, `[${blanks}{${blanks}"${blanks}`]) {
    const since = performance.now();
    firstEvent('openai-chat', json, Buffer.from(text));
    assert.ok(performance.now() - since < 100, JSON.stringify(text.replaceAll(/ +/g, ' ')));
  }
});
