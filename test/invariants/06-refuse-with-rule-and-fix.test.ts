/** Invariant 6: unknown, unparsable, unreachable or out of budget means refuse, with an answer that names the rule and how to allow it. Asked at every door of a real appliance. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { allRun, appliance, inWorld, until } from '../world/appliance.ts';

const llm = 'http://127.0.0.1:9090';
const proxy = ['--proxy', 'http://127.0.0.1:3128'];
const json = ['-H', 'content-type: application/json'];

test('every door refuses what it does not know, in words that say what to do', async (t) => {
  const upstream = createServer((_req, res) => res.end('reached'));
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => upstream.close());
  const { port } = upstream.address() as { port: number };
  const a = await appliance(t, {
    config: `providers: { gone: { kind: openai, baseUrl: "http://127.0.0.1:9", price: { free: true } } }
agents:
  main:
    model: { provider: gone, name: m }
    egress: [ { host: 127.0.0.1, ports: [${port}], why: the control of this test } ]
`,
  });
  await until(() => allRun(a), 30_000, a.output);
  const curl = async (...args: string[]): Promise<{ status: number; body: string }> => {
    const { stdout } = await inWorld(a, 'main', 'curl', [
      '-s',
      '-m',
      '10',
      '-w',
      '\n%{http_code} %{http_connect}',
      ...args,
    ]);
    const [codes = ''] = stdout.split('\n').slice(-1);
    const [status = 0, connect = 0] = codes.split(' ').map(Number);
    return { status: status || connect, body: stdout.slice(0, stdout.lastIndexOf('\n')) };
  };

  const control = await curl(...proxy, `http://127.0.0.1:${port}/`);
  assert.deepEqual(control, { status: 200, body: 'reached' }, 'control: what a rule allows passes');

  const cases: { what: string; ask: string[]; status: number[]; says: RegExp }[] = [
    {
      what: 'egress: unknown name',
      ask: [...proxy, 'http://unknown.example/'],
      status: [403],
      says: /unknown\.example[\s\S]*egress/,
    },
    { what: 'egress: unlisted port', ask: [...proxy, 'http://127.0.0.1:1/'], status: [403], says: /egress/ },
    {
      what: 'egress: unparsable host',
      ask: [...proxy, '--request-target', 'http://a..b%00/', 'http://x/'],
      status: [400, 403],
      says: /host|address|request/i,
    },
    { what: 'llm: unknown path', ask: [`${llm}/v1/files`], status: [403, 404], says: /files|path/i },
    {
      what: 'llm: unparsable body',
      ask: [...json, '-d', '{"model":', `${llm}/v1/chat/completions`],
      status: [400, 403],
      says: /JSON/i,
    },
    {
      what: 'llm: unreachable provider',
      ask: [
        ...json,
        '-d',
        '{"model":"m","messages":[{"role":"user","content":"x"}]}',
        `${llm}/v1/chat/completions`,
      ],
      status: [502],
      says: /gone[\s\S]*127\.0\.0\.1:9/,
    },
    {
      what: 'llm: a provider-executed tool',
      ask: [
        ...json,
        '-d',
        '{"model":"m","messages":[],"web_search_options":{}}',
        `${llm}/v1/chat/completions`,
      ],
      status: [400, 403],
      says: /web_search_options/,
    },
    {
      what: 'tools: garbage',
      ask: [
        ...json,
        '-H',
        'accept: application/json, text/event-stream',
        '-d',
        'not json',
        'http://127.0.0.1:9091/mcp',
      ],
      status: [400],
      says: /JSON|parse/i,
    },
    {
      what: 'tools: another method',
      ask: ['-X', 'TRACE', 'http://127.0.0.1:9091/mcp'],
      status: [405],
      says: /POST/,
    },
    {
      what: 'tools: a path that no parser likes',
      ask: ['--path-as-is', 'http://127.0.0.1:9091//'],
      status: [404],
      says: /mcp/i,
    },
    { what: 'tools: unknown path', ask: ['http://127.0.0.1:9091/elsewhere'], status: [404], says: /mcp/i },
  ];
  for (const { what, ask, status, says } of cases) {
    const answer = await curl(...ask);
    assert.ok(status.includes(answer.status), `${what}: ${answer.status} ${answer.body}`);
    assert.match(answer.body, says, what);
  }
  const connect = await inWorld(a, 'main', 'curl', ['-sv', '-m', '10', ...proxy, 'https://unknown.example/']);
  assert.match(connect.stderr, /403/, 'CONNECT is refused with an answer, not with silence');
  const name = await inWorld(a, 'main', 'curl', [
    '-s',
    '-m',
    '10',
    '--noproxy',
    '*',
    'https://unknown.example/',
  ]);
  assert.equal(
    name.code === 6 || name.code === 7,
    true,
    `a client without a proxy fails to resolve: ${name.code}`,
  );
});
