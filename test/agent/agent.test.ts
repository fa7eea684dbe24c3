/** The built-in guest against the practice provider, a real MCP server and the openai package. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import OpenAI from 'openai';
import { createAgent } from '../../appliance/agent/server.ts';
import { createProvider, type Provider } from '../provider/provider.ts';
import { openToolsDoor, type Shell, type ToolsDoor } from './toolsdoor.ts';

type Served = { url: string; close(): Promise<void> };

async function serve(server: ReturnType<typeof createServer>): Promise<Served> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** An agent of one test; it ends with it. */
async function agentFor(t: TestContext, baseUrl: string, toolsUrl: string, name?: string): Promise<Served> {
  const agent = await agentOf(baseUrl, toolsUrl, name);
  t.after(agent.close);
  return agent;
}

const agentOf = (baseUrl: string, toolsUrl: string, name = 'practice'): Promise<Served> =>
  serve(
    createAgent({
      agent: 'main',
      instructions: 'Be brief.',
      model: { baseUrl: `${baseUrl}/v1`, key: 'placeholder', name },
      toolsUrl,
    }),
  );

/** Where nothing listens: a port that was free a moment ago. */
let nowhere = '';

const ask = (url: string, text: string, stream = true, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'x', stream, messages: [{ role: 'user', content: text }] }),
    ...(signal ? { signal } : {}),
  });

/** The data of all events, in order. */
const eventsOf = (body: string): string[] =>
  body
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice(6));

const textOf = (body: string): string =>
  eventsOf(body)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data).choices?.[0]?.delta?.content ?? '')
    .join('');

describe('the built-in agent', () => {
  let provider: Provider;
  let tools: ToolsDoor;
  let agent: Served;
  let shell: Shell;

  before(async () => {
    const gone = await serve(createServer());
    await gone.close();
    nowhere = gone.url;
    provider = await createProvider();
    tools = await openToolsDoor((command, call) => shell(command, call));
    agent = await agentOf(provider.url, tools.url);
  });
  beforeEach(() => {
    shell = async (command) => `ran ${command}`;
    tools.calls.length = 0;
    provider.requests.length = 0;
  });
  after(async () => {
    await agent.close();
    await tools.close();
    await provider.close();
  });

  it('answers the openai package as the model streams', async () => {
    const client = new OpenAI({ baseURL: `${agent.url}/v1`, apiKey: 'any', maxRetries: 0 });
    const stream = await client.chat.completions.create({
      model: 'main',
      stream: true,
      messages: [{ role: 'user', content: 'hello there' }],
    });
    const pieces: string[] = [];
    for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content ?? '');
    assert.equal(pieces.join(''), 'You said: hello there');
    assert.ok(pieces.filter(Boolean).length > 1, 'in more than one piece');
  });

  it('answers the openai package without streaming', async () => {
    const client = new OpenAI({ baseURL: `${agent.url}/v1`, apiKey: 'any', maxRetries: 0 });
    const answer = await client.chat.completions.create({
      model: 'main',
      messages: [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'One.' },
        { role: 'user', content: [{ type: 'text', text: 'two' }] },
      ],
    });
    assert.equal(answer.choices[0]?.message.content, 'You said: two');
    assert.equal(answer.choices[0]?.finish_reason, 'stop');
  });

  it('sends one system message with its own words and the instructions of the operator', async () => {
    await (await ask(agent.url, 'hello')).text();
    const body = JSON.parse(provider.requests.at(-1)?.body ?? '');
    const systems = body.messages.filter((each: { role: string }) => each.role === 'system');
    assert.equal(systems.length, 1);
    assert.match(systems[0].content, /You are main/);
    assert.match(systems[0].content, /Be brief\./);
    assert.equal(body.tools[0].function.name, 'shell');
  });

  it('runs the tool that the model calls and gives it the result', async () => {
    const body = await (await ask(agent.url, 'run: uname -a')).text();
    assert.deepEqual(tools.calls, ['uname -a']);
    assert.match(textOf(body), /The tool answered:\n> ran uname -a/);
    assert.equal(eventsOf(body).at(-1), '[DONE]');
  });

  it('lives through a tool that takes longer than the quiet time, as long as there is progress', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
    shell = async (command, call) => {
      for (let step = 0; step < 9; step += 1) {
        await call.progress('waiting for approval');
        // The client must have read it before the clock goes on.
        await new Promise((resolve) => setImmediate(resolve));
        await wait(20);
        t.mock.timers.tick(10_000);
      }
      return `late ${command}`;
    };
    const body = await (await ask(agent.url, 'run: sleep')).text();
    assert.match(textOf(body), /late sleep/);
    assert.match(body, /: at work/, 'and says meanwhile that it works');
  });

  it('tells the model about a tool that failed, and goes on', async () => {
    shell = async () => {
      throw new Error('refused by the operator');
    };
    const body = await (await ask(agent.url, 'run: rm -rf /')).text();
    assert.match(textOf(body), /refused by the operator/);
    assert.equal(eventsOf(body).at(-1), '[DONE]');
  });

  it('stops the model when the caller goes away', async (t) => {
    const slow = await agentFor(t, provider.url, nowhere, 'practice-slow');
    const gone = new AbortController();
    const response = await ask(slow.url, 'a b c d e f g h i j k l m n o p', true, gone.signal);
    await response.body?.getReader().read();
    gone.abort();
    await until(() => provider.requests.at(-1)?.goneAt !== undefined);
  });

  it('cancels the tool call when the caller goes away', async () => {
    let cancelled = false;
    shell = async (_command, { signal }) => {
      if (!signal.aborted) await once(signal, 'abort');
      cancelled = true;
      return '';
    };
    const gone = new AbortController();
    ask(agent.url, 'run: sleep 100', true, gone.signal).catch(() => {});
    await until(() => tools.calls.length === 1);
    gone.abort();
    await until(() => cancelled);
  });

  it('answers without tools when their door is closed, and tells the model that it has none', async (t) => {
    const alone = await agentFor(t, provider.url, nowhere);
    const body = await (await ask(alone.url, 'hello')).text();
    assert.equal(textOf(body), 'You said: hello');
    const sent = JSON.parse(provider.requests.at(-1)?.body ?? '');
    assert.equal(sent.tools, undefined);
    assert.match(sent.messages[0].content, /You have no tools now: the tools door does not answer/);
  });

  it('gives a refusal of the model as an OpenAI error with the reason', async (t) => {
    const refusing = await serve(
      createServer((_, res) => {
        res.writeHead(503, { 'content-type': 'application/json' });
        res.end(
          JSON.stringify({
            error: { message: 'Holdfast (closed): every door is closed.', hint: 'It opens by itself.' },
          }),
        );
      }),
    );
    t.after(refusing.close);
    const here = await agentFor(t, refusing.url, nowhere);
    const response = await ask(here.url, 'hello');
    assert.equal(response.status, 503);
    const { error } = (await response.json()) as { error: { message: string; code: string } };
    assert.equal(error.message, 'Holdfast (closed): every door is closed. It opens by itself.');
    assert.equal(error.code, 'model-refused');
  });

  for (const [how, code] of [
    ['cut', 'model-cut'],
    ['error', 'model-error'],
    ['malformed', 'model-malformed'],
  ] as const) {
    it(`ends a stream of a model that is ${how} with an error and no false end`, async (t) => {
      const bad = await agentFor(t, provider.url, nowhere, `practice-${how}`);
      const response = await ask(bad.url, 'one two three four');
      const body = await response.text();
      // An error before the first word has a status of its own.
      const last = response.status === 200 ? eventsOf(body).at(-1) : body;
      assert.equal(JSON.parse(last ?? '').error.code, code);
      assert.doesNotMatch(body, /\[DONE\]/);
    });
  }

  it('says that the llm door does not answer', async (t) => {
    const alone = await agentFor(t, nowhere, nowhere);
    const response = await ask(alone.url, 'hello', false);
    assert.equal(response.status, 502);
    assert.match(await response.text(), /the llm door does not answer \(ECONNREFUSED\)/);
  });

  it('says that it has no model, before it asks anybody', async (t) => {
    const alone = await agentFor(t, provider.url, nowhere, '');
    const response = await ask(alone.url, 'hello');
    assert.equal(response.status, 503);
    assert.match(await response.text(), /agents\.main\.model/);
    assert.equal(provider.requests.length, 0);
  });

  it('ends a model that calls tools in circles after 16 rounds, and says so', async (t) => {
    let rounds = 0;
    const call: RequestListener = (req, res) => {
      req.resume();
      rounds += 1;
      const chunk = (delta: object, finish: string | null): string =>
        `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
      const fn = { name: 'shell', arguments: '{"command":"true"}' };
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      // No index and no [DONE], as some local servers have it.
      res.end(chunk({ tool_calls: [{ id: `c${rounds}`, function: fn }] }, null) + chunk({}, 'tool_calls'));
    };
    const circling = await serve(createServer(call));
    t.after(circling.close);
    const here = await agentFor(t, circling.url, tools.url);
    const body = await (await ask(here.url, 'go')).text();
    assert.equal(rounds, 16);
    assert.equal(tools.calls.length, 16);
    assert.match(textOf(body), /Stopped after 16 rounds/);
  });

  it('refuses garbage in words', async () => {
    const post = (body: string): Promise<Response> =>
      fetch(`${agent.url}/v1/chat/completions`, { method: 'POST', body });
    assert.equal((await post('{')).status, 400);
    assert.equal((await post('{"messages":[]}')).status, 400);
    assert.equal((await post('{"messages":[{"role":"tool","content":"x"}]}')).status, 400);
    assert.equal((await post('{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}')).status, 400);
    assert.equal((await fetch(`${agent.url}/v1/models`)).status, 404);
    assert.deepEqual(await (await fetch(`${agent.url}/health`)).json(), { ok: true, agent: 'main' });
  });
});

async function until(true_: () => boolean): Promise<void> {
  const end = Date.now() + 5_000;
  while (!true_()) {
    assert.ok(Date.now() < end, 'it did not come to pass within 5 s');
    await wait(10);
  }
}
