/** Token counts are read from where each API puts them, and never from what the model says. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUsage } from '../../../proxies/llm/answer/usage.ts';

const tokensOf = (chunks: string[]): unknown => {
  const usage = createUsage();
  for (const chunk of chunks) usage.see(Buffer.from(chunk));
  return usage.tokens();
};

test('reads OpenAI, Anthropic and Ollama', () => {
  assert.deepEqual(tokensOf(['{"usage":{"prompt_tokens":12,"completion_tokens": 34}}']), { in: 12, out: 34 });
  assert.deepEqual(tokensOf(['{"prompt_eval_count":5,"prompt_eval_duration":1,"eval_count":6}']), {
    in: 5,
    out: 6,
  });
  const long = 'event: content_block_delta\ndata: {}\n\n'.repeat(2000);
  assert.deepEqual(
    tokensOf([
      '{"usage":{"input_tokens":7,"cache_read_input_tokens":1,"output_tokens":1}}',
      long,
      '{"usage":{"output_',
      'tokens":9}}',
    ]),
    { in: 7, out: 9 },
  );
});

test('is not fooled by text of the model, and says nothing when there is nothing', () => {
  assert.equal(
    tokensOf([JSON.stringify({ text: '{"prompt_tokens":999,"completion_tokens":999}' })]),
    undefined,
  );
  assert.equal(tokensOf([]), undefined);
});
