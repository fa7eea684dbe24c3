/** What the owner should look at is said once, and one agent cannot fill the list with names of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNotices } from '../../../proxies/llm/notices.ts';

test('an agent that makes up names hides neither what another meets, nor a key that is refused', () => {
  const said: string[] = [];
  const notices = createNotices((text) => said.push(text));
  for (let n = 0; n < 1000; n++)
    notices.tell({ kind: 'unpriced', agent: 'loud', provider: 'p', model: `made-up-${n}` });
  for (const agent of ['loud', 'quiet'])
    notices.tell({ kind: 'key-refused', agent, provider: agent, model: null, status: 401 });
  notices.tell({ kind: 'unpriced', agent: 'quiet', provider: 'p', model: 'real' });
  notices.tell({ kind: 'unpriced', agent: 'quiet', provider: 'p', model: 'real' });
  const standing = notices.standing();
  assert.equal(standing.filter(({ kind, agent }) => kind === 'unpriced' && agent === 'loud').length, 20);
  assert.deepEqual(
    standing.slice(20).map(({ kind, agent }) => [kind, agent]),
    [
      ['key-refused', 'loud'],
      ['key-refused', 'quiet'],
      ['unpriced', 'quiet'],
    ],
  );
  assert.equal(said.length, standing.length);
});

test('a model without a price is for the report, by the name that was asked; a key that is refused is an error', () => {
  const said: string[] = [];
  const notices = createNotices((text, where) => said.push(`${where}: ${text}`));
  notices.tell({ kind: 'unpriced', agent: 'main', provider: 'work', model: 'gpt-9', asked: 'smart' });
  notices.tell({ kind: 'unpriced', agent: 'main', provider: 'work', model: 'gpt-8' });
  notices.tell({ kind: 'key-refused', agent: 'main', provider: 'work', model: null, status: 401 });
  assert.match(
    said[0] ?? '',
    /^report: main asked for "smart", which leads to "gpt-9" of work, which has no price: .*`holdfast models price`/,
  );
  assert.match(said[1] ?? '', /^report: main asked for "gpt-8" of work, which has no price/);
  assert.match(said[2] ?? '', /^error: work answered 401 to main/);
});
