/** The traffic ledger with what is counted from it: the time, each agent's spend, the blobs that stand already. Opened by processes/llm.ts before its doors serve. */
import { createBlobs } from '../../proxies/ledger/blobs.ts';
import { type Ledger, openLedger } from '../../proxies/ledger/ledger.ts';
import type { Line } from '../../proxies/ledger/line.ts';
import { type Anchor, bootId, type Clock, createClock, createUptime } from '../../proxies/llm/spend/clock.ts';
import { defaultLimits, type Limits } from '../../proxies/llm/spend/limits.ts';
import { createSpend, type Spend } from '../../proxies/llm/spend/spend.ts';
import { Problem } from '../problem.ts';

// FORMAT, beside what record.ts writes. A start: {"kind":"started","clock":{"at","uptimeMs","boot"}}.
// In a new segment's `carry`: {"clock":<the same>,"agents":[<each agent's carry of spend.ts>]}.

export type Books = {
  ledger: Ledger;
  blobs: ReturnType<typeof createBlobs>;
  clock: Clock;
  /** One for each agent that was ever seen: who is taken out and comes back has spent what it has spent. */
  spend(agent: string): Spend;
};

type BooksParts = {
  path: string;
  archive: string;
  /** Left out: the ledger's own. */
  segmentBytes?: number;
  limits: Readonly<Record<string, Limits>>;
  warn(agent: string, percent: 50 | 80, what: string): void;
};

type Seen = Record<string, unknown>;

/** What a count needs of a line, and where it stands: a segment's worth of bodies is not kept. */
const wanted = ['seq', 'kind', 'id', 'agent', 'at', 'reserved', 'cost', 'stored'];
const brief = (line: Seen): Seen => Object.fromEntries(wanted.map((name) => [name, line[name]]));

/** Throws where what was spent cannot be counted: then nothing is served, because a budget that is not known must not open. */
export async function openBooks({ path, archive, limits, warn, ...size }: BooksParts): Promise<Books> {
  const blobs = createBlobs();
  const lines: Seen[] = [];
  let anchor: Anchor | undefined;
  let floor: Date | undefined;
  const spends = new Map<string, Spend>();

  const ledger = await openLedger({
    path,
    archive,
    ...size,
    visit(line, segment) {
      blobs.seen(segment, line);
      if (line.kind === 'started') anchor = anchorOf(line.clock) ?? uncounted(path, line, 'clock');
      if (line.kind === 'segment') {
        const carried = carriedBy(path, line);
        anchor = carried.clock;
        lines.push(...carried.agents);
      }
      if (line.kind === 'request' && line.reserved !== undefined) {
        floor = dayOf(line) ?? uncounted(path, line, 'day');
        if (typeof line.id !== 'string' || typeof line.agent !== 'string')
          uncounted(path, line, 'id or agent');
      }
      if (typeof line.agent === 'string') lines.push(brief(line));
    },
    carry: () => ({ clock: clock.anchor(), agents: [...spends.values()].map((each) => each.carry()) }),
  });

  const clock = createClock({
    wall: Date.now,
    monotonicMs: createUptime(),
    boot: bootId(),
    ...(anchor ? { anchor } : {}),
    ...(floor ? { floor } : {}),
  });
  const spend = (agent: string): Spend => {
    const known = spends.get(agent);
    if (known) return known;
    const made = createSpend({
      agent,
      limits: limits[agent] ?? defaultLimits,
      clock,
      warn: (percent, what) => warn(agent, percent, what),
    });
    spends.set(agent, made);
    return made;
  };
  try {
    for (const line of lines) replay(path, spend(String(line.agent)), line);
    await ledger.append({ kind: 'started', clock: clock.anchor() });
  } catch (error) {
    await ledger.close();
    throw error;
  }
  return { ledger, blobs, clock, spend };
}

function replay(path: string, spend: Spend, line: Seen): void {
  try {
    spend.replay(line);
  } catch (error) {
    uncounted(path, line, 'sum', error);
  }
}

/** The line chains, so it is what was written: a fault of ours, or of a version that wrote otherwise. */
function uncounted(path: string, line: Seen, what: string, cause?: unknown): never {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  throw new Problem(
    'spend-unknown',
    500,
    `${path}: what was spent cannot be counted, because line ${line.seq} (${line.kind}) has no ${what} that can be read${why}`,
    'Models are not served until it can. Move the ledger and its folder of segments away to begin a new one, with budgets that begin anew.',
    cause,
  );
}

/** What a segment takes over from those before it. `seq` says where a carry of it stands. */
function carriedBy(path: string, line: Line): { clock: Anchor; agents: Seen[] } {
  const { clock, agents } = (line.carry ?? {}) as Seen;
  if (!Array.isArray(agents)) return uncounted(path, line, 'carry');
  return {
    clock: anchorOf(clock) ?? uncounted(path, line, 'clock'),
    agents: agents.map((each: unknown) => {
      const { agent, kind } = (each ?? {}) as Seen;
      if (typeof agent !== 'string' || kind !== 'carry') return uncounted(path, line, 'carry');
      return { ...(each as Seen), seq: line.seq };
    }),
  };
}

/** When the day began on which a request was reserved for. */
function dayOf({ reserved }: Seen): Date | undefined {
  const day = (reserved as Seen | null)?.day;
  const at = typeof day === 'string' ? new Date(`${day}T00:00:00Z`) : undefined;
  return at && Number.isFinite(at.getTime()) ? at : undefined;
}

function anchorOf(value: unknown): Anchor | undefined {
  const { at, uptimeMs, boot } = (value ?? {}) as Seen;
  return typeof at === 'string' &&
    Number.isFinite(Date.parse(at)) &&
    typeof uptimeMs === 'number' &&
    typeof boot === 'string'
    ? { at, uptimeMs, boot }
    : undefined;
}
