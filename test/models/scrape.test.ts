/** Prometheus text on a port: one path, and nothing for a page that only resolves to loopback. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createScrape } from '../../appliance/models/scrape.ts';

type Answer = { status: number; type: string | undefined; text: string };

async function given(t: TestContext, text: () => Promise<string> = async () => '# HELP x y\nx 1\n') {
  const server = createScrape({ type: 'text/plain; version=0.0.4; charset=utf-8', text });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    ask: (path: string, host: string = `127.0.0.1:${port}`, method = 'GET'): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const req = request(
          { host: '127.0.0.1', port, path, method, headers: { host }, agent: false },
          (res) => {
            let body = '';
            res.setEncoding('utf8').on('data', (part: string) => {
              body += part;
            });
            res.on('end', () =>
              resolve({ status: res.statusCode ?? 0, type: res.headers['content-type'], text: body }),
            );
          },
        );
        req.on('error', reject).end();
      }),
  };
}

test('GET /metrics answers the text with its type, and every other path and method says which one is here', async (t) => {
  const { ask } = await given(t);
  assert.deepEqual(await ask('/metrics'), {
    status: 200,
    type: 'text/plain; version=0.0.4; charset=utf-8',
    text: '# HELP x y\nx 1\n',
  });
  for (const [path, method] of [
    ['/', 'GET'],
    ['/metrics/', 'GET'],
    ['/metrics?x=1', 'GET'],
    ['//metrics', 'GET'],
    ['/metrics', 'POST'],
    ['/metrics', 'DELETE'],
    ['/standing', 'GET'],
    ['http://127.0.0.1/metrics', 'GET'],
  ] as const) {
    const { status, text } = await ask(path, undefined, method);
    assert.deepEqual([status, text], [404, 'Only GET /metrics is here.\n'], `${method} ${path}`);
  }
});

test('another Host is refused: a page of somebody else’s whose name resolves to 127.0.0.1 reads nothing', async (t) => {
  const { ask, port } = await given(t);
  for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'localhost', '127.0.0.1'])
    assert.equal((await ask('/metrics', host)).status, 200, host);
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    'evil.localhost',
    '127.0.0.10',
    '127.0.0.1:x',
    'localhost@evil.example',
    '[::1]',
  ]) {
    const answer = await ask('/metrics', host);
    assert.equal(answer.status, 421, host);
    assert.doesNotMatch(answer.text, /x 1/);
  }
});

test('a fault while gathering is a 500 in words, and the next question is answered', async (t) => {
  let fails = true;
  const { ask } = await given(t, async () => {
    if (fails) throw new Error('a path of ours: /root/secret');
    return 'x 2\n';
  });
  const { status, text } = await ask('/metrics');
  assert.deepEqual([status, text], [500, 'The numbers could not be gathered.\n']);
  fails = false;
  assert.equal((await ask('/metrics')).text, 'x 2\n');
});
