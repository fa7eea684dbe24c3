/** A controller on its true parts, with a keeper and a launcher that are small servers on real sockets, and a clock of its own. Tests of test/controller/ sit down at it. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createInbox } from '../../appliance/approvals/inbox.ts';
import { approvalTable } from '../../appliance/approvals/rows.ts';
import { parseConfig } from '../../appliance/config.ts';
import { createActs } from '../../appliance/controller/acts.ts';
import { createApp } from '../../appliance/controller/app.ts';
import { askRoutes } from '../../appliance/controller/ask.ts';
import { backoffTable, createBackoff } from '../../appliance/controller/backoff.ts';
import { createChatCodes } from '../../appliance/controller/chatcode.ts';
import { createConfiguration } from '../../appliance/controller/configuration.ts';
import { decideRoutes } from '../../appliance/controller/decide.ts';
import { originsOf } from '../../appliance/controller/headers.ts';
import { createKeeper } from '../../appliance/controller/keeper.ts';
import { createLauncher } from '../../appliance/controller/launcher.ts';
import { createOperator, operatorTable } from '../../appliance/controller/operator.ts';
import { ledgerFiles, tailOptions } from '../../appliance/controller/pages/exchanges.ts';
import type { Provider } from '../../appliance/controller/pages/overview.ts';
import { cookieName, createSessions, sessionTable } from '../../appliance/controller/session.ts';
import { sessionRoutes } from '../../appliance/controller/session-control.ts';
import { createSetupCode, setupCodeTable } from '../../appliance/controller/setupcode.ts';
import { openDatabase } from '../../appliance/database.ts';
import { readStanding } from '../../appliance/models/standing.ts';
import { type Routes, serve } from '../../appliance/socket.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { tailLedger } from '../../proxies/ledger/tail.ts';
import { digest, type Job, signApproval } from '../../sandbox/approval.ts';

export const controller = 'http://127.0.0.1:8080';
export const chat = 'http://localhost:18789';
export const password = 'four words are good enough';

export const tables = [operatorTable, setupCodeTable, backoffTable, sessionTable, approvalTable];

export type FakeKeeper = {
  state: 'armed' | 'closed' | 'killed';
  epoch: number;
  reason?: string;
  receipt?: unknown;
  presses: unknown[];
  rearms: unknown[];
};

export type Desk = Awaited<ReturnType<typeof sitDown>>;

/** `reopen` a folder to be the controller after a restart. */
export async function sitDown(
  t: TestContext,
  options: {
    folder?: string;
    status?: unknown;
    providers?: Provider[];
    models?: unknown;
    agents?: string[];
    ports?: { controller: number; chat: number };
  } = {},
) {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'hf-desk-'));
  const run = mkdtempSync(join(tmpdir(), 'hf-s-'));
  const servers: Server[] = [];
  const socket = (name: string): string => join(run, name);
  const open = async (name: string, routes: Routes): Promise<Server> => {
    const server = await serve({ path: socket(name) }, routes);
    servers.push(server);
    return server;
  };
  let skewMs = 0;
  const now = (): number => Date.now() + skewMs;
  /** Goes on by itself; `clock.ms += 60_000` is a minute later. */
  const clock = {
    get ms(): number {
      return now();
    },
    set ms(to: number) {
      skewMs = to - Date.now();
    },
  };

  const keeper: FakeKeeper = { state: 'armed', epoch: 1, presses: [], rearms: [] };
  const since = new Date(clock.ms - 60_000).toISOString();
  const trip = await open('trip', {
    'GET /state': () => ({ ...keeper, since, presses: undefined, rearms: undefined }),
    'POST /trip': ({ body }) => {
      const { reason, by } = body as { reason: string; by: string };
      keeper.presses.push(body);
      Object.assign(keeper, { state: 'killed', reason });
      keeper.receipt = { ...receipt, at: new Date().toISOString(), reason, by };
      return keeper.receipt;
    },
  });
  await open('rearm', {
    'POST /rearm': ({ body }) => {
      keeper.rearms.push(body);
      Object.assign(keeper, { state: 'armed', epoch: keeper.epoch + 1, reason: undefined });
      return { state: 'armed', steps: [{ name: 'new doors, worlds started', ms: 12, ok: true }] };
    },
  });
  if (options.models !== undefined) await open('models', { 'GET /standing': () => options.models });
  const applied: unknown[] = [];
  let yaml = '';
  const launch = await open('launch', {
    'GET /status': () => options.status ?? status,
    'GET /config': () => ({ text: yaml }),
    'POST /config': ({ body }) => {
      const { text } = body as { text: string };
      const parsed = parseConfig(text, 'holdfast.yaml');
      applied.push({ text, config: parsed.ok && parsed.config });
      return { version: 'v', live: ['gateway'], restarted: [] };
    },
  });

  for (const file of ['acts.jsonl', ...Object.values(ledgerFiles)]) {
    writeFileSync(join(folder, file), '', { flag: 'a' });
  }
  const db = openDatabase(join(folder, 'controller.sqlite'), tables);
  const ledger = await openLedger({ path: join(folder, 'acts.jsonl') });
  const disk = { full: false };
  const record = createActs({
    append: (line) => (disk.full ? Promise.reject(new Error('ENOSPC')) : ledger.append(line)),
  });
  const keys = generateKeyPairSync('ed25519');
  const codes: string[] = [];
  const setupCode = createSetupCode(db, (code) => codes.push(code));
  const operator = createOperator(db, setupCode, createBackoff(db, now), now);
  const sessions = createSessions(db, now);
  const chatCodes = createChatCodes(now);
  const asKeeper = createKeeper({ trip: socket('trip'), rearm: socket('rearm') });
  const launcher = createLauncher(socket('launch'));
  const inbox = createInbox({
    db,
    now,
    waitMs: () => 900_000,
    arming: asKeeper.arming,
    sign: (fields) => signApproval(keys.privateKey, fields),
    record,
  });
  const app = createApp({
    machine: 'testbox',
    origins: originsOf(options.ports ?? { controller: 8080, chat: 18789 }),
    operator,
    sessions,
    chatCodes,
    inbox,
    keeper: asKeeper,
    launcher,
    record,
    providers: () => options.providers ?? [],
    models: () => readStanding(socket('models')),
    tail: (door, count) => tailLedger(join(folder, ledgerFiles[door]), count, tailOptions[door]),
    now,
  });
  const configuration = createConfiguration({ launcher, record });
  await open('ask', askRoutes({ inbox, launcher, agents: () => options.agents ?? ['main', 'scout'] }));
  await open('session', sessionRoutes({ sessions, chatCodes, record }));
  await open(
    'decide',
    decideRoutes({ inbox, keeper: asKeeper, launcher, operator, setupCode, configuration, record, now }),
  );

  const gone = new AbortController();

  const close = async (): Promise<void> => {
    gone.abort();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    if (db.isOpen) db.close();
    await ledger.close();
  };
  t.after(async () => {
    await close();
    rmSync(run, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });

  return {
    app,
    folder,
    db,
    socket,
    clock,
    keeper,
    /** Make these go away to be without them. */
    servers: { trip, launch },
    applied,
    setYaml: (text: string) => {
      yaml = text;
    },
    disk,
    codes,
    setupCode,
    operator,
    sessions,
    inbox,
    /** The call that asked, waiting for as long as the desk stands. */
    visit: (id: string): void => void inbox.wait(id, 60_000, gone.signal).catch(() => {}),
    publicKey: keys.publicKey,
    acts: (): Record<string, unknown>[] =>
      readFileSync(join(folder, 'acts.jsonl'), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line)),
    writeLedger: (door: keyof typeof ledgerFiles, lines: unknown[]) =>
      writeFileSync(
        join(folder, ledgerFiles[door]),
        lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
      ),
    /** As a browser that shows our pages would send it. */
    request: (path: string, init: RequestInit = {}, cookie?: string) =>
      app.request(`${controller}${path}`, { ...init, headers: { ...headersOf(init, cookie) } }),
    close,
  };
}

/** Headers of a browser on our own page; what the test gives wins, and `''` takes one away. */
function headersOf(init: RequestInit, cookie: string | undefined): Record<string, string> {
  const ours: Record<string, string> = {
    host: '127.0.0.1:8080',
    'sec-fetch-site': 'same-origin',
    ...(init.method && init.method !== 'GET' ? { origin: controller } : {}),
    ...(typeof init.body === 'string' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
    ...(cookie ? { cookie } : {}),
    ...(init.headers as Record<string, string>),
  };
  return Object.fromEntries(Object.entries(ours).filter(([, value]) => value !== ''));
}

export const form = (fields: Record<string, string>): RequestInit => ({
  method: 'POST',
  body: new URLSearchParams(fields).toString(),
});

/** Sets the operator up and gives the cookie of the first session. */
export async function setUp(desk: Desk): Promise<string> {
  const answer = await desk.request(
    '/setup',
    form({ code: desk.setupCode.renew(), password, again: password }),
  );
  return cookieOf(answer);
}

export function cookieOf(answer: Response): string {
  const [first = ''] = answer.headers.getSetCookie();
  const [pair = ''] = first.split(';');
  if (!pair.startsWith(`${cookieName}=`)) throw new Error(`no session cookie in ${answer.status}: ${first}`);
  return pair;
}

export function jobFor(agent: string, script: string, forMs = 900_000, nowMs = Date.now()): Job {
  return {
    v: 1,
    agent,
    profile: 'shell',
    script,
    timeoutMs: 120_000,
    image: `sha256:${'ab'.repeat(32)}`,
    nonce: randomBytes(16).toString('hex'),
    expiresAt: new Date(nowMs + forMs).toISOString(),
  };
}

export const askOf = (job: Job, by = 'agent main, in a turn') => ({
  agent: job.agent,
  tool: 'shell',
  job,
  digest: digest(job),
  by,
});

const receipt = {
  id: '5b0c9f6e-0d3f-4a63-9a37-0f6f6f0a7c11',
  state: 'killed',
  steps: [
    { name: 'lease dropped', ms: 0.231, ok: true },
    { name: 'worlds frozen', ms: 0.902, ok: true, detail: 'agent@main, agent@scout' },
    { name: 'worlds killed', ms: 1.31, ok: true, detail: 'agent@main, agent@scout' },
    { name: 'worlds and llm ended', ms: 9.4, ok: true },
    { name: 'containers ended', ms: 148.2, ok: true, detail: '2 removed' },
    { name: 'latch on disk', ms: 3.82, ok: true },
    { name: 'worlds verified empty', ms: 151.77, ok: true },
  ],
  signature: 'c2ln',
};

const stands = (wall: string, detail: string): unknown => ({ wall, state: 'stands', detail });
const running = (name: string, uid: number): unknown => ({
  name,
  state: 'running',
  pid: 100 + uid,
  uid,
  sinceMs: Date.now() - 3_720_000,
  restarts: 0,
});

export const walls = [
  stands('network', 'only lo, no route'),
  stands('mounts', 'an empty root with 14 entries'),
  stands('processes', 'own pid namespace'),
  stands('privileges', 'no capabilities, no_new_privs'),
  stands('system calls', 'filter of 212 rules'),
  stands('own uid', 'uid 400100'),
  stands('cgroup', 'memory 1024 MiB, 256 pids'),
];

export const status = {
  instance: '1a2b3c4d',
  home: '/home/pat/.holdfast',
  mode: 'root',
  startedAt: new Date(Date.now() - 3_725_000).toISOString(),
  version: '9f2d1c44aa0e7788',
  state: 'armed',
  controllerUrl: controller,
  chatUrl: chat,
  configFile: '/home/pat/.holdfast/holdfast.yaml',
  processes: [
    running('keeper', 0),
    running('broker', 400_001),
    running('controller', 400_002),
    running('gateway', 400_003),
    running('llm', 400_004),
    running('egress', 400_005),
    running('tools', 400_006),
    running('dialer@main', 400_009),
    running('agent@main', 400_100),
  ],
  worlds: [{ agent: 'main', state: 'running', walls }],
  tools: { state: 'ready' },
};
