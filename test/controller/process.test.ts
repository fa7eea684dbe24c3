/** The controller as the launcher starts it: a process of its own, on doors that somebody else opened. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { call } from '../../appliance/socket.ts';

const root = join(import.meta.dirname, '../..');

type Line = Record<string, unknown>;

async function start(t: TestContext, home = mkdtempSync(join(tmpdir(), 'hf-home-'))) {
  const run = mkdtempSync(join(tmpdir(), 'hf-r-'));
  for (const folder of ['audit', 'controller', 'keys', 'secrets/controller'])
    mkdirSync(join(home, folder), { recursive: true });
  writeFileSync(join(home, 'audit/acts.jsonl'), '', { flag: 'a' });
  const sockets = ['ask', 'decide', 'session', 'control.controller'];
  const page = await listen({ port: 0, host: '127.0.0.1' });
  const { port } = page.address() as AddressInfo;
  const doors = [page];
  for (const name of sockets) {
    mkdirSync(join(run, name));
    doors.push(await listen({ path: join(run, name, 'new') }));
    renameSync(join(run, name, 'new'), join(run, name, 'sock')); // closing our end would remove the path it knows
  }
  const part = {
    instance: '1a2b3c4d',
    mode: 'user',
    controllerPort: port,
    chatPort: 18789,
    agents: ['main'],
    waitSeconds: 900,
    providers: [],
  };
  writeFileSync(join(run, 'part.json'), JSON.stringify({ version: 'v1', part }));
  const child = spawn(process.execPath, [join(root, 'appliance/processes/controller.ts')], {
    cwd: '/',
    env: {
      HOLDFAST_PROCESS: 'controller',
      HOLDFAST_HOME: home,
      HOLDFAST_RUN: run,
      HOLDFAST_PART: join(run, 'part.json'),
      LISTEN_FDNAMES: ['controller', ...sockets].join(':'),
    },
    stdio: ['ignore', 'pipe', 'inherit', ...doors.map(fdOf)],
  });
  for (const door of doors) door.close(); // the child has its own
  const said: Line[] = [];
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ready = new Promise<void>((resolve, reject) => {
    lines.on('line', (line) => {
      const value = JSON.parse(line) as Line;
      said.push(value);
      if (value.ready === true) resolve();
    });
    child.once('exit', (code) => reject(new Error(`ended with ${code} before it was ready`)));
  });
  t.after(async () => {
    const gone = ended(child);
    child.kill('SIGKILL');
    await gone;
    rmSync(run, { recursive: true, force: true });
    rmSync(home, { recursive: true, force: true });
  });
  await ready;
  return { child, home, port, said, socket: (name: string) => join(run, name, 'sock') };
}

const listen = (where: { port: number; host: string } | { path: string }): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(where, () => resolve(server));
  });

/** A listening descriptor to give away; node has no public name for it. */
const fdOf = (server: Server): number => (server as unknown as { _handle: { fd: number } })._handle.fd;

const get = (
  port: number,
  path: string,
  host = `127.0.0.1:${port}`,
): Promise<{ status: number; text: string }> =>
  new Promise((resolve, reject) => {
    request({ port, path, host: '127.0.0.1', headers: { host } }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (piece: string) => {
        text += piece;
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
    })
      .on('error', reject)
      .end();
  });

const raw = (port: number, bytes: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes));
    let text = '';
    socket.on('data', (piece) => {
      text += piece;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', () => resolve(text));
  });

const ended = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve(undefined);
    else child.once('exit', resolve);
  });

test('it serves on the doors it was given, makes its keys, and shows a setup code once', async (t) => {
  const { home, port, said, socket } = await start(t);
  const codes = said.filter((line) => typeof line.setupCode === 'string');
  assert.equal(codes.length, 1);
  assert.equal((await get(port, '/login')).status, 303);
  const setup = await get(port, '/setup');
  assert.equal(setup.status, 200);
  assert.match(setup.text, /Make yourself the operator/);
  assert.match(
    (await get(port, '/setup', `localhost:${port}`)).text,
    new RegExp(`http://127.0.0.1:${port}/`),
  );
  assert.equal(statSync(join(home, 'secrets/controller/approvals.pem')).mode & 0o777, 0o600);
  assert.match(readFileSync(join(home, 'keys/approvals.pub.pem'), 'utf8'), /BEGIN PUBLIC KEY/);
  assert.deepEqual(await call(socket('ask'), 'GET /approvals'), []);
  assert.equal(
    ((await call(socket('control.controller'), 'GET /health')) as { process: string }).process,
    'controller',
  );
  const status = (await call(socket('decide'), 'GET /status')) as Line;
  assert.deepEqual([status.state, status.operator], ['closed', false], 'no keeper, so closed');
});

test('garbage on its door is answered or cut off, and it serves on', async (t) => {
  const { port } = await start(t);
  const host = `Host: 127.0.0.1:${port}\r\n`;
  const pieces = [
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
    `GET http://evil.test/ HTTP/1.1\r\n${host}\r\n`,
    `GET /\\evil HTTP/1.1\r\n${host}\r\n`,
    `GET /%ff%00 HTTP/1.1\r\n${host}\r\n`,
    `POST /login HTTP/1.1\r\n${host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `CONNECT evil.test:443 HTTP/1.1\r\n${host}\r\n`,
    `GET / HTTP/1.1\r\n${host}Cookie: ${'a=b; '.repeat(5000)}\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}Cookie: holdfast=%00%ff; holdfast=;;=\r\n\r\n`,
    '\u0000\u0001\u0002'.repeat(100),
    `TRACE / HTTP/1.1\r\n${host}\r\n`,
    `GET / HTTP/1.1\r\n${host}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`,
  ];
  for (const piece of pieces) {
    const answer = await raw(port, piece);
    assert.match(answer, /^(HTTP\/1\.1 (30[0-9]|4[0-9][0-9]) |$)/, JSON.stringify(piece.slice(0, 60)));
  }
  assert.equal((await get(port, '/setup')).status, 200);
});

test('after a restart the keys and the operator are the same, and without one a new code is shown', async (t) => {
  const home = mkdtempSync(join(tmpdir(), 'hf-home-'));
  const first = await start(t, home);
  const pem = readFileSync(join(home, 'keys/approvals.pub.pem'), 'utf8');
  first.child.kill('SIGKILL');
  await ended(first.child);
  const second = await start(t, home);
  assert.equal(readFileSync(join(home, 'keys/approvals.pub.pem'), 'utf8'), pem);
  const codeOf = (lines: Line[]): unknown => lines.find((line) => line.setupCode)?.setupCode;
  assert.ok(codeOf(second.said) && codeOf(second.said) !== codeOf(first.said));
});
