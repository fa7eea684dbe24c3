/** The tools door with the two official clients, unmodified: the newer protocol without sessions, the older with. Real broker, real containers; a person who answers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import {
  Client as NewClient,
  StreamableHTTPClientTransport as NewTransport,
} from '@modelcontextprotocol/client';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Problem } from '../../appliance/problem.ts';
import { call, stream } from '../../appliance/socket.ts';
import type { Answer } from '../../sandbox/answer.ts';
import type { Profile } from '../../sandbox/broker.ts';
import type { RunEvent } from '../../sandbox/docker.ts';
import { createCalls } from '../../sandbox/mcp/calls.ts';
import { createToolsDoor } from '../../sandbox/mcp/door.ts';
import { createShell } from '../../sandbox/shell.ts';
import { type Stand, stand, until } from './stand.ts';

let here: Stand;
let realPort = 0;
let quick: Server;
let quickPort = 0;
let state: 'armed' | 'killed' = 'armed';
const lost = new Set<() => void>();

before(async () => {
  here = await stand();
  await here.startBroker();
  realPort = (await here.startTools()).ports[0] ?? 0;
  // The same door with short waits, so that nobody sits here for 50 s. Otherwise it is what processes/tools.ts makes.
  quick = openQuickDoor();
  await once(quick.listen(0, '127.0.0.1'), 'listening');
  quickPort = (quick.address() as AddressInfo).port;
});
after(async () => {
  quick.close();
  quick.closeAllConnections();
  await here.close();
});

let nonces = 0;
function openQuickDoor(): Server {
  const armed = {
    now: () => state === 'armed',
    state: () => state,
    onLost: (f: () => void) => {
      lost.add(f);
      return () => lost.delete(f);
    },
  };
  const shell = createShell({
    ask: {
      open: async (ask) =>
        (await call(here.socket('ask'), 'POST /approvals', ask)) as { id: string; expiresAt: string },
      wait: async (id, waitMs, signal) =>
        (await call(here.socket('ask'), `GET /approvals/${id}?waitMs=${waitMs}`, undefined, {
          signal,
        })) as Answer,
      withdraw: async (id, why) => void (await call(here.socket('ask'), `DELETE /approvals/${id}`, { why })),
    },
    broker: {
      profile: async () => (await call(here.socket('broker'), 'GET /profile')) as Profile,
      run: (job, approval, signal) =>
        stream(here.socket('broker'), 'POST /run', { job, approval }, { signal }) as AsyncIterable<RunEvent>,
    },
    record: async () => {},
    armed,
    limits: () => ({ waitSeconds: 30, timeoutSeconds: 20 }),
    explain: (error) =>
      error instanceof Problem
        ? { allow: false, rule: error.code, reason: error.message, hint: error.hint }
        : undefined,
    report: () => {},
    now: Date.now,
    nonce: () => (0xabc000 + nonces++).toString(16).padStart(32, '0'),
  });
  const waits = { progressMs: 50, answerMs: 200, lingerMs: 1000 };
  const calls = createCalls({ agent: 'main', shell, report: () => {}, now: Date.now, waits });
  return createToolsDoor({ calls, armed, report: () => {} });
}

type Result = { text: string; isError: boolean };
type Options = { signal?: AbortSignal; onProgress?: (message: string) => void };
type AnyClient = {
  call(name: string, args: object, options?: Options): Promise<Result>;
  names(): Promise<string[]>;
  close(): Promise<void>;
};

const resultOf = (result: unknown): Result => {
  const { content, isError } = result as { content: { text: string }[]; isError?: boolean };
  return { text: content.map(({ text }) => text).join(''), isError: isError ?? false };
};
const requestOptions = ({ signal, onProgress }: Options) => ({
  ...(signal ? { signal } : {}),
  ...(onProgress
    ? { onprogress: ({ message }: { message?: string | undefined }) => onProgress(message ?? '') }
    : {}),
});
const url = (port: number): URL => new URL(`http://127.0.0.1:${port}/mcp`);

const eras: { era: string; open: (port: number) => Promise<AnyClient> }[] = [
  {
    era: 'the newer era (client 2.4.0)',
    open: async (port) => {
      const client = new NewClient({ name: 'test', version: '1' }, { versionNegotiation: { mode: 'auto' } });
      await client.connect(new NewTransport(url(port)));
      assert.equal(client.getNegotiatedProtocolVersion(), '2026-07-28');
      return {
        call: async (name, args, options = {}) =>
          resultOf(await client.callTool({ name, arguments: { ...args } }, requestOptions(options))),
        names: async () => (await client.listTools()).tools.map((tool) => tool.name),
        close: () => client.close(),
      };
    },
  },
  {
    era: 'the older era (sdk 1.32.2)',
    open: async (port) => {
      const client = new OldClient({ name: 'test', version: '1' });
      const transport = new OldTransport(url(port));
      // Its own types disagree under exactOptionalPropertyTypes.
      await client.connect(transport as Parameters<typeof client.connect>[0]);
      assert.notEqual(transport.sessionId, undefined);
      return {
        call: async (name, args, options = {}) =>
          resultOf(
            await client.callTool({ name, arguments: { ...args } }, undefined, requestOptions(options)),
          ),
        names: async () => (await client.listTools()).tools.map((tool) => tool.name),
        close: async () => {
          await transport.terminateSession();
          await client.close();
        },
      };
    },
  },
];

for (const { era, open } of eras) {
  describe(era, () => {
    test('lists two tools, and a call runs after the yes, at the real tools process', async () => {
      const client = await open(realPort);
      assert.deepEqual((await client.names()).sort(), ['approval_result', 'shell']);
      const asked = here.controller.question();
      const result = client.call('shell', { command: 'echo hello; echo oops >&2; exit 3' });
      const { id, job } = await asked;
      assert.equal(job.agent, 'main', 'the door is the identity');
      here.controller.yes(id);
      const { text, isError } = await result;
      assert.match(text, /hello\n/);
      assert.match(text, /oops\n/);
      assert.match(text, /\[exit code 3, \d+ ms\]$/);
      assert.equal(isError, false, 'an exit code is an answer');
      await client.close();
    });

    test('a no comes back as an error that names it', async () => {
      const client = await open(quickPort);
      const asked = here.controller.question();
      const result = client.call('shell', { command: 'echo never' });
      here.controller.no((await asked).id);
      const { text, isError } = await result;
      assert.deepEqual([isError, /denied: admin said no/.test(text)], [true, true]);
      await client.close();
    });

    test('a client that asked for progress is kept posted and waits in one call', async () => {
      const client = await open(quickPort);
      const told: string[] = [];
      const asked = here.controller.question();
      const result = client.call(
        'shell',
        { command: 'sleep 0.3; echo hello' },
        { onProgress: (text) => told.push(text) },
      );
      const { id } = await asked;
      await until('progress', () => told.length > 5 || undefined); // longer than answerMs
      here.controller.yes(id);
      assert.match((await result).text, /hello/);
      assert.match(told.join('\n'), new RegExp(`^waiting for approval ${id}`));
      assert.ok(told.includes('running'));
      await client.close();
    });

    test('one without gets an id, and approval_result waits, runs and answers; the yes alone runs nothing', async () => {
      const client = await open(quickPort);
      const asked = here.controller.question();
      const { text, isError } = await client.call('shell', { command: 'date +%s%N > ran; echo hello' });
      const { id } = await asked;
      assert.equal(isError, false);
      assert.ok(text.startsWith(`waiting for approval ${id}; call approval_result with this id`), text);
      const again = await client.call('approval_result', { id });
      assert.ok(again.text.startsWith('waiting for approval'), again.text);
      here.controller.yes(id);
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.deepEqual(await here.containers(), [], 'approved, and nobody there: nothing ran');
      const result = await client.call('approval_result', { id });
      assert.match(result.text, /^hello\n\[exit code 0/);
      const spent = await client.call('approval_result', { id });
      assert.deepEqual([spent.isError, /no call of main waits/.test(spent.text)], [true, true]);
      await client.close();
    });

    test('a cancel while it waits withdraws the question: a late yes runs nothing', async () => {
      const client = await open(quickPort);
      const leaving = new AbortController();
      const asked = here.controller.question();
      const result = client.call(
        'shell',
        { command: 'echo never' },
        { signal: leaving.signal, onProgress: () => {} },
      );
      const question = await asked;
      leaving.abort();
      await assert.rejects(result);
      await until('the withdrawal', () => question.state === 'withdrawn' || undefined);
      here.controller.yes(question.id);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.deepEqual(await here.containers(), []);
      await client.close();
    });

    for (const posted of [true, false]) {
      test(`a cancel while it runs kills the container (${posted ? 'with' : 'without'} progress)`, async () => {
        const client = await open(realPort);
        const leaving = new AbortController();
        const asked = here.controller.question();
        const result = client.call(
          'shell',
          { command: 'trap "" TERM; sleep 300' },
          { signal: leaving.signal, ...(posted ? { onProgress: () => {} } : {}) },
        );
        here.controller.yes((await asked).id);
        await until('a container', async () => (await here.containers('running'))[0]);
        leaving.abort();
        await assert.rejects(result);
        await until('its end', async () => (await here.containers()).length === 0 || undefined);
        await client.close();
      });
    }

    test('bad arguments and unknown tools are errors, not calls', async () => {
      const client = await open(quickPort);
      const before = here.controller.asked.length;
      const attempts: [string, object][] = [
        ['shell', {}],
        ['shell', { command: 'x', image: 'debian' }],
        ['shell', { command: 'x', timeoutSeconds: -1 }],
        ['nothing', {}],
      ];
      for (const [name, args] of attempts) {
        const answer = await client.call(name, args).catch(() => ({ isError: true }));
        assert.equal(answer.isError, true, JSON.stringify(args));
      }
      assert.equal(here.controller.asked.length, before);
      await client.close();
    });

    test('the end of a session or of a connection withdraws what it left waiting', async () => {
      const client = await open(quickPort);
      const asked = here.controller.question();
      await client.call('shell', { command: 'echo parked' });
      const question = await asked;
      await client.close();
      if (era.includes('older')) {
        await until('the withdrawal', () => question.state === 'withdrawn' || undefined);
      } else {
        // Nothing ties two requests of the newer era together: it waits for approval_result until it expires.
        assert.equal(question.state, 'pending');
      }
    });
  });
}

/** One raw request; resolves with status and body. */
function raw(options: { method?: string; path?: string; headers?: Record<string, string>; body?: string }) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const req = request(
      { port: quickPort, host: '127.0.0.1', agent: false, method: 'POST', path: '/mcp', ...options },
      (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
      },
    );
    req.on('error', reject);
    req.end(options.body);
  });
}
const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

describe('the door itself', () => {
  test('a client that drops its connection without a word ends the call, in both eras', async () => {
    const initialize = {
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
    };
    const session = await new Promise<string>((resolve, reject) => {
      const req = request(
        { port: quickPort, host: '127.0.0.1', method: 'POST', path: '/mcp', headers: json },
        (res) => {
          res.resume();
          resolve(String(res.headers['mcp-session-id']));
        },
      );
      req.on('error', reject);
      req.end(JSON.stringify(initialize));
    });
    const version = '2026-07-28';
    const newer = {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': version,
        'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1' },
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    };
    const kinds: [Record<string, string>, object][] = [
      [{ 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' }, {}],
      [{ 'mcp-protocol-version': version, 'mcp-method': 'tools/call', 'mcp-name': 'shell' }, newer],
    ];
    for (const [headers, params] of kinds) {
      const body = JSON.stringify({
        jsonrpc: '2.0',
        id: 7,
        method: 'tools/call',
        params: { name: 'shell', arguments: { command: 'sleep 300' }, ...params },
      });
      const asked = here.controller.question();
      const req = request({
        port: quickPort,
        host: '127.0.0.1',
        method: 'POST',
        path: '/mcp',
        agent: false,
        headers: { ...json, ...headers },
      });
      req.on('error', () => {});
      req.end(body);
      const question = await asked;
      here.controller.yes(question.id);
      await until('a container', async () => (await here.containers('running'))[0]);
      req.destroy();
      await until('its end', async () => (await here.containers()).length === 0 || undefined);
    }
  });

  test('answers only to its own name, at its own path', async () => {
    const foreign = await raw({ headers: { ...json, host: 'evil.example' }, body: '{}' });
    assert.equal(foreign.status, 403);
    const page = await raw({ headers: { ...json, origin: 'http://evil.example' }, body: '{}' });
    assert.equal(page.status, 403);
    assert.equal((await raw({ path: '/', headers: json, body: '{}' })).status, 404);
  });

  test('answers garbage with a 4xx and lives on', async () => {
    const garbage: [string, Record<string, string>][] = [
      ['', json],
      ['{', json],
      ['[]', json],
      ['"x"', json],
      ['{"jsonrpc":"2.0","id":1,"method":"tools/call"}', json],
      ['{"jsonrpc":"2.0","id":{},"method":7}', json],
      ['{}', { 'content-type': 'text/plain' }],
      ['{"jsonrpc":"2.0","id":1,"method":"tools/list"}', { ...json, 'mcp-session-id': 'nope' }],
      [`"${'x'.repeat(300_000)}"`, json],
    ];
    for (const [body, headers] of garbage) {
      const { status } = await raw({ body, headers });
      assert.ok(status >= 400 && status < 500, `${body.slice(0, 60)}: ${status}`);
    }
    for (const method of ['GET', 'DELETE', 'PUT', 'OPTIONS']) {
      const { status } = await raw({ method, headers: { accept: 'text/event-stream' } });
      assert.ok(status >= 400 && status < 500, `${method}: ${status}`);
    }
    const bytes = await new Promise<string>((resolve) => {
      const socket = connect(quickPort, '127.0.0.1', () => socket.end('\0\x01garbage\r\n\r\n'));
      let text = '';
      socket.on('data', (part) => {
        text += part;
      });
      socket.on('close', () => resolve(text));
    });
    assert.match(bytes, /^HTTP\/1.1 400/);
    assert.equal((await raw({ path: '/', headers: json })).status, 404, 'it lives');
  });

  test('closes with the lease: open calls are cut, new ones told why', async () => {
    const client = await eras[1]?.open(quickPort);
    const asked = here.controller.question();
    const result = client?.call('shell', { command: 'echo never' }, { onProgress: () => {} }).then(
      () => 'answered',
      () => 'cut',
    );
    const question = await asked;
    state = 'killed';
    for (const f of lost) f();
    await until('the withdrawal', () => question.state === 'withdrawn' || undefined);
    const { status, text } = await raw({ headers: json, body: '{}' });
    assert.deepEqual([status, /killed/.test(text)], [503, true]);
    state = 'armed';
    await client?.close().catch(() => {});
    assert.notEqual(await result, 'answered');
  });
});
