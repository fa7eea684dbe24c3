/** The traffic ledger with what is counted from it: the time, each agent's spend, the blobs that stand already. Opened by processes/llm.ts before its doors serve. */
import { createBlobs } from '../../proxies/ledger/blobs.ts';
import { type Ledger, openLedger } from '../../proxies/ledger/ledger.ts';
import { type Anchor, bootId, type Clock, createClock, createUptime } from '../../proxies/llm/spend/clock.ts';
import { defaultLimits, type Limits } from '../../proxies/llm/spend/limits.ts';
import { createSpend, type Spend } from '../../proxies/llm/spend/spend.ts';

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
  limits: Readonly<Record<string, Limits>>;
  warn(agent: string, percent: 50 | 80, what: string): void;
};

type Seen = Record<string, unknown>;

/** What a count needs of a line: a segment's worth of bodies is not kept. */
const wanted = ['kind', 'id', 'agent', 'at', 'reserved', 'cost', 'stored'];
const brief = (line: Seen): Seen => Object.fromEntries(wanted.map((name) => [name, line[name]]));

export async function openBooks({ path, archive, limits, warn }: BooksParts): Promise<Books> {
  const blobs = createBlobs();
  const lines: Seen[] = [];
  let anchor: Anchor | undefined;
  let floor: Date | undefined;
  const spends = new Map<string, Spend>();

  const ledger = await openLedger({
    path,
    archive,
    visit(line, segment) {
      blobs.seen(segment, line);
      const carried = line.kind === 'segment' ? (line.carry as Seen | undefined) : undefined;
      if (line.kind === 'started' || carried) anchor = anchorOf(carried?.clock ?? line.clock) ?? anchor;
      for (const each of carried && Array.isArray(carried.agents) ? carried.agents : [])
        lines.push(each as Seen);
      if (typeof line.agent === 'string') lines.push(brief(line));
      const day = (line.reserved as Seen | undefined)?.day;
      if (typeof day === 'string') floor = new Date(`${day}T00:00:00Z`);
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
  for (const line of lines) spend(String(line.agent)).replay(line);
  await ledger.append({ kind: 'started', clock: clock.anchor() });
  return { ledger, blobs, clock, spend };
}

function anchorOf(value: unknown): Anchor | undefined {
  const { at, uptimeMs, boot } = (value ?? {}) as Seen;
  return typeof at === 'string' && typeof uptimeMs === 'number' && typeof boot === 'string'
    ? { at, uptimeMs, boot }
    : undefined;
}
