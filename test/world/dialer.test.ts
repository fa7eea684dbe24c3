/** The dialer between a unix socket and a loopback port, with real sockets on both sides. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type ClientRequest, createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { serveDialer } from '../../appliance/world/dialer.ts';

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    if ('closeAllConnections' in server) (server.closeAllConnections as () => void)();
  });
  return (server.address() as AddressInfo).port;
}

async function dialerTo(t: TestContext, port: number, maxConnections?: number, startMs = 0): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-dialer-'));
  const path = join(folder, 'sock');
  const server = await serveDialer({
    listen: { path },
    port,
    startMs,
    ...(maxConnections ? { maxConnections } : {}),
  });
  t.after(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return path;
}

const get = (socketPath: string): ClientRequest => request({ socketPath, path: '/', agent: false });

async function answerOf(req: ClientRequest): Promise<{ status: number; body: string }> {
  req.end();
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of res) body += chunk;
  return { status: res.statusCode ?? 0, body };
}

describe('the dialer', () => {
  it('passes bytes both ways, however many and however slowly they are read', async (t) => {
    const port = await listen(
      t,
      createTcpServer((socket) => void socket.pipe(socket)),
    );
    const path = await dialerTo(t, port);
    const socket = connect(path);
    const sent = Buffer.alloc(8 * 1024 * 1024, 'holdfast');
    socket.write(sent); // and not `end`: HTTP has no half-closed caller, so that one has gone
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (chunks.length % 50 === 0) await wait(1);
      if (bytes >= sent.length) break;
    }
    assert.ok(Buffer.concat(chunks).equals(sent));
  });

  it('passes a whole HTTP answer', async (t) => {
    const port = await listen(
      t,
      createServer((_, res) => res.end('from the guest')),
    );
    assert.deepEqual(await answerOf(get(await dialerTo(t, port))), { status: 200, body: 'from the guest' });
  });

  it('waits for a guest that has just started', async (t) => {
    const later = createServer((_, res) => res.end('awake'));
    const free = await listen(t, later);
    later.close();
    await once(later, 'close');
    const path = await dialerTo(t, free, undefined, 5_000);
    const answer = answerOf(get(path));
    await wait(250);
    later.listen(free, '127.0.0.1');
    assert.deepEqual(await answer, { status: 200, body: 'awake' });
  });

  it('says in HTTP that the guest does not answer', async (t) => {
    const gone = createTcpServer();
    gone.listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const { port } = gone.address() as AddressInfo;
    gone.close();
    await once(gone, 'close');
    const { status, body } = await answerOf(get(await dialerTo(t, port)));
    assert.equal(status, 502);
    assert.match(JSON.parse(body).error.message, /does not answer .*ECONNREFUSED/);
  });

  it('lets the guest go when the caller goes', async (t) => {
    let left = false;
    const port = await listen(
      t,
      createServer((_, res) => {
        res.write('a beginning');
        res.on('close', () => {
          left = true;
        });
      }),
    );
    const req = get(await dialerTo(t, port));
    req.on('error', () => {});
    req.end();
    await once(req, 'response');
    req.destroy();
    for (let at = 0; at < 200 && !left; at += 1) await wait(10);
    assert.ok(left);
  });

  it('lets go of a guest that does not close when the caller has gone', async (t) => {
    const open = new Set();
    const port = await listen(
      t,
      createTcpServer({ allowHalfOpen: true }, (socket) => {
        open.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => open.delete(socket));
        socket.write('x');
        t.after(() => socket.destroy());
      }),
    );
    const path = await dialerTo(t, port, 1);
    for (let turn = 0; turn < 3; turn += 1) {
      const socket = connect(path);
      const [bytes] = (await once(socket, 'data')) as [Buffer];
      assert.equal(bytes.toString(), 'x', 'the one place is free again');
      socket.destroy();
      await wait(50);
    }
  });

  it('refuses one connection too many in words, and takes the next when one has ended', async (t) => {
    const port = await listen(
      t,
      createServer((_, res) => void res.write('held')),
    );
    const path = await dialerTo(t, port, 2);
    const held = [get(path), get(path)];
    for (const req of held) {
      req.on('error', () => {});
      req.end();
      await once(req, 'response');
    }
    const refused = await answerOf(get(path));
    assert.equal(refused.status, 503);
    assert.match(refused.body, /guest-busy/);
    held[0]?.destroy();
    await wait(50);
    const next = get(path);
    next.on('error', () => {});
    next.end();
    const [res] = (await once(next, 'response')) as [IncomingMessage];
    assert.equal(res.statusCode, 200);
    for (const req of [...held, next]) req.destroy();
  });
});
