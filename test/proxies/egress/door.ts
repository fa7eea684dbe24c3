/** The egress doors of one agent on host ports, a far end that counts what reaches it, and a name server that counts what is asked: for the tests beside this file and the invariants. */
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server as NetServer,
  type Socket,
} from 'node:net';
import type { TestContext } from 'node:test';
import { type Answer, decode, encode } from 'dns-packet';
import { createEgress, type Egress, type EgressParts } from '../../../proxies/egress/egress.ts';
import { createTestLease, type Lease } from '../llm/rig.ts';

export type Line = Record<string, unknown>;

export type Door = {
  egress: Egress;
  port: number;
  url: string;
  lease: Lease;
  lines: Line[];
  logged: string[];
  /** The first line of a kind, waited for. */
  line(kind: string): Promise<Line>;
};

export async function startDoor(t: TestContext, parts: Partial<EgressParts>): Promise<Door> {
  const lines: Line[] = [];
  const logged: string[] = [];
  const lease = createTestLease();
  const egress = createEgress({
    agent: 'main',
    rules: [],
    resolve: () => Promise.reject(new Error('this test expects no lookup')),
    armed: lease,
    // The host's own addresses differ from machine to machine; what matters has a test of its own.
    ownAddress: () => false,
    log: (text, fields) => logged.push(JSON.stringify({ text, ...fields })),
    ...parts,
    record: async (line) => {
      const result = await parts.record?.(line);
      lines.push(line);
      return result;
    },
  });
  const port = await listen(egress.proxy);
  t.after(() => egress.close());
  const line = async (kind: string): Promise<Line> => {
    const found = await until(() => lines.find((each) => each.kind === kind));
    return found;
  };
  return { egress, port, url: `http://127.0.0.1:${port}`, lease, lines, logged, line };
}

/** Polls, for at most five seconds. */
export async function until<T>(probe: () => T | undefined | false): Promise<T> {
  for (let turn = 0; turn < 500; turn++) {
    const seen = probe();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not happen within five seconds');
}

export async function listen(server: Server | NetServer, host = '127.0.0.1', port = 0): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export type FarEnd = { port: number; connections: number; bytes: string; requests: string[]; close(): void };

/** An HTTP server that answers with what it was asked, and keeps count. `port` 0 is any. */
export async function startFarEnd(t: TestContext, host = '127.0.0.1', port = 0): Promise<FarEnd> {
  const server = createServer((req, res) => {
    far.requests.push(`${req.method} ${req.url} ${req.headers.host}`);
    res.setHeader('x-far-end', host);
    req.pipe(res);
    if (req.headers['content-length'] === undefined && !req.headers['transfer-encoding'])
      res.end(`far end ${host} ${req.url}`);
  });
  const far: FarEnd = { port: 0, connections: 0, bytes: '', requests: [], close: () => server.close() };
  server.on('connection', (socket) => {
    far.connections++;
    socket.on('data', (bytes: Buffer) => {
      far.bytes += bytes.toString('latin1');
    });
  });
  far.port = await listen(server, host, port);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return far;
}

/** A TCP server that does with each connection what the test says. */
export async function startTcp(t: TestContext, serve: (socket: Socket) => void): Promise<number> {
  const open = new Set<Socket>();
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return listen(server);
}

export type NameServer = { address: string; asked: string[] };

/** A DNS server on loopback: A records from a table of names, AAAA from those with a colon, NXDOMAIN for the rest. */
export async function startNameServer(
  t: TestContext,
  table: Record<string, string[]> | ((name: string) => string[] | undefined),
): Promise<NameServer> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (message, from) => {
    const query = decode(message);
    const [question] = query.questions ?? [];
    if (!question) return;
    asked.push(`${question.name} ${question.type}`);
    const known = typeof table === 'function' ? table(question.name) : table[question.name];
    const answers = (known ?? [])
      .filter((data) => (data.includes(':') ? 'AAAA' : 'A') === question.type)
      .map((data): Answer => ({ type: question.type as 'A' | 'AAAA', name: question.name, ttl: 0, data }));
    const code = known ? 0 : 3;
    const reply = {
      type: 'response' as const,
      id: query.id ?? 0,
      flags: 0x0180 | code,
      questions: [question],
      answers,
    };
    socket.send(encode(reply), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  return { address: `127.0.0.1:${socket.address().port}`, asked };
}

export type Curled = { code: number; out: string; err: string };

/** The real curl, through the door, with nothing of this machine's configuration. */
export function curl(proxy: string, ...args: string[]): Promise<Curled> {
  const own = [
    '--disable',
    '--silent',
    '--show-error',
    '--max-time',
    '20',
    '--noproxy',
    '',
    '--proxy',
    proxy,
  ];
  return new Promise((resolve) => {
    execFile(
      'curl',
      [...own, ...args],
      { env: { PATH: process.env.PATH ?? '' }, maxBuffer: 64 * 1024 * 1024 },
      (error, out, err) => resolve({ code: error ? Number(error.code) : 0, out, err }),
    );
  });
}

/** A connection to the door by hand: what was said so far, and a wait for more. */
export async function talk(t: TestContext, port: number, text = '', host = '127.0.0.1') {
  const socket = connect({ port, host, allowHalfOpen: true });
  t.after(() => socket.destroy());
  let heard = '';
  let ended = false;
  socket.setEncoding('latin1').on('data', (more: string) => {
    heard += more;
  });
  socket.on('error', () => {});
  socket.on('end', () => {
    ended = true;
  });
  socket.on('close', () => {
    ended = true;
  });
  await once(socket, 'connect');
  if (text !== '') socket.write(text, 'latin1');
  return {
    socket,
    heard: () => heard,
    ended: () => ended,
    hears: (what: string | RegExp) =>
      until(() => (typeof what === 'string' ? heard.includes(what) : what.test(heard))).then(() => heard),
    ends: () => until(() => ended).then(() => heard),
  };
}
