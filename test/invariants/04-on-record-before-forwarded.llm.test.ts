/** Invariant 4, model calls: a request is on record, durably, before it is forwarded; if it cannot be recorded it is refused. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifyLedger } from '../../proxies/ledger/chain.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import type { KindName } from '../../proxies/llm/kinds/kind.ts';
import { chatBody, type Line, post, startBoth, until } from '../proxies/llm/rig.ts';

const paths: [KindName, string][] = [
  ['openai', '/v1/chat/completions'],
  ['anthropic', '/v1/messages'],
  ['ollama', '/api/chat'],
];

test('nothing reaches the provider until the record has resolved', async (t) => {
  for (const [kind, path] of paths) {
    let recorded: (() => void) | undefined;
    const record = (line: Line): Promise<void> =>
      new Promise((resolve) => {
        if (line.kind === 'request') recorded = resolve;
        else resolve();
      });
    const { provider, rig } = await startBoth(t, kind, { record });
    const body = JSON.stringify(chatBody('hello', kind === 'ollama' ? { stream: false } : { max_tokens: 5 }));
    const answer = post(rig.url + path, body);
    await until(() => recorded !== undefined);
    await new Promise((done) => setTimeout(done, 50));
    assert.equal(provider.requests.length, 0);
    recorded?.();
    assert.equal((await answer).status, 200);
    const line = await rig.line('request');
    assert.equal(line.bytes, body.length);
    assert.equal(rebuilt(line, rig.blobs), body, 'the whole of what was asked is on record');
    assert.deepEqual(
      [line.agent, line.door, line.provider, line.model, line.method, line.path],
      ['main', 'llm', kind, 'practice', 'POST', path],
    );
    const outcome = await rig.line('outcome');
    assert.equal(outcome.id, line.id);
    assert.equal(outcome.status, 200);
    assert.equal(outcome.bytesOut, (provider.requests[0]?.body ?? '').length);
    assert.ok(Number(outcome.ms) >= Number(outcome.firstByteMs));
  }
});

/** The frame with its parts in their places. */
function rebuilt(line: Line, blobs: readonly Line[]): string {
  const { parts, frame } = line.body as { parts: string[]; frame: string };
  const found = parts.map((ref) => JSON.stringify(blobs.find(({ sha256 }) => sha256 === ref)?.json));
  // Between two marks stands the number of a part.
  return frame
    .split('\u0001')
    .map((piece, at) => (at % 2 === 1 ? found[Number(piece)] : piece))
    .join('');
}

test('a list of models is on record too', async (t) => {
  const { rig } = await startBoth(t);
  assert.equal((await fetch(`${rig.url}/v1/models`)).status, 200);
  assert.equal((await rig.line('request')).path, '/v1/models');
});

test('when the record fails the request is refused, and nothing reached the provider', async (t) => {
  for (const [kind, path] of paths) {
    const record = (): Promise<never> =>
      Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }));
    const { provider, rig } = await startBoth(t, kind, { record });
    const answer = await post(
      rig.url + path,
      chatBody('hello', kind === 'anthropic' ? { max_tokens: 5 } : {}),
    );
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get('x-should-retry'), 'false');
    assert.match(await answer.text(), /not-recorded.*Free space/);
    assert.equal(provider.requests.length, 0);
    assert.match(rig.logged.join(), /a request could not be recorded.*ENOSPC/);
  }
});

test('the real ledger holds each request with its outcome, chained', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-llm-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'traffic.jsonl');
  await writeFile(path, '');
  const ledger = await openLedger({ path });
  const { provider, rig } = await startBoth(t, 'openai', { record: (line) => ledger.append(line) });
  await Promise.all([1, 2, 3].map((n) => post(`${rig.url}/v1/chat/completions`, chatBody(`hello ${n}`))));
  await post(`${rig.url}/v1/files`, {});
  await rig.line('outcome', 3);
  await rig.line('refusal');
  await ledger.close();
  const lines = (await readFile(path, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  assert.equal(lines.length, 7);
  assert.equal(provider.requests.length, 3);
  for (const request of lines.filter((line) => line.kind === 'request')) {
    const outcome = lines.find((line) => line.kind === 'outcome' && line.id === request.id);
    assert.ok(outcome && Number(outcome.seq) > Number(request.seq));
  }
  const verified = await verifyLedger(path);
  assert.equal(verified.ok && verified.count, 7);
  const after = await post(`${rig.url}/v1/chat/completions`, chatBody('too late'));
  assert.equal(after.status, 503, 'a closed ledger records nothing, so nothing is forwarded');
  assert.equal(provider.requests.length, 3);
});
