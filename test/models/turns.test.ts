/** The open turn of each agent, as the gateway tells it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createOpenTurns } from '../../appliance/models/turns.ts';
import { call, serve } from '../../appliance/socket.ts';

test('a turn is open from its beginning to its end, for agents that there are', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hf-turns-'));
  const turns = createOpenTurns(() => ['main', 'scout']);
  const path = join(folder, 's');
  const server = await serve({ path }, turns.routes);
  t.after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  const tell = (body: unknown): Promise<unknown> => call(path, 'POST /turn', body);
  assert.equal(turns.of('main'), null);
  await tell({ agent: 'main', turn: 'a-1' });
  await tell({ agent: 'scout', turn: 'b-1' });
  assert.deepEqual([turns.of('main'), turns.of('scout')], ['a-1', 'b-1']);
  await tell({ agent: 'main', turn: 'a-2' });
  await tell({ agent: 'scout', turn: null });
  assert.deepEqual([turns.of('main'), turns.of('scout'), turns.of('__proto__')], ['a-2', null, null]);
  await assert.rejects(tell({ agent: 'nobody', turn: 'x' }), { code: 'no-agent' });
  for (const body of [
    {},
    { agent: 'main' },
    { agent: 'main', turn: '' },
    { agent: 'main', turn: 'a b' },
    { agent: 'main', turn: 'x'.repeat(65) },
    { agent: '../x', turn: 'x' },
    { agent: 'main', turn: 'x', more: 1 },
  ]) {
    await assert.rejects(tell(body), { code: 'bad-turn' }, JSON.stringify(body));
  }
  assert.equal(turns.of('main'), 'a-2');
});
