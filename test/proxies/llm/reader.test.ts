/** Every answer is read to what the non-streamed API would have given, whatever way it came; counts are taken from where each API puts them, and never from what the model says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createReader, type Reading } from '../../../proxies/llm/answer/reader.ts';
import type { FormatName } from '../../../proxies/llm/kinds/kind.ts';
import { cutAt, cuts, singles } from './cuts.ts';

const json = 'application/json';
const sse = 'text/event-stream; charset=utf-8';
const ndjson = 'application/x-ndjson';

const readChunks = (format: FormatName, type: string, chunks: Buffer[]): Reading => {
  const reader = createReader(format, type);
  for (const chunk of chunks) reader.push(chunk);
  return reader.end();
};
const read = (format: FormatName, type: string, text: string): Reading =>
  readChunks(format, type, [Buffer.from(text)]);
const message = (reading: Reading): unknown => JSON.parse(reading.message ?? 'null');

type Choice = { message: { content?: string }; logprobs?: unknown };
const choiceOf = (reading: Reading): Choice => (message(reading) as { choices: [Choice] }).choices[0];
const answered = (reading: Reading): Choice['message'] => choiceOf(reading).message;

const data = (...events: (object | string)[]): string =>
  events.map((each) => `data: ${typeof each === 'string' ? each : JSON.stringify(each)}\n\n`).join('');
const named = (...events: { type: string }[]): string =>
  events.map((each) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`).join('');
const lines = (...each: object[]): string => each.map((one) => `${JSON.stringify(one)}\n`).join('');

const chunk = (delta: object, finish: string | null = null, index = 0): object => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 5,
  model: 'gpt-5',
  choices: [{ index, delta, logprobs: null, finish_reason: finish }],
});
const usageChunk = (usage: object): object => ({ ...chunk({}), choices: [], usage });

test('reads OpenAI, Anthropic and Ollama', () => {
  assert.deepEqual(
    read('openai-chat', json, '{"usage":{"prompt_tokens":12,"completion_tokens": 34}}').tokens,
    {
      in: 12,
      out: 34,
    },
  );
  assert.deepEqual(
    read('ollama-chat', json, '{"prompt_eval_count":5,"prompt_eval_duration":1,"eval_count":6}').tokens,
    { in: 5, out: 6 },
  );
  const long = named({ type: 'content_block_delta' }).repeat(2000);
  const start = named({
    type: 'message_start',
    message: { usage: { input_tokens: 7, cache_read_input_tokens: 1, output_tokens: 1 } },
  } as never);
  const end = named({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn' },
    usage: { output_tokens: 9 },
  } as never);
  assert.deepEqual(
    readChunks(
      'anthropic-messages',
      sse,
      [start, long, end.slice(0, 40), end.slice(40)].map((text) => Buffer.from(text)),
    ).tokens,
    { in: 8, cached: 1, out: 9 },
  );
});

test('is not fooled by text of the model, and says nothing when there is nothing', () => {
  const fooling =
    '{"prompt_tokens":999,"completion_tokens":999}\n\ndata: [DONE]\n\n"usage":{"prompt_tokens":9}';
  assert.equal(read('openai-chat', json, JSON.stringify({ text: fooling })).tokens, undefined);
  const streamed = read('openai-chat', sse, data(chunk({ content: fooling }), chunk({ content: '[DONE]' })));
  assert.equal(streamed.tokens, undefined);
  assert.equal(streamed.ended, false);
  assert.equal(answered(streamed).content, `${fooling}[DONE]`);
  const formats: FormatName[] = [
    'openai-chat',
    'openai-responses',
    'anthropic-messages',
    'gemini-generate',
    'ollama-chat',
  ];
  for (const format of formats)
    for (const type of [json, sse, ndjson, ''])
      assert.deepEqual(read(format, type, ''), { ended: type === '' && true });
});

test('chat completions: chunks become the completion, with tools, several choices and reasoning', () => {
  const reading = read(
    'openai-chat',
    sse,
    data(
      chunk({ role: 'assistant', content: '', refusal: null }),
      chunk({ reasoning_content: 'think' }),
      chunk({ reasoning_content: 'ing' }),
      chunk({ content: 'Hel' }),
      chunk({ content: 'second' }, null, 1),
      chunk({ content: 'lo ä🙂' }),
      chunk({
        tool_calls: [{ index: 0, id: 'call_a', type: 'function', function: { name: 'find', arguments: '' } }],
      }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }),
      chunk({
        tool_calls: [
          { index: 1, id: 'call_b', type: 'function', function: { name: 'get', arguments: '{}' } },
        ],
      }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: ':1}' } }] }),
      chunk({}, 'tool_calls'),
      chunk({}, 'stop', 1),
      usageChunk({
        prompt_tokens: 100,
        completion_tokens: 30,
        total_tokens: 130,
        prompt_tokens_details: { cached_tokens: 64, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 20 },
      }),
      '[DONE]',
    ),
  );
  assert.deepEqual(reading.tokens, { in: 100, out: 30, cached: 64, reasoning: 20 });
  assert.equal(reading.stop, 'tool_calls');
  assert.equal(reading.model, 'gpt-5');
  assert.equal(reading.ended, true);
  assert.deepEqual(message(reading), {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 5,
    model: 'gpt-5',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: 'Hello ä🙂',
          refusal: null,
          reasoning_content: 'thinking',
          tool_calls: [
            { id: 'call_a', type: 'function', function: { name: 'find', arguments: '{"a":1}' } },
            { id: 'call_b', type: 'function', function: { name: 'get', arguments: '{}' } },
          ],
        },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
      {
        index: 1,
        message: { role: 'assistant', content: 'second' },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: {
      prompt_tokens: 100,
      completion_tokens: 30,
      total_tokens: 130,
      prompt_tokens_details: { cached_tokens: 64, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 20 },
    },
  });
});

test('chat completions of servers that differ: calls without or with one index, sound, details, logprobs, Groq', () => {
  const call = (part: object): object => chunk({ tool_calls: [part] });
  const first = (text: string): Record<string, unknown> =>
    (message(read('openai-chat', sse, text)) as { choices: { message: Record<string, unknown> }[] })
      .choices[0]?.message as Record<string, unknown>;
  const two = [
    { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } },
    { id: 'b', type: 'function', function: { name: 'g', arguments: '{}' } },
  ];
  assert.deepEqual(first(data(...two.map((each) => call(each)))).tool_calls, two);
  assert.deepEqual(first(data(...two.map((each) => call({ index: 0, ...each })))).tool_calls, two);
  assert.deepEqual(
    first(
      data(
        call({ id: 'a', function: { name: 'f', arguments: '{' } }),
        call({ function: { name: 'f', arguments: '}' } }),
      ),
    ).tool_calls,
    [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }],
  );
  assert.deepEqual(
    first(
      data(
        chunk({ audio: { id: 'audio_1', transcript: 'Hel' } }),
        chunk({ audio: { data: 'A'.repeat(400), transcript: 'lo' } }),
        chunk({ audio: { data: 'A'.repeat(400), expires_at: 7 } }),
      ),
    ).audio,
    { id: 'audio_1', transcript: 'Hello', expires_at: 7, bytes: 600 },
  );
  const detail = (part: object): object =>
    chunk({ reasoning_details: [{ type: 'reasoning.text', index: 0, ...part }] });
  assert.deepEqual(
    first(data(detail({ text: 'th' }), detail({ text: 'ink' }), detail({ signature: 's' })))
      .reasoning_details,
    [{ type: 'reasoning.text', index: 0, text: 'think', signature: 's' }],
  );
  const probed = (token: string): object => {
    const made = chunk({ content: token }) as { choices: object[] };
    return {
      ...made,
      choices: made.choices.map((each) => ({ ...each, logprobs: { content: [{ token }], refusal: null } })),
    };
  };
  assert.deepEqual(choiceOf(read('openai-chat', sse, data(probed('a'), probed('b')))).logprobs, {
    content: [{ token: 'a' }, { token: 'b' }],
    refusal: null,
  });
  assert.deepEqual(
    read(
      'openai-chat',
      sse,
      data(
        chunk({ content: 'x' }),
        { x_groq: { usage: { prompt_tokens: 3, completion_tokens: 4 } } },
        '[DONE]',
      ),
    ).tokens,
    { in: 3, out: 4 },
  );
});

test('what OpenRouter, xAI, DeepSeek, Moonshot and LiteLLM count', () => {
  const usage = (of: object): Reading =>
    read('openai-chat', sse, data(chunk({ content: 'x' }), usageChunk(of), '[DONE]'));
  assert.equal(usage({ prompt_tokens: 1, completion_tokens: 1, cost: 0.00123 }).costUsd, 0.00123);
  for (const cost of [-1, '1', null])
    assert.equal(usage({ prompt_tokens: 1, completion_tokens: 1, cost }).costUsd, undefined);
  // With a vendor's key of one's own, the cost is OpenRouter's fee alone.
  const byok = (more: object) =>
    usage({ prompt_tokens: 1, completion_tokens: 1, cost: 0.25, ...more }).costUsd;
  assert.equal(byok({ is_byok: true, cost_details: { upstream_inference_cost: 5 } }), 5.25);
  assert.equal(byok({ is_byok: false, cost_details: { upstream_inference_cost: 0.25 } }), 0.25);
  assert.equal(byok({ is_byok: true }), undefined);
  assert.deepEqual(
    usage({
      prompt_tokens: 10,
      completion_tokens: 5,
      total_tokens: 115,
      completion_tokens_details: { reasoning_tokens: 100 },
    }).tokens,
    { in: 10, out: 105, reasoning: 100 },
  );
  assert.deepEqual(usage({ prompt_tokens: 10, completion_tokens: 5, prompt_cache_hit_tokens: 8 }).tokens, {
    in: 10,
    out: 5,
    cached: 8,
  });
  assert.deepEqual(usage({ prompt_tokens: 10, completion_tokens: 5, cached_tokens: 8 }).tokens, {
    in: 10,
    out: 5,
    cached: 8,
  });
  assert.deepEqual(
    usage({ prompt_tokens: 10, completion_tokens: 5, cache_creation_input_tokens: 8 }).tokens,
    {
      in: 10,
      out: 5,
      cacheWrite: 8,
    },
  );
  // The parts are never more than the whole.
  assert.deepEqual(
    usage({
      prompt_tokens: 10,
      completion_tokens: 5,
      prompt_tokens_details: { cached_tokens: 50, cache_write_tokens: 7 },
    }).tokens,
    { in: 57, out: 5, cached: 50, cacheWrite: 7 },
  );
});

test('numbers that are no counts are unknown, not nothing', () => {
  for (const bad of ['1e309', '-5', '1.5', '"12"', 'null', '1e15', 'true', '[1]']) {
    const reading = read(
      'openai-chat',
      json,
      `{"usage":{"prompt_tokens":${bad},"completion_tokens":3,"cost":1e309}}`,
    );
    assert.deepEqual(reading.tokens, { out: 3 }, bad);
    assert.equal(reading.costUsd, undefined);
    assert.equal(read('ollama-chat', json, `{"eval_count":${bad},"done":true}`).tokens, undefined);
    assert.equal(read('anthropic-messages', json, `{"usage":{"output_tokens":${bad}}}`).tokens, undefined);
    assert.equal(
      read('gemini-generate', json, `{"usageMetadata":{"promptTokenCount":${bad}}}`).tokens,
      undefined,
    );
  }
  assert.deepEqual(read('openai-chat', json, '{"usage":{"prompt_tokens":-0,"completion_tokens":0}}').tokens, {
    in: 0,
    out: 0,
  });
  // Nobody answers with something out of 0 tokens.
  const spoke = {
    choices: [{ message: { content: 'x' } }],
    usage: { prompt_tokens: 3, completion_tokens: 0 },
  };
  assert.deepEqual(read('openai-chat', json, JSON.stringify(spoke)).tokens, { in: 3 });
});

test('of a name that stands twice, the last one counts, as for every other reader of JSON', () => {
  const twice =
    '{"usage":{"prompt_tokens":1,"prompt_tokens":5,"completion_tokens":2},"usage":{"prompt_tokens":9,"completion_tokens":8}}';
  assert.deepEqual(read('openai-chat', json, twice).tokens, { in: 9, out: 8 });
  assert.deepEqual(read('openai-embeddings', json, twice).tokens, { in: 9, out: 8 });
});

const anthropicStream = (last: object): string =>
  named(
    {
      type: 'message_start',
      message: {
        id: 'msg_1',
        type: 'message',
        role: 'assistant',
        model: 'claude-5',
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: 10,
          cache_creation_input_tokens: 200,
          cache_read_input_tokens: 5000,
          cache_creation: { ephemeral_5m_input_tokens: 150, ephemeral_1h_input_tokens: 50 },
          output_tokens: 1,
        },
      },
    } as never,
    { type: 'ping' },
    {
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'thinking', thinking: '', signature: '' },
    } as never,
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'let ' } } as never,
    { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'me' } } as never,
    { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'c2ln' } } as never,
    { type: 'content_block_stop', index: 0 } as never,
    { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } } as never,
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'Hello ' } } as never,
    { type: 'content_block_delta', index: 1, delta: { type: 'text_delta', text: 'ä' } } as never,
    {
      type: 'content_block_delta',
      index: 1,
      delta: { type: 'citations_delta', citation: { cited_text: 'q' } },
    } as never,
    { type: 'content_block_stop', index: 1 } as never,
    {
      type: 'content_block_start',
      index: 2,
      content_block: { type: 'tool_use', id: 'toolu_1', name: 'f', input: {} },
    } as never,
    { type: 'content_block_delta', index: 2, delta: { type: 'input_json_delta', partial_json: '' } } as never,
    {
      type: 'content_block_delta',
      index: 2,
      delta: { type: 'input_json_delta', partial_json: '{"a": [1' },
    } as never,
    {
      type: 'content_block_delta',
      index: 2,
      delta: { type: 'input_json_delta', partial_json: ']}' },
    } as never,
    { type: 'content_block_stop', index: 2 } as never,
    { type: 'message_delta', delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: last } as never,
    { type: 'message_stop' },
  );

test('Anthropic messages: blocks grow to the message; reads and writes of the cache are input, and counted apart', () => {
  const reading = read('anthropic-messages', sse, anthropicStream({ output_tokens: 77 }));
  assert.deepEqual(reading.tokens, { in: 5210, out: 77, cached: 5000, cacheWrite: 200 });
  assert.equal(reading.stop, 'tool_use');
  assert.equal(reading.ended, true);
  assert.deepEqual(message(reading), {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model: 'claude-5',
    content: [
      { type: 'thinking', thinking: 'let me', signature: 'c2ln' },
      { type: 'text', text: 'Hello ä', citations: [{ cited_text: 'q' }] },
      { type: 'tool_use', id: 'toolu_1', name: 'f', input: { a: [1] } },
    ],
    stop_reason: 'tool_use',
    stop_sequence: null,
    usage: {
      input_tokens: 10,
      cache_creation_input_tokens: 200,
      cache_read_input_tokens: 5000,
      cache_creation: { ephemeral_5m_input_tokens: 150, ephemeral_1h_input_tokens: 50 },
      output_tokens: 77,
    },
  });
  // The whole answer says the same.
  const whole = read('anthropic-messages', json, reading.message ?? '');
  assert.deepEqual(whole.tokens, reading.tokens);
  assert.deepEqual(whole.stop, reading.stop);
});

test('Anthropic usage: the later count stands, but for a 0 or null; iterations where they come to more', () => {
  const tokens = (last: object): unknown => read('anthropic-messages', sse, anthropicStream(last)).tokens;
  assert.deepEqual(
    tokens({
      input_tokens: 40,
      cache_read_input_tokens: 6000,
      cache_creation_input_tokens: 200,
      output_tokens: 9,
    }),
    { in: 6240, out: 9, cached: 6000, cacheWrite: 200 },
  );
  assert.deepEqual(
    tokens({
      input_tokens: 0,
      cache_read_input_tokens: null,
      cache_creation_input_tokens: 0,
      output_tokens: 9,
    }),
    { in: 5210, out: 9, cached: 5000, cacheWrite: 200 },
  );
  assert.deepEqual(
    tokens({
      output_tokens: 9,
      output_tokens_details: { thinking_tokens: 4 },
      iterations: [
        { type: 'compaction', input_tokens: 1000, output_tokens: 300 },
        { type: 'message', input_tokens: 20, cache_read_input_tokens: 1, output_tokens: 9 },
      ],
    }),
    { in: 6220, out: 309, cached: 5000, cacheWrite: 200, reasoning: 4 },
  );
  // Writes are never 0 where the sum is missing and its parts are there.
  assert.deepEqual(
    read(
      'anthropic-messages',
      json,
      JSON.stringify({
        usage: { input_tokens: 1, cache_creation: { ephemeral_1h_input_tokens: 30 }, output_tokens: 2 },
      }),
    ).tokens,
    { in: 31, out: 2, cacheWrite: 30 },
  );
});

test('of a stream that is cut, only a count that was the last is one', () => {
  const whole = anthropicStream({ output_tokens: 9 });
  const cut = read('anthropic-messages', sse, whole.slice(0, whole.indexOf('event: message_delta')));
  assert.equal(cut.tokens, undefined);
  assert.deepEqual(cut.tokensUntilCut, { in: 5210, cached: 5000, cacheWrite: 200, out: 1 });
  const unsaid = read('anthropic-messages', sse, whole.slice(0, whole.indexOf('event: message_stop')));
  assert.deepEqual([unsaid.ended, unsaid.tokens?.out], [false, 9]);

  const counting = (out: number): object => ({ prompt_tokens: 5, completion_tokens: out, cost: 0.1 });
  const running = [chunk({ content: 'a' }), chunk({ content: 'b' })].map((each, at) => ({
    ...each,
    usage: counting(at),
  }));
  const chat = read('openai-chat', sse, data(...running));
  assert.deepEqual(
    [chat.tokens, chat.costUsd, chat.tokensUntilCut],
    [undefined, undefined, { in: 5, out: 1 }],
  );
  const finished = read('openai-chat', sse, data(...running, chunk({}, 'stop'), usageChunk(counting(3))));
  assert.deepEqual([finished.ended, finished.tokens, finished.costUsd], [false, { in: 5, out: 3 }, 0.1]);
  const undone = read(
    'openai-chat',
    sse,
    data(chunk({}, 'stop'), usageChunk(counting(3)), { usage: {} }, { usage: null }, '[DONE]'),
  );
  assert.deepEqual(undone.tokens, { in: 5, out: 3 });

  const gemini = {
    candidates: [{ content: { parts: [{ text: 'a' }] } }],
    usageMetadata: { promptTokenCount: 5, totalTokenCount: 5 },
  };
  assert.deepEqual(read('gemini-generate', sse, data(gemini)).tokens, undefined);
  const ollama = lines({ message: { content: 'a' }, done: false, prompt_eval_count: 3, eval_count: 1 });
  assert.equal(read('ollama-chat', ndjson, ollama).tokens, undefined);
});

test('an error inside a good answer is seen in every format', () => {
  const chat = read(
    'openai-chat',
    sse,
    data(chunk({ content: 'x' }), { error: { message: 'm', type: 'server_error', code: null } }),
  );
  assert.equal(chat.error, 'server_error');
  assert.equal(chat.ended, false);
  assert.equal(answered(chat).content, 'x');
  const overloaded = named({
    type: 'error',
    error: { type: 'overloaded_error', message: 'Overloaded' },
  } as never);
  assert.equal(read('anthropic-messages', sse, overloaded).error, 'overloaded_error');
  assert.deepEqual(message(read('anthropic-messages', sse, overloaded)), {
    type: 'error',
    error: { type: 'overloaded_error', message: 'Overloaded' },
  });
  assert.equal(
    read('openai-chat', json, '{"error":{"message":"m","code":"rate_limit_exceeded","type":"tokens"}}').error,
    'rate_limit_exceeded',
  );
  assert.equal(read('openai-chat', json, '{"error":{"message":"m","code":502}}').error, '502');
  assert.equal(
    read('openai-chat', sse, data({ choices: [{ error: { code: 502 }, finish_reason: 'error', delta: {} }] }))
      .error,
    '502',
  );
  assert.equal(read('openai-chat', json, '{"error":null,"choices":[]}').error, undefined);
  assert.equal(
    read('gemini-generate', json, '[{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}]').error,
    'UNAVAILABLE',
  );
  assert.equal(
    read('ollama-chat', ndjson, lines({ message: { content: 'a' } }, { error: 'an error was encountered' }))
      .error,
    'error',
  );
  assert.equal(
    read('openai-responses', sse, named({ type: 'error', code: 'server_error', message: 'm' } as never))
      .error,
    'server_error',
  );
  const failed = {
    type: 'response.failed',
    response: { status: 'failed', error: { code: 'server_error', message: 'm' } },
  };
  assert.equal(read('openai-responses', sse, named(failed)).error, 'server_error');
  assert.equal(
    read('openai-embeddings', json, '{"error":{"message":"m","type":"invalid_request_error"}}').error,
    'invalid_request_error',
  );
  assert.equal(read('openai-chat', json, '{"error":{"type":"<script>\\n"}}').error, 'error');
});

const item = { id: 'msg_1', type: 'message', status: 'in_progress', role: 'assistant', content: [] };
const responseEvents = [
  {
    type: 'response.created',
    response: { id: 'resp_1', status: 'in_progress', model: 'gpt-5', output: [], usage: null },
  },
  {
    type: 'response.output_item.added',
    output_index: 0,
    item: { id: 'rs_1', type: 'reasoning', summary: [] },
  },
  { type: 'response.reasoning_summary_text.delta', output_index: 0, summary_index: 0, delta: 'why' },
  { type: 'response.output_item.added', output_index: 1, item },
  { type: 'response.output_text.delta', output_index: 1, content_index: 0, delta: 'Hel' },
  { type: 'response.output_text.delta', output_index: 1, content_index: 0, delta: 'lo' },
  {
    type: 'response.output_item.added',
    output_index: 2,
    item: { type: 'function_call', name: 'f', call_id: 'c', arguments: '' },
  },
  { type: 'response.function_call_arguments.delta', output_index: 2, delta: '{"a":' },
];

test('responses: the last event is the answer; one that is cut is put together from what came', () => {
  const response = {
    id: 'resp_1',
    status: 'completed',
    model: 'gpt-5',
    output: [{ ...item, status: 'completed', content: [{ type: 'output_text', text: 'Hello' }] }],
    usage: {
      input_tokens: 36,
      input_tokens_details: { cached_tokens: 8, cache_write_tokens: 4 },
      output_tokens: 87,
      output_tokens_details: { reasoning_tokens: 64 },
      total_tokens: 123,
    },
  };
  const reading = read(
    'openai-responses',
    sse,
    named(...responseEvents, { type: 'response.completed', response } as never),
  );
  assert.deepEqual(reading.tokens, { in: 36, out: 87, cached: 8, cacheWrite: 4, reasoning: 64 });
  assert.equal(reading.stop, 'completed');
  assert.equal(reading.ended, true);
  assert.deepEqual(message(reading), response);
  const whole = read('openai-responses', json, JSON.stringify(response));
  assert.deepEqual([whole.tokens, whole.stop, whole.ended], [reading.tokens, 'completed', true]);
  const short = { ...response, status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } };
  assert.equal(
    read('openai-responses', sse, named({ type: 'response.incomplete', response: short } as never)).stop,
    'max_output_tokens',
  );

  const cut = read('openai-responses', sse, named(...responseEvents));
  assert.equal(cut.ended, false);
  assert.equal(cut.tokens, undefined);
  assert.deepEqual(message(cut), {
    ...responseEvents[0]?.response,
    output: [
      { id: 'rs_1', type: 'reasoning', summary: [{ type: 'summary_text', text: 'why' }] },
      { ...item, content: [{ type: 'output_text', text: 'Hello' }] },
      { type: 'function_call', name: 'f', call_id: 'c', arguments: '{"a":' },
    ],
  });
  const bare = { ...response, output: [] };
  const filled = message(
    read(
      'openai-responses',
      sse,
      named(...responseEvents, { type: 'response.completed', response: bare } as never),
    ),
  );
  assert.equal((filled as { output: unknown[] }).output.length, 3);
});

test('Gemini: server-sent events and the list without alt=sse become the same response', () => {
  const usage = {
    promptTokenCount: 8,
    candidatesTokenCount: 20,
    thoughtsTokenCount: 5,
    toolUsePromptTokenCount: 3,
    cachedContentTokenCount: 4,
  };
  const part = (parts: object[], rest: object = {}): object => ({
    candidates: [{ content: { parts, role: 'model' }, index: 0, ...rest }],
    usageMetadata: { promptTokenCount: 8 },
    modelVersion: 'gemini-3',
    responseId: 'r',
  });
  const chunks = [
    part([{ text: 'hm', thought: true }]),
    part([{ text: 'm', thought: true }]),
    part([{ text: 'Hel' }]),
    part([{ text: 'lo, "usageMetadata": {' }]),
    part([{ text: 's', thoughtSignature: 'x' }]),
    part([{ functionCall: { name: 'f', args: { a: 1 } } }]),
    { ...part([], { finishReason: 'STOP' }), usageMetadata: usage },
  ];
  const expected = {
    candidates: [
      {
        content: {
          parts: [
            { text: 'hmm', thought: true },
            { text: 'Hello, "usageMetadata": {' },
            { text: 's', thoughtSignature: 'x' },
            { functionCall: { name: 'f', args: { a: 1 } } },
          ],
          role: 'model',
        },
        finishReason: 'STOP',
        index: 0,
      },
    ],
    usageMetadata: usage,
    modelVersion: 'gemini-3',
    responseId: 'r',
  };
  const pretty = `[${chunks.map((each) => JSON.stringify(each, null, 2)).join('\n,\r\n')}\n]\n`;
  for (const [type, text] of [
    [sse, data(...chunks)],
    [sse, data(...chunks).replaceAll('\n', '\r\n')],
    [json, pretty],
    [json, JSON.stringify(chunks)],
  ] as const) {
    const reading = read('gemini-generate', type, text);
    assert.deepEqual(message(reading), expected);
    assert.deepEqual(reading.tokens, { in: 11, out: 25, cached: 4, reasoning: 5 });
    assert.equal(reading.stop, 'STOP');
    assert.equal(reading.model, 'gemini-3');
    assert.equal(reading.ended, true);
  }
  const cut = read('gemini-generate', json, pretty.slice(0, -30));
  assert.equal(cut.ended, false);
  assert.equal((message(cut) as { candidates: unknown[] }).candidates.length, 1);
  const blocked = read(
    'gemini-generate',
    json,
    '{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}}',
  );
  assert.equal(blocked.stop, 'SAFETY');
  assert.deepEqual(blocked.tokens, { in: 5, out: 0 });
});

test('Ollama: lines of chat and generate become one answer', () => {
  const base = { model: 'llama', created_at: 't', done: false };
  const chat = read(
    'ollama-chat',
    ndjson,
    lines(
      { ...base, message: { role: 'assistant', content: '', thinking: 'h' } },
      { ...base, message: { role: 'assistant', content: '', thinking: 'm' } },
      { ...base, message: { role: 'assistant', content: 'Hel' } },
      {
        ...base,
        message: { role: 'assistant', content: '', tool_calls: [{ function: { name: 'f', arguments: {} } }] },
      },
      {
        ...base,
        message: {
          role: 'assistant',
          content: 'lo',
          tool_calls: [{ function: { name: 'g', arguments: {} } }],
        },
      },
      {
        ...base,
        message: { role: 'assistant', content: '' },
        done: true,
        done_reason: 'stop',
        prompt_eval_count: 9,
        eval_count: 4,
      },
    ),
  );
  assert.deepEqual(chat.tokens, { in: 9, out: 4 });
  assert.equal(chat.stop, 'stop');
  assert.equal(chat.ended, true);
  assert.deepEqual(message(chat), {
    model: 'llama',
    created_at: 't',
    done: true,
    done_reason: 'stop',
    prompt_eval_count: 9,
    eval_count: 4,
    message: {
      role: 'assistant',
      content: 'Hello',
      thinking: 'hm',
      tool_calls: [{ function: { name: 'f', arguments: {} } }, { function: { name: 'g', arguments: {} } }],
    },
  });
  const generated = read(
    'ollama-generate',
    ndjson,
    lines(
      { ...base, response: 'a' },
      { ...base, response: 'b' },
      { ...base, response: '', done: true, context: [1, 2] },
    ).trimEnd(),
  );
  assert.deepEqual(message(generated), {
    model: 'llama',
    created_at: 't',
    done: true,
    response: 'ab',
    context: [1, 2],
  });
  assert.equal(generated.ended, true);
  assert.equal(read('ollama-chat', ndjson, lines({ ...base, message: { content: 'cut' } })).ended, false);
});

test('embeddings: vectors are counted and not kept', () => {
  const vector = Array.from({ length: 50 }, (_, at) => at / 7 - 3);
  const openai = {
    object: 'list',
    data: [0, 1, 2].map((index) => ({ object: 'embedding', index, embedding: vector })),
    model: 'e',
    usage: { prompt_tokens: 8, total_tokens: 8 },
  };
  for (const text of [JSON.stringify(openai), JSON.stringify(openai, null, 2)]) {
    const reading = readChunks('openai-embeddings', json, singles(Buffer.from(text)));
    assert.deepEqual(message(reading), {
      object: 'list',
      model: 'e',
      usage: { prompt_tokens: 8, total_tokens: 8 },
      count: 3,
    });
    assert.deepEqual(reading.tokens, { in: 8, out: 0 });
    assert.equal(reading.ended, true);
  }
  const ollama = read(
    'ollama-embed',
    json,
    JSON.stringify({ model: 'e', embeddings: [vector, vector], prompt_eval_count: 7 }),
  );
  assert.deepEqual(
    [ollama.tokens, message(ollama)],
    [
      { in: 7, out: 0 },
      { model: 'e', prompt_eval_count: 7, count: 2 },
    ],
  );
  const gemini = read('gemini-embed', json, JSON.stringify({ embedding: { values: vector } }));
  assert.deepEqual([gemini.tokens, message(gemini)], [undefined, { count: 1 }]);
  assert.deepEqual(message(read('openai-embeddings', json, JSON.stringify([vector, vector]))), { count: 2 });
  assert.equal(read('openai-embeddings', json, JSON.stringify(openai).slice(0, -1)).ended, false);
});

test('sound is not kept, transcripts are, a count costs nothing, lists are as they came', () => {
  assert.deepEqual(read('openai-speech', 'audio/mpeg', '\u0000ID3{"usage":1}'), { ended: true });
  const speech = read(
    'openai-speech',
    sse,
    data(
      { type: 'speech.audio.delta', audio: 'AAAA' },
      { type: 'speech.audio.done', usage: { input_tokens: 14, output_tokens: 101, total_tokens: 115 } },
    ),
  );
  assert.deepEqual(
    [speech.tokens, speech.ended, message(speech)],
    [
      { in: 14, out: 101 },
      true,
      { soundBytes: 3, usage: { input_tokens: 14, output_tokens: 101, total_tokens: 115 } },
    ],
  );
  const transcript = {
    text: 'Hello',
    usage: { type: 'tokens', input_tokens: 5, output_tokens: 2, total_tokens: 7 },
  };
  const streamed = read(
    'openai-transcription',
    sse,
    data(
      { type: 'transcript.text.delta', delta: 'Hel' },
      { type: 'transcript.text.delta', delta: 'lo' },
      { type: 'transcript.text.done', ...transcript },
    ),
  );
  for (const reading of [streamed, read('openai-transcription', json, JSON.stringify(transcript))]) {
    assert.deepEqual(
      [reading.tokens, reading.ended, message(reading)],
      [{ in: 5, out: 2 }, true, transcript],
    );
  }
  const cut = read('openai-transcription', sse, data({ type: 'transcript.text.delta', delta: 'Hel' }));
  assert.deepEqual([cut.ended, message(cut)], [false, { text: 'Hel' }]);
  assert.deepEqual(message(read('openai-transcription', 'text/plain; charset=utf-8', 'Hello\n')), {
    text: 'Hello\n',
  });
  assert.deepEqual(read('anthropic-count', json, '{"input_tokens":2095}'), {
    ended: true,
    tokens: { in: 0, out: 0 },
    message: '{"input_tokens":2095}',
  });
  assert.deepEqual(read('listing', json, '{"data":[]}'), { ended: true, message: '{"data":[]}' });
});

test('an answer is read as what it is, whatever its header says', () => {
  assert.equal(
    read('openai-chat', sse, '{"error":{"type":"invalid_request_error"}}').error,
    'invalid_request_error',
  );
  assert.equal(read('openai-chat', json, data(chunk({ content: 'x' }), '[DONE]')).ended, true);
  assert.equal(read('openai-chat', '', `: hello\n\n${data(chunk({ content: 'x' }), '[DONE]')}`).ended, true);
  const html = read('openai-chat', 'text/html', '<html>502</html>');
  assert.deepEqual([html.tokens, message(html)], [undefined, { text: '<html>502</html>' }]);
  assert.deepEqual(message(read('openai-chat', json, 'upstream failed')), 'upstream failed');
  assert.equal(read('openai-chat', json, 'upstream failed').ended, false);
  assert.equal(
    read('openai-chat', json, '\ufeff {"usage":{"prompt_tokens":1,"completion_tokens":1}}').message?.[1],
    '{',
  );
});

test('what is read does not depend on where the chunks are cut', () => {
  const streams: [FormatName, string, string][] = [
    [
      'openai-chat',
      sse,
      data(
        chunk({ content: 'ä🙂' }),
        chunk({ content: '\n' }),
        usageChunk({ prompt_tokens: 3, completion_tokens: 2 }),
        '[DONE]',
      ),
    ],
    ['anthropic-messages', sse, anthropicStream({ output_tokens: 5 })],
    ['openai-responses', sse, named(...responseEvents)],
    [
      'ollama-chat',
      ndjson,
      lines({ message: { content: 'ä' } }, { message: { content: '🙂' }, done: true, eval_count: 2 }),
    ],
    [
      'gemini-generate',
      json,
      JSON.stringify([{ candidates: [{ content: { parts: [{ text: 'ä🙂' }] } }] }, { usageMetadata: {} }]),
    ],
    [
      'openai-embeddings',
      json,
      '{"data":[{"embedding":[1,-2.5e-3]},{"\\u0061":"]}\\\\"}],"us\\u0061ge":{"prompt_tokens":4}}',
    ],
    ['listing', '', '{"data":[]}'],
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...streams),
      fc.constantFrom('\n', '\r\n', '\r'),
      cuts,
      ([format, type, text], end, at) => {
        const bytes = Buffer.from(type === sse ? text.replaceAll('\n', end) : text);
        const expected = readChunks(format, type, [bytes]);
        assert.ok(expected.message);
        assert.deepEqual(readChunks(format, type, cutAt(bytes, at)), expected);
        assert.deepEqual(readChunks(format, type, singles(bytes)), expected);
      },
    ),
    { numRuns: 300 },
  );
});

test('no bytes make a reader throw, and what it gives is JSON', () => {
  const formats: FormatName[] = [
    'openai-chat',
    'openai-responses',
    'openai-embeddings',
    'openai-speech',
    'openai-transcription',
    'anthropic-messages',
    'anthropic-count',
    'gemini-generate',
    'gemini-embed',
    'gemini-count',
    'ollama-chat',
    'ollama-generate',
    'ollama-embed',
    'ollama-show',
    'listing',
  ];
  const names = [
    'choices',
    'delta',
    'content',
    'tool_calls',
    'index',
    'function',
    'usage',
    'message',
    'type',
    'error',
    'candidates',
    'parts',
    'text',
    'output_index',
    'item',
    'response',
    'content_block',
    '__proto__',
    'constructor',
    'done',
    'input',
    'partial_json',
    'iterations',
    'audio',
    'logprobs',
    'data',
    'finish_reason',
  ];
  const types = [
    'message_start',
    'content_block_start',
    'content_block_delta',
    'message_delta',
    'error',
    'response.output_item.added',
    'response.output_text.delta',
    'response.completed',
    'input_json_delta',
  ];
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(...types),
      fc.constantFrom(null, true, 0, 1, -1, 1e308, 2 ** 40, '', 'x'),
      fc.array(tie('any'), { maxLength: 3 }),
      fc
        .array(fc.tuple(fc.constantFrom(...names), tie('any')), { maxLength: 5 })
        .map((pairs) => Object.fromEntries(pairs)),
    ),
  })).any;
  const noise = fc.oneof(
    fc
      .array(value, { maxLength: 6 })
      .map((values) => values.map((each) => `data: ${JSON.stringify(each)}\n\n`).join('')),
    fc
      .array(value, { maxLength: 6 })
      .map((values) => values.map((each) => `${JSON.stringify(each)}\n`).join('')),
    value.map((each) => JSON.stringify(each)),
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.stringMatching(/^[{}[\]",:\\ \n]{0,40}$/),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...formats),
      fc.constantFrom(json, sse, ndjson, '', 'text/plain'),
      noise,
      cuts,
      (format, type, text, at) => {
        const reading = readChunks(format, type, cutAt(Buffer.from(text), at));
        if (reading.message !== undefined) JSON.parse(reading.message);
        assert.equal(({} as { polluted?: unknown }).polluted, undefined);
        for (const count of Object.values(reading.tokens ?? {}))
          assert.ok(Number.isSafeInteger(count) && count >= 0);
      },
    ),
    { numRuns: 1500 },
  );
});

test('a value nested too deep to be written again is said to be missing', () => {
  const deep = `${'{"1":'.repeat(200_000)}1${'}'.repeat(200_000)}`;
  const reading = read(
    'openai-chat',
    sse,
    `data: {"choices":[{"delta":{"x":${deep}}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n`,
  );
  assert.equal(reading.truncated, true);
  assert.deepEqual(reading.tokens, { in: 1, out: 2 });
  assert.equal(read('openai-chat', json, `{"x":${deep}}`).ended, true);
});

test('beyond 8 MiB an answer is counted and no longer kept', () => {
  const text = 'x'.repeat(64 * 1024);
  const reader = createReader('openai-chat', sse);
  for (let at = 0; at < 160; at++) reader.push(Buffer.from(data(chunk({ content: text }))));
  reader.push(
    Buffer.from(data(chunk({}, 'stop'), usageChunk({ prompt_tokens: 5, completion_tokens: 6 }), '[DONE]')),
  );
  const reading = reader.end();
  assert.deepEqual(
    [reading.truncated, reading.tokens, reading.stop, reading.ended],
    [true, { in: 5, out: 6 }, 'stop', true],
  );
  assert.equal(answered(reading).content?.length, 8 * 1024 * 1024 - 64 * 1024);

  const line = read(
    'openai-chat',
    sse,
    `data: "${'x'.repeat(9e6)}"\n\n${data(usageChunk({ prompt_tokens: 5, completion_tokens: 6 }), '[DONE]')}`,
  );
  assert.deepEqual([line.truncated, line.tokens, line.ended], [true, { in: 5, out: 6 }, true]);

  const whole = read(
    'openai-chat',
    json,
    JSON.stringify({
      model: 'm',
      choices: [{ message: { content: 'x'.repeat(9e6) } }],
      usage: { prompt_tokens: 5, completion_tokens: 6 },
    }),
  );
  assert.deepEqual(whole, { ended: true, tokens: { in: 5, out: 6 }, model: 'm', truncated: true });

  const list = Array.from({ length: 10 }, () => ({
    candidates: [{ content: { parts: [{ text: 'x'.repeat(1e6) }] } }],
  }));
  const gemini = read(
    'gemini-generate',
    json,
    JSON.stringify([
      ...list,
      {
        candidates: [{ finishReason: 'STOP' }],
        usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 4 },
      },
    ]),
  );
  assert.deepEqual(
    [gemini.truncated, gemini.tokens, gemini.stop, gemini.ended],
    [true, { in: 3, out: 4 }, 'STOP', true],
  );
});

test('millions of empty values are not made objects of', () => {
  const crowd = `[${'{},'.repeat(2_000_000)}1]`;
  const usage = '"usage":{"prompt_tokens":5,"completion_tokens":7}';
  for (const [type, text] of [
    [json, `{"choices":[],"x":${crowd},${usage}}`],
    [json, `{"choices":${'['.repeat(4_000_000)}`],
    [sse, `data: {"choices":[],"x":${crowd},${usage}}\n\n`],
  ] as const) {
    const since = performance.now();
    const reading = read('openai-chat', type, text);
    assert.ok(performance.now() - since < 1000, text.slice(0, 20));
    assert.equal(reading.tokens, undefined, 'not known, which costs the reservation');
  }
});
