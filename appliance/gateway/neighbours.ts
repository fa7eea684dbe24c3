/** What the gateway asks of its neighbours over their sockets: the keeper's state, waiting approvals, worlds, sessions, one tool run. Every answer is parsed here, and nowhere else. */
import { z } from 'zod';
import { call, stream } from '../socket.ts';

/** ISO text or ms since the epoch; ms inside. */
const time = z.union([z.number(), z.string()]).transform((value) => new Date(value).getTime());

const keeperState = z.object({
  state: z.enum(['armed', 'closed', 'killed']),
  since: time.optional(),
  reason: z.string().nullish(),
});

/** Lenient: a press that worked must not look like a failure because its receipt has grown a field. */
const receipt = z.object({
  id: z.coerce.string().catch('unknown'),
  state: z.string().catch('unknown'),
  steps: z
    .array(
      z.object({ name: z.string(), ms: z.number().catch(0), ok: z.boolean(), detail: z.string().nullish() }),
    )
    .catch([]),
});

const approval = z.object({
  id: z.string(),
  agent: z.string(),
  tool: z.string(),
  script: z.string(),
  by: z.string(),
  askedAt: time,
  expiresAt: time,
});

const world = z.object({
  agent: z.string(),
  state: z.string(),
  why: z.string().nullish(),
  walls: z.array(
    z.object({
      wall: z.string(),
      state: z.string(),
      detail: z.string().nullish(),
      fix: z.string().nullish(),
    }),
  ),
});

const runEvent = z.discriminatedUnion('event', [
  z.object({ event: z.literal('waiting'), id: z.string(), expiresAt: time }),
  z.object({ event: z.literal('started') }),
  z.object({ event: z.literal('output'), stream: z.string(), text: z.string() }),
  z.object({
    event: z.literal('exit'),
    code: z.number().nullable(),
    timedOut: z.boolean().default(false),
    oom: z.boolean().default(false),
    ms: z.number(),
  }),
  z.object({ event: z.literal('refused'), reason: z.string(), hint: z.string() }),
]);

const redeemed = z.object({ session: z.string().min(1), operator: z.string() });
const checked = z.object({ ok: z.boolean(), operator: z.string().optional() });

export type KeeperState = z.infer<typeof keeperState>;
export type Approval = z.infer<typeof approval>;
export type World = z.infer<typeof world>;
export type Receipt = z.infer<typeof receipt>;
export type RunEvent = z.infer<typeof runEvent>;

export type Run = { agent: string; command: string; by: string };

/** Each throws a Problem when the neighbour refuses or does not answer. */
export type Neighbours = {
  keeperState(): Promise<KeeperState>;
  trip(reason: string, by: string): Promise<Receipt>;
  approvals(agent: string): Promise<Approval[]>;
  worlds(): Promise<World[]>;
  run(run: Run, signal: AbortSignal): AsyncIterable<RunEvent>;
  redeem(code: string, state: string): Promise<{ session: string; operator: string }>;
  check(session: string): Promise<{ ok: boolean; operator?: string | undefined }>;
  end(session: string): Promise<void>;
  /** Which turn of an agent is open: the llm door puts it on the record. null when it has closed. */
  openTurn(agent: string, turn: string | null): Promise<void>;
};

const quick = { timeoutMs: 2_000 }; // they answer from memory on this machine
const tripped = { timeoutMs: 30_000 }; // the receipt comes after the kill was verified

export function createNeighbours(socket: (name: string) => string): Neighbours {
  return {
    keeperState: async () => keeperState.parse(await call(socket('trip'), 'GET /state', undefined, quick)),
    trip: async (reason, by) =>
      receipt.parse(await call(socket('trip'), 'POST /trip', { reason, by }, tripped)),
    approvals: async (agent) =>
      z
        .array(approval)
        .parse(
          await call(socket('ask'), `GET /approvals?agent=${encodeURIComponent(agent)}`, undefined, quick),
        ),
    worlds: async () => z.array(world).parse(await call(socket('ask'), 'GET /worlds', undefined, quick)),
    async *run(run, signal) {
      for await (const line of stream(socket('run'), 'POST /run', run, { signal }))
        yield runEvent.parse(line);
    },
    redeem: async (code, state) =>
      redeemed.parse(await call(socket('session'), 'POST /redeem', { code, state }, quick)),
    check: async (session) => checked.parse(await call(socket('session'), 'POST /check', { session }, quick)),
    end: async (session) => {
      await call(socket('session'), 'POST /end', { session }, quick);
    },
    openTurn: async (agent, turn) => {
      await call(socket('turns'), 'POST /turn', { agent, turn }, quick);
    },
  };
}
