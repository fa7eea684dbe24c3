/** The launch socket: what the controller may ask of root, and what root does not take its word for. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parseConfig } from '../../appliance/config.ts';
import { serveLaunch } from '../../appliance/launcher/control.ts';
import type { House } from '../../appliance/launcher/house.ts';
import { Problem } from '../../appliance/problem.ts';
import type { Config } from '../../appliance/settings.ts';
import { call } from '../../appliance/socket.ts';

type Launch = { post(body: unknown): Promise<unknown>; applied: Config[]; written: string[] };

async function launch(t: TestContext): Promise<Launch> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-launch-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'launch/sock');
  const applied: Config[] = [];
  const written: string[] = [];
  const house = {
    apply: async (config: Config) => {
      applied.push(config);
      return { version: 'v', live: [], restarted: [] };
    },
  } as unknown as House;
  const server = await serveLaunch({
    path,
    gid: 0,
    root: false,
    instance: '00000000',
    house,
    status: () => ({}),
    config: () => ({}) as Config,
    configText: () => '',
    parse: async (text) => {
      const parsed = parseConfig(text, 'holdfast.yaml');
      if (!parsed.ok) throw new Problem('config', 422, 'it has mistakes', 'Mend them.');
      return parsed.config;
    },
    setConfig: (_config, text) => written.push(text),
    setKilled: () => {},
    killed: () => false,
  });
  t.after(() => server.close());
  return { post: (body) => call(path, 'POST /config', body), applied, written };
}

test('a controller in hostile hands cannot name a path or a uid to root: the launcher reads the text itself', async (t) => {
  const { post, applied, written } = await launch(t);
  const hostile = { uids: { base: -2 }, agents: { '../../../etc': {} } };
  await assert.rejects(post({ config: hostile }), { code: 'no-config' });
  await post({ config: hostile, text: 'agents: { main: {} }' });
  assert.deepEqual(Object.keys(applied[0]?.agents ?? {}), ['main']);
  assert.equal(applied[0]?.uids.base, undefined);
  for (const text of ['agents: { ../../../etc: {} }', 'uids: { base: -2 }', 'uids: { base: 0 }'])
    await assert.rejects(post({ text }), { code: 'config' }, text);
  assert.deepEqual([applied.length, written], [1, ['agents: { main: {} }']]);
});
