/** The `models` socket: what the operator's CLI and the controller ask of the llm process, over a real socket. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type ControlParts, controlRoutes } from '../../appliance/models/control.ts';
import { Problem } from '../../appliance/problem.ts';
import { call, serve, stream } from '../../appliance/socket.ts';
import { deny } from '../../proxies/llm/denial.ts';
import { until } from '../world/appliance.ts';

async function given(t: TestContext, change: Partial<ControlParts>): Promise<string> {
  const unasked = (): never => assert.fail('nobody asks for it');
  const folder = mkdtempSync(join(tmpdir(), 'hf-control-'));
  const path = join(folder, 's');
  const server = await serve(
    { path },
    controlRoutes({
      standing: unasked,
      metrics: unasked,
      beginLogin: unasked,
      nodes: unasked,
      pull: unasked,
      ...change,
    }),
  );
  t.after(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return path;
}

const code = {
  verificationUri: 'https://a.example/device',
  userCode: 'WDJB-MJHT',
  expiresAt: '2026-11-21T12:00:00Z',
};

async function linesOf(lines: AsyncIterable<unknown>): Promise<{ lines: unknown[]; problem?: Problem }> {
  const seen: unknown[] = [];
  try {
    for await (const line of lines) seen.push(line);
  } catch (error) {
    assert.ok(error instanceof Problem, String(error));
    return { lines: seen, problem: error };
  }
  return { lines: seen };
}

test('what is not understood is refused by name, and nothing is begun', async (t) => {
  const path = await given(t, {});
  const bad: [string, unknown, RegExp][] = [
    ['POST /login', {}, /provider/],
    ['POST /login', undefined, /./],
    ['POST /login', { provider: '' }, /provider/],
    ['POST /login', { provider: 'x'.repeat(71) }, /provider/],
    ['POST /login', { provider: 'plan', more: 1 }, /more/],
    ['POST /pull', { provider: 'pi' }, /model/],
    ['POST /pull', { provider: 'pi', model: 'm', insecure: true }, /insecure/],
    ['POST /pull', { provider: 'pi', model: 'm'.repeat(201) }, /model/],
  ];
  for (const [route, body, hint] of bad)
    await assert.rejects(
      call(path, route, body),
      { code: 'bad-request', hint },
      `${route} ${JSON.stringify(body)}`,
    );
  for (const route of ['GET /login', 'POST /standing', 'GET /keys', 'DELETE /login'])
    await assert.rejects(call(path, route), { code: 'no-route' });
});

test('a login says its code first and ends with done, or with the reason', async (t) => {
  const ways = {
    plan: Promise.resolve(),
    other: Promise.reject(new Problem('login-not-granted', 502, 'the person said no', 'Again.')),
  };
  ways.other.catch(() => {});
  const path = await given(t, {
    async beginLogin(provider) {
      if (!(provider in ways)) throw new Problem('no-provider', 404, `there is no provider ${provider}`, '');
      return { ...code, done: ways[provider as keyof typeof ways] };
    },
  });
  const login = (provider: string) => linesOf(stream(path, 'POST /login', { provider }));
  assert.deepEqual(await login('plan'), { lines: [{ event: 'code', ...code }, { event: 'done' }] });
  const refused = await login('other');
  assert.deepEqual(refused.lines, [{ event: 'code', ...code }]);
  assert.deepEqual(
    [refused.problem?.code, refused.problem?.message],
    ['login-not-granted', 'the person said no'],
  );
  assert.equal((await login('nobody')).problem?.code, 'no-provider');
});

test('who leaves during a login does not end the process, nor the login', async (t) => {
  const done = Promise.withResolvers<void>();
  const path = await given(t, { beginLogin: async () => ({ ...code, done: done.promise }) });
  for await (const line of stream(path, 'POST /login', { provider: 'plan' })) {
    assert.deepEqual(line, { event: 'code', ...code });
    break;
  }
  done.reject(new Problem('login-not-in-time', 408, 'too late', ''));
  await new Promise((resolve) => setTimeout(resolve, 50));
  await assert.rejects(call(path, 'GET /nowhere'), { code: 'no-route' }, 'it answers');
});

test('a pull tells its progress; what the node does wrong is told in its own words; who leaves stops it', async (t) => {
  let stopped = false;
  const path = await given(t, {
    async *pull(_, model, signal) {
      yield { status: 'pulling manifest', completedBytes: 0, totalBytes: 0 };
      if (model === 'gone') {
        const denial = deny(502, 'node-refused', 'pi says: file does not exist', 'Look at its name.');
        throw Object.assign(new Error('as route/pull.ts throws it'), { denial });
      }
      if (model !== 'long') return;
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      stopped = true;
    },
  });
  const pull = (model: string) => stream(path, 'POST /pull', { provider: 'pi', model });
  assert.equal((await linesOf(pull('m'))).lines.length, 1);
  const { problem } = await linesOf(pull('gone'));
  assert.deepEqual([problem?.code, problem?.message], ['node-refused', 'pi says: file does not exist']);
  for await (const _ of pull('long')) break;
  await until(() => stopped, 2000);
});
