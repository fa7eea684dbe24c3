/** A whole gateway for the tests: its real pages on a real port and its real sockets, with small servers as keeper, controller, tools and guest. */
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { turnRoutes } from '../../appliance/gateway/control.ts';
import { type History, openHistory } from '../../appliance/gateway/history.ts';
import { createNeighbours } from '../../appliance/gateway/neighbours.ts';
import type { GatewayPart } from '../../appliance/gateway/part.ts';
import { createChat } from '../../appliance/gateway/routes.ts';
import { createSay } from '../../appliance/gateway/say.ts';
import { createTurns } from '../../appliance/gateway/turn.ts';
import { Problem } from '../../appliance/problem.ts';
import { serve } from '../../appliance/socket.ts';
import { serveDialer } from '../../appliance/world/dialer.ts';

export type Neighbourhood = {
  state: 'armed' | 'closed' | 'killed';
  trips: { reason: string; by: string }[];
  approvals: {
    id: string;
    agent: string;
    tool: string;
    script: string;
    by: string;
    askedAt: string;
    expiresAt: string;
  }[];
  worlds: unknown[];
  /** Codes that may be redeemed, and the sessions that live. */
  codes: Set<string>;
  sessions: Set<string>;
  checks: number;
  runs: unknown[];
  /** What llm was told of open turns. */
  turns: { agent: string; turn: string | null }[];
  run: (signal: AbortSignal) => AsyncIterable<unknown>;
};

export type Chat = {
  url: string;
  port: number;
  folder: string;
  part: GatewayPart;
  around: Neighbourhood;
  faults: unknown[];
  /** Turns that llm could not be told of. */
  untold: unknown[];
  /** Answers as the guest does; replace it. */
  guest: RequestListener;
  socket(name: string): string;
  /** A request of a logged-in browser, redirects not followed. */
  get(path: string, init?: RequestInit): Promise<Response>;
  post(path: string, form?: Record<string, string>, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
};

export const sessionOf = 'a-session-that-lives';

export async function openChat(
  options: { controllerPort?: number; guestPort?: number; withoutLlm?: boolean } = {},
): Promise<Chat> {
  const folder = mkdtempSync(join(tmpdir(), 'hf-chat-'));
  const socket = (name: string): string => join(folder, name, 'sock');
  const around: Neighbourhood = {
    state: 'armed',
    trips: [],
    approvals: [],
    worlds: [],
    codes: new Set(),
    sessions: new Set([sessionOf]),
    checks: 0,
    runs: [],
    turns: [],
    async *run() {
      yield { event: 'started' };
      yield { event: 'output', stream: 'stdout', text: 'Linux\n' };
      yield { event: 'exit', code: 0, timedOut: false, ms: 12 };
    },
  };
  const servers: (Server | TcpServer)[] = [];
  const at = async (name: string, routes: Parameters<typeof serve>[1]): Promise<void> => {
    mkdirSync(dirname(socket(name)), { recursive: true });
    servers.push(await serve({ path: socket(name) }, routes));
  };
  await at('trip', {
    'GET /state': () => ({
      state: around.state,
      since: '2026-01-02T03:04:05.000Z',
      reason: 'a test',
      epoch: 'e1',
    }),
    'POST /trip': ({ body }) => {
      around.trips.push(body as { reason: string; by: string });
      around.state = 'killed';
      return {
        id: 'trip-7',
        at: new Date().toISOString(),
        state: 'killed',
        steps: [{ name: 'lease dropped', ms: 1.2, ok: true }],
        signature: 'x',
      };
    },
  });
  await at('ask', {
    'GET /approvals': ({ query }) => around.approvals.filter((each) => each.agent === query.get('agent')),
    'GET /worlds': () => around.worlds,
  });
  await at('session', {
    'POST /redeem': ({ body }) => {
      if (!around.codes.delete((body as { code: string }).code))
        throw new Problem('bad-code', 403, 'this code was used or never given', 'Log in again.');
      return { session: sessionOf, operator: 'operator' };
    },
    'POST /check': ({ body }) => {
      around.checks += 1;
      const ok = around.sessions.has((body as { session: string }).session);
      return ok ? { ok, operator: 'operator' } : { ok };
    },
    'POST /end': ({ body }) => {
      around.sessions.delete((body as { session: string }).session);
    },
  });
  await at('run', {
    'POST /run': ({ body, signal }) => {
      around.runs.push(body);
      return around.run(signal);
    },
  });
  if (!options.withoutLlm) {
    await at('turns', {
      'POST /turn': ({ body }) => void around.turns.push(body as { agent: string; turn: string | null }),
    });
  }
  const door = socket('guest.main');
  mkdirSync(dirname(door), { recursive: true });
  if (options.guestPort !== undefined) {
    servers.push(await serveDialer({ listen: { path: door }, port: options.guestPort }));
  } else {
    const guest = createServer((req, res) => chat.guest(req, res)).listen(door);
    await once(guest, 'listening');
    servers.push(guest);
  }

  const pages = createServer();
  pages.listen(0, '127.0.0.1');
  await once(pages, 'listening');
  servers.push(pages);
  const { port } = pages.address() as AddressInfo;
  const part: GatewayPart = {
    instance: '0a1b2c3d',
    controllerPort: options.controllerPort ?? 8080,
    chatPort: port,
    providers: [],
    agents: { main: { model: { provider: 'practice', name: 'practice' }, modelReady: true } },
  };
  const faults: unknown[] = [];
  const untold: unknown[] = [];
  const neighbours = createNeighbours(socket);
  const onFault = (error: unknown): void => void faults.push(error);
  const histories = new Map<string, History>();
  const history = (agent: string): History => {
    const known = histories.get(agent) ?? openHistory(join(folder, `history/${agent}.jsonl`), onFault);
    histories.set(agent, known);
    return known;
  };
  const turns = createTurns({
    approvals: neighbours.approvals,
    announce: (agent, turn) => neighbours.openTurn(agent, turn).catch((error) => void untold.push(error)),
    killed: async () => ((await neighbours.keeperState()).state === 'killed' ? 'a test' : undefined),
    onFault,
    pollMs: 50,
  });
  const parts = { part: () => part, neighbours, turns, history, onFault };
  const say = createSay({ ...parts, guestSocket: (agent) => socket(`guest.${agent}`) });
  const listener = getRequestListener(createChat({ ...parts, say }).fetch);
  pages.on('request', (req, res) => void listener(req, res));
  await at('turn', turnRoutes(say));

  const url = `http://localhost:${port}`;
  const cookie = `holdfast_chat=${sessionOf}`;
  const chat: Chat = {
    url,
    port,
    folder,
    part,
    around,
    faults,
    untold,
    guest: (_, res) => res.writeHead(404).end(),
    socket,
    get: (path, init = {}) =>
      fetch(`${url}${path}`, { redirect: 'manual', ...init, headers: { cookie, ...init.headers } }),
    post: (path, form = {}, init = {}) =>
      fetch(`${url}${path}`, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams(form),
        ...init,
        headers: { cookie, origin: url, 'sec-fetch-site': 'same-origin', ...init.headers },
      }),
    async close() {
      for (const server of servers) {
        server.close();
        if ('closeAllConnections' in server) server.closeAllConnections();
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return chat;
}

/** A guest that streams these pieces, waiting for each. */
export const guestSays =
  (pieces: (string | Promise<unknown>)[], end: '[DONE]' | 'cut' = '[DONE]'): RequestListener =>
  async (req, res) => {
    req.resume();
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.flushHeaders();
    for (const piece of pieces) {
      if (typeof piece !== 'string') await piece;
      else res.write(`data: ${JSON.stringify({ choices: [{ delta: { content: piece } }] })}\n\n`);
    }
    if (end === 'cut') res.destroy();
    else res.end('data: [DONE]\n\n');
  };

export async function until(isSo: () => boolean | Promise<boolean>, ms = 5_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`it did not come to pass within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
