/** A llm door on a host port with practice providers behind it, for the tests beside it and the invariants. `partsOf` is the one place that knows what createLlm takes. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Armed } from '../../../proxies/armed.ts';
import { createBlobs } from '../../../proxies/ledger/blobs.ts';
import { LateRecord } from '../../../proxies/ledger/line.ts';
import type { UrlJudge } from '../../../proxies/llm/asked/scan.ts';
import { deny } from '../../../proxies/llm/denial.ts';
import { createDoor } from '../../../proxies/llm/door.ts';
import type { Provider as Configured, KindName } from '../../../proxies/llm/kinds/kind.ts';
import { createLanes } from '../../../proxies/llm/lane.ts';
import { createMetrics, type Metrics } from '../../../proxies/llm/metrics.ts';
import type { Notice } from '../../../proxies/llm/notices.ts';
import { createLlm, type Llm, type LlmParts } from '../../../proxies/llm/proxy.ts';
import type { Ledger } from '../../../proxies/llm/record.ts';
import { createNodes, type Nodes } from '../../../proxies/llm/route/node.ts';
import type { AgentModels } from '../../../proxies/llm/route/plan.ts';
import { createClock } from '../../../proxies/llm/spend/clock.ts';
import type { Limits } from '../../../proxies/llm/spend/limits.ts';
import { createSpend, type Spend } from '../../../proxies/llm/spend/spend.ts';
import { createSpools } from '../../../proxies/llm/spool.ts';
import { Secret } from '../../../proxies/secret.ts';
import { createProvider, type Provider, type ProviderOptions } from '../../provider/provider.ts';

/** Not a shape that a real vendor uses. */
export const realKey = 'practice-key-0123456789abcdef';

export type Lease = Armed & { lose(state?: 'closed' | 'killed'): void; restore(): void };

export function createTestLease(): Lease {
  let state: ReturnType<Armed['state']> = 'armed';
  const losers = new Set<() => void>();
  return {
    now: () => state === 'armed',
    state: () => state,
    onLost(lost) {
      losers.add(lost);
      return () => losers.delete(lost);
    },
    lose(next = 'closed') {
      state = next;
      for (const lost of losers) lost();
    },
    restore() {
      state = 'armed';
    },
  };
}

export type Line = Record<string, unknown>;

export type Rig = {
  url: string;
  port: number;
  llm: Llm;
  lease: Lease;
  spend: Spend;
  metrics: Metrics;
  /** What was recorded, in order; `blob` lines stand in `blobs`. */
  lines: Line[];
  blobs: Line[];
  /** What was logged, as text. */
  logged: string[];
  notices: Notice[];
  /** The first line of a kind, waited for. */
  line(kind: string, count?: number): Promise<Line>;
};

/** What a test may say; everything else has a quiet default: no limits, models for nothing, a ledger in memory. */
export type RigOptions = {
  agent?: string;
  lease?: Lease;
  secrets?: Record<string, string>;
  /** Of each line but blobs. Resolves when it is durable; when it rejects, the group is not on record. */
  record?: (line: Line) => Promise<unknown>;
  ledger?: Ledger;
  providers?: readonly Configured[];
  /** Providers without a price stay without one. By default they cost nothing. */
  unpriced?: boolean;
  agentModel?: AgentModels['model'];
  allow?: string[];
  aliases?: Record<string, string[]>;
  limits?: Partial<Limits>;
  keysHeld?: boolean;
  judgeUrl?: UrlJudge;
  turn?: () => string | null;
  /** Shared by the doors of two agents, as in the process. */
  nodes?: Nodes;
  /** Milliseconds, monotonic; a clock of createTestClock(). */
  now?: () => number;
  stallMs?: number;
  login?: LlmParts['login'];
};

export const unlimited: Limits = {
  usdPerDay: null,
  usdPerMonth: null,
  tokensPerDay: null,
  tokensPerMonth: null,
  requestsPerMinute: null,
  tokensPerMinute: null,
  roundsPerTurn: null,
  repeats: null,
  auditMbPerDay: null,
  bodyMb: 32,
};

/** A monotonic clock that runs, and can be set forward. */
export function createTestClock(): { now(): number; advance(ms: number): void } {
  let ahead = 0;
  return {
    now: () => performance.now() + ahead,
    advance(ms) {
      ahead += ms;
    },
  };
}

function lineOf(record: Line | Buffer | LateRecord): Line {
  const made = record instanceof LateRecord ? record.make() : record;
  return (Buffer.isBuffer(made) ? JSON.parse(made.toString('utf8')) : made) as Line;
}

/** A ledger in memory: hands the lines to `record` and keeps them. */
function memoryLedger(rig: Pick<Rig, 'lines' | 'blobs'>, record: RigOptions['record']): Ledger {
  let segment = {};
  return {
    async group(make) {
      for (const each of make(segment)) {
        const line = lineOf(each);
        if (line.kind === 'blob') {
          rig.blobs.push(line);
          continue;
        }
        try {
          await record?.(line);
        } catch (error) {
          segment = {}; // nothing that was made for it stands there
          throw error;
        }
        rig.lines.push(line);
      }
    },
  };
}

/** The lines of a real ledger, seen as they go in. */
const watched = (ledger: Ledger, { lines, blobs }: Pick<Rig, 'lines' | 'blobs'>): Ledger => ({
  async group(make) {
    let made: Line[] = [];
    const head = await ledger.group((segment) => {
      const given = make(segment);
      made = given.map(lineOf);
      return given;
    });
    for (const line of made) (line.kind === 'blob' ? blobs : lines).push(line);
    return head;
  },
});

function partsOf(t: TestContext, options: RigOptions) {
  const seen: Pick<Rig, 'lines' | 'blobs' | 'logged' | 'notices'> = {
    lines: [],
    blobs: [],
    logged: [],
    notices: [],
  };
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-spool-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const agent = options.agent ?? 'main';
  const secrets = options.secrets ?? { real: realKey };
  const lease = options.lease ?? createTestLease();
  const now = options.now ?? (() => performance.now());
  const limits = { ...unlimited, ...options.limits };
  const spend = createSpend({
    agent,
    limits,
    clock: createClock({ wall: Date.now, monotonicMs: now }),
    warn: () => {},
  });
  const metrics = createMetrics();
  const ledger = options.ledger ? watched(options.ledger, seen) : memoryLedger(seen, options.record);
  const parts: LlmParts = {
    agent,
    providers: (options.providers ?? []).map((each) =>
      options.unpriced || each.price || each.prices ? each : { ...each, price: { free: true } },
    ),
    aliases: options.aliases ?? {},
    models: { model: options.agentModel, allow: options.allow, aliases: {} },
    limits,
    keysHeld: options.keysHeld ?? true,
    secret: (name) => (secrets[name] === undefined ? undefined : new Secret(name, secrets[name])),
    login:
      options.login ?? (() => Promise.resolve(deny(503, 'no-login', 'no login in this test', 'Give one.'))),
    armed: lease,
    ledger,
    blobs: createBlobs(),
    spools: createSpools(folder),
    lanes: createLanes(),
    spend,
    nodes: options.nodes ?? createNodes(),
    metrics,
    judgeUrl: options.judgeUrl ?? ((url) => deny(403, 'url-refused', `no to ${url}`, 'None in this test.')),
    turn: options.turn ?? (() => null),
    notices: {
      tell: (notice) => void seen.notices.push(notice),
      standing: () => [],
      forget: () => {},
    },
    log: { error: (text, fields) => void seen.logged.push(JSON.stringify({ text, ...fields })) },
    now,
    ...(options.stallMs === undefined ? {} : { stallMs: options.stallMs }),
  };
  return { parts, lease, spend, metrics, ...seen };
}

export async function startDoor(t: TestContext, options: RigOptions): Promise<Rig> {
  const { parts, lines, ...rest } = partsOf(t, options);
  const llm = createLlm(parts);
  const server = createDoor(llm);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    llm.close();
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    llm,
    lines,
    ...rest,
    async line(kind, count = 1) {
      await until(() => lines.filter((each) => each.kind === kind).length >= count);
      return lines.filter((each) => each.kind === kind)[count - 1] as Line;
    },
  };
}

/** A provider with a fixed clock, so that two equal requests get equal bytes. */
export async function startProvider(t: TestContext, options: ProviderOptions = {}): Promise<Provider> {
  const provider = await createProvider({ now: () => new Date(1_750_000_000_000), ...options });
  t.after(() => provider.close());
  return provider;
}

/** One provider of a kind, its key required, and a door in front of it. */
export async function startBoth(
  t: TestContext,
  kind: KindName = 'openai',
  options: Omit<RigOptions, 'now'> & Omit<ProviderOptions, 'now'> & { change?: Partial<Configured> } = {},
): Promise<{ provider: Provider; rig: Rig; configured: Configured }> {
  const provider = await startProvider(t, { requireKey: realKey, ...options });
  const configured: Configured = {
    name: kind,
    kind,
    baseUrl: provider.url,
    key: 'real',
    // A practice model has no context to fill; as many at once as a test likes.
    concurrency: 64,
    ...options.change,
  };
  return { provider, configured, rig: await startDoor(t, { providers: [configured], ...options }) };
}

export async function until(condition: () => boolean, withinMs = 3000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not so within ${withinMs} ms: ${condition}`);
    await new Promise((done) => setTimeout(done, 2));
  }
}

export const chatBody = (text: string, extra: Record<string, unknown> = {}): Record<string, unknown> => ({
  model: 'practice',
  messages: [{ role: 'user', content: text }],
  ...extra,
});

export const post = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
