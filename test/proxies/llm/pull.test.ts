/** Listing and pulling the models of an Ollama node, against servers that behave and that do not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { Provider } from '../../../proxies/llm/kinds/kind.ts';
import { NodeFault } from '../../../proxies/llm/route/nodeclient.ts';
import { createPulls, type Progress } from '../../../proxies/llm/route/pull.ts';
import { handLease } from './handclock.ts';

type Serve = (req: IncomingMessage, res: ServerResponse, body: string) => void;

async function node(t: TestContext, serve: Serve, path = '') {
  const seen: {
    path: string;
    body: string;
    headers: IncomingMessage['headers'];
    closed: Promise<unknown>;
  }[] = [];
  const server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    seen.push({ path: req.url ?? '', body, headers: req.headers, closed: once(res, 'close') });
    serve(req, res, body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const lease = handLease();
  const pulls = createPulls({ armed: lease });
  t.after(() => {
    pulls.close();
    server.close();
    server.closeAllConnections();
  });
  const provider: Provider = { name: 'pi', kind: 'ollama', baseUrl: `http://127.0.0.1:${port}${path}` };
  return { provider, seen, lease, pulls };
}

const never = new AbortController().signal;

async function all(steps: AsyncIterable<Progress>): Promise<Progress[]> {
  const seen: Progress[] = [];
  for await (const step of steps) seen.push(step);
  return seen;
}

const faultOf = async (pulling: Promise<unknown>) => {
  const error = await pulling.then(
    () => assert.fail('it went well'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof NodeFault, String(error));
  return error.denial;
};

test('lists what a node holds, below whatever path it stands', async (t) => {
  const models = [
    {
      name: 'llama3.2:3b',
      size: 2_019_393_189,
      modified_at: '2026-11-01T10:00:00Z',
      details: { parameter_size: '3.2B', quantization_level: 'Q4_K_M' },
    },
    { name: 'evil\u202e\n\u001b[31m', size: -1, modified_at: 7, details: null },
  ];
  for (const path of ['', '/', '/v1', '/behind/']) {
    const { provider, seen, pulls } = await node(t, (_req, res) => res.end(JSON.stringify({ models })), path);
    assert.deepEqual(await pulls.list(provider), [
      {
        name: 'llama3.2:3b',
        bytes: 2_019_393_189,
        modifiedAt: '2026-11-01T10:00:00Z',
        parameters: '3.2B',
        quantization: 'Q4_K_M',
      },
      { name: 'evil???[31m', bytes: 0, modifiedAt: '', parameters: '', quantization: '' },
    ]);
    assert.equal(seen[0]?.path, path === '/behind/' ? '/behind/api/tags' : '/api/tags');
    assert.equal(seen[0]?.headers['user-agent'], 'holdfast');
    assert.equal(seen[0]?.headers.authorization, undefined);
  }
});

test('pulls with progress, however the lines are cut', async (t) => {
  const lines = [
    '{"status":"pulling manifest"}',
    '{"status":"pulling 6a0746a1ec1a","digest":"sha256:6a","total":2000,"completed":500}',
    '{"status":"pulling é","digest":"sha256:6a","total":2000,"completed":2000}\n',
    '{"status":"success"}',
  ].join('\n');
  const { provider, seen, pulls } = await node(t, async (_req, res) => {
    for (const byte of Buffer.from(lines)) {
      res.write(Buffer.of(byte));
      if (byte % 7 === 0) await new Promise(setImmediate);
    }
    res.end();
  });
  assert.deepEqual(await all(pulls.pull(provider, 'llama3.2:3b', never)), [
    { status: 'pulling manifest', completedBytes: 0, totalBytes: 0 },
    { status: 'pulling 6a0746a1ec1a', completedBytes: 500, totalBytes: 2000 },
    { status: 'pulling é', completedBytes: 2000, totalBytes: 2000 },
    { status: 'success', completedBytes: 0, totalBytes: 0 },
  ]);
  assert.equal(seen[0]?.path, '/api/pull');
  assert.deepEqual(JSON.parse(seen[0]?.body ?? ''), { name: 'llama3.2:3b', stream: true });
});

test('aborting, leaving and losing the lease each stop the node', async (t) => {
  const { provider, seen, lease, pulls } = await node(t, (_req, res) => {
    res.write('{"status":"pulling manifest"}\n');
  });
  const stop = new AbortController();
  const aborted = pulls.pull(provider, 'a', stop.signal);
  assert.equal((await aborted.next()).value?.status, 'pulling manifest');
  stop.abort();
  assert.equal((await faultOf(aborted.next())).rule, 'stopped');
  await seen[0]?.closed;

  for await (const step of pulls.pull(provider, 'b', never)) {
    assert.equal(step.status, 'pulling manifest');
    break;
  }
  await seen[1]?.closed;

  const cut = pulls.pull(provider, 'c', never);
  await cut.next();
  lease.lose();
  assert.equal((await faultOf(cut.next())).rule, 'closed');
  await seen[2]?.closed;
  assert.equal((await faultOf(pulls.pull(provider, 'd', never).next())).rule, 'closed');
  const listed = await pulls.list(provider);
  assert.ok('allow' in listed && listed.rule === 'closed');
  assert.equal(seen.length, 3, 'nothing left without a lease');
});

test('a redirect is refused and leads nowhere', async (t) => {
  let reached = false;
  const other = await node(t, (_req, res) => {
    reached = true;
    res.end('{"models":[]}');
  });
  const { provider, pulls } = await node(t, (req, res) => {
    res.writeHead(307, { location: `${other.provider.baseUrl}${req.url}` }).end();
  });
  const listed = await pulls.list(provider);
  assert.ok('allow' in listed && listed.rule === 'node-fault', JSON.stringify(listed));
  assert.equal((await faultOf(all(pulls.pull(provider, 'a', never)))).rule, 'node-fault');
  assert.equal(reached, false);
});

test('what a node says wrongly is a short sentence, and never fills the memory', async (t) => {
  const says = async (serve: Serve): Promise<string> => {
    const { provider, pulls } = await node(t, serve);
    const { rule, reason } = await faultOf(all(pulls.pull(provider, 'a', never)));
    assert.ok(reason.length < 500, reason);
    return `${rule}: ${reason.replace(/http:\S+/, 'URL')}`;
  };
  const endless: Serve = (_req, res) => {
    const more = (): void => {
      while (!res.destroyed && res.write('x'.repeat(16_384)));
    };
    res.on('drain', more);
    more();
  };
  assert.equal(await says(endless), 'node-fault: pi at URL did not do it (a line has no end)');
  assert.equal(
    await says((_req, res) => res.end('[1]\n')),
    'node-fault: pi at URL did not do it (a line is no JSON object)',
  );
  assert.equal(
    await says((_req, res) => res.end('null')),
    'node-fault: pi at URL did not do it (a line is no JSON object)',
  );
  assert.equal(
    await says((_req, res) => res.end('{"status":"pulling"}\n')),
    'node-fault: pi at URL did not do it (it broke off)',
  );
  assert.equal(
    await says((_req, res) => res.end(`{"status":"a"}\n{"error":"no\\u001b[2J such ${'y'.repeat(9000)}"}\n`)),
    `node-refused: pi said no (200): ${JSON.stringify(`no?[2J such ${'y'.repeat(108)}…`)}`,
  );
  assert.equal(
    await says((_req, res) => res.writeHead(404, { 'content-type': 'text/html' }).end('<html>'.repeat(9000))),
    'node-refused: pi said no (404): "nothing more"',
  );
  const { provider, pulls } = await node(t, endless);
  const listed = await pulls.list(provider);
  assert.ok('allow' in listed);
  assert.match(listed.reason, /its list is too long/);
});

test('a cut connection and a closed port are said as what they are', async (t) => {
  const { provider, pulls } = await node(t, (_req, res) => {
    res.write('{"status":"pulling"}\n');
    setImmediate(() => res.destroy());
  });
  assert.equal((await faultOf(all(pulls.pull(provider, 'a', never)))).rule, 'node-fault');
  const gone = createServer().listen(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address() as AddressInfo;
  gone.close();
  const closed = await pulls.list({ ...provider, baseUrl: `http://127.0.0.1:${port}` });
  assert.ok('allow' in closed);
  assert.match(closed.reason, /ECONNREFUSED/);
});

test('other kinds, cloud models and names that are none are refused before anything leaves', async (t) => {
  const { provider, seen, pulls } = await node(t, (_req, res) => res.end());
  const listed = await pulls.list({ ...provider, kind: 'openai' });
  assert.ok('allow' in listed && listed.rule === 'not-ollama');
  for (const [model, rule] of [
    ['gpt-oss:120b-cloud', 'bad-model-name'],
    ['', 'bad-model-name'],
    ['a b', 'bad-model-name'],
    ['-rf', 'bad-model-name'],
    ['a\u0000', 'bad-model-name'],
    ['a'.repeat(201), 'bad-model-name'],
  ] as const) {
    assert.equal((await faultOf(pulls.pull(provider, model, never).next())).rule, rule, model);
  }
  assert.equal(
    (await faultOf(pulls.pull({ ...provider, kind: 'openai' }, 'a', never).next())).rule,
    'not-ollama',
  );
  assert.equal(seen.length, 0);
});
