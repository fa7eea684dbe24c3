/** The tools process: an MCP door for each agent and the run socket, both over one shell. Started by the launcher; composition only. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import type { Refusal } from '../../proxies/verdict/verdict.ts';
import { approvalSchema } from '../../sandbox/approval.ts';
import { createCalls } from '../../sandbox/mcp/calls.ts';
import { createToolsDoor } from '../../sandbox/mcp/door.ts';
import { createShell } from '../../sandbox/shell.ts';
import { Problem } from '../problem.ts';
import { attend } from '../process.ts';
import { call, serve, stream } from '../socket.ts';

const partSchema = z.strictObject({
  agents: z.array(z.string()),
  waitSeconds: z.int().min(1).describe('how long a question waits for a yes'),
  timeoutSeconds: z.int().min(1).describe('the longest that a command may run'),
  outputKb: z.int().min(1).describe('of one run; the broker keeps it'),
  version: z.string().optional().describe('digest of the whole configuration'),
});

// What the neighbours answer. They are ours, and parsed all the same: what is not so is a fault here, not later.
const askedSchema = z.object({ id: z.string(), expiresAt: z.string() });
const answerSchema = z.object({
  state: z.enum(['pending', 'approved', 'denied', 'expired', 'withdrawn']),
  approval: approvalSchema.optional(),
  reason: z.string().optional(),
});
const profileSchema = z.discriminatedUnion('ready', [
  z.object({ ready: z.literal(true), image: z.string() }),
  z.object({
    ready: z.literal(false),
    what: z.enum(['docker', 'image']),
    message: z.string(),
    fix: z.string(),
  }),
]);
const runEventSchema = z.union([
  z.object({ stream: z.enum(['stdout', 'stderr']), text: z.string() }),
  z.object({ exit: z.number(), timedOut: z.boolean(), oom: z.boolean(), ms: z.number() }),
]);

const runSchema = z.strictObject({
  agent: z.string().min(1),
  command: z.string().min(1),
  timeoutSeconds: z.int().min(1).max(3600).optional(),
  by: z.string().min(1).max(200).describe('who asks, in words; shown, never trusted'),
});

function parsed<T>(schema: z.ZodType<T>, value: unknown, code: string, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new Problem(code, 422, `tools does not understand ${what}`, z.prettifyError(result.error));
}

const here = attend();
let part = parsed(partSchema, here.part(), 'bad-part', 'its part');
const ledger = await openLedger({ path: here.home('audit/tools.jsonl'), archive: here.home('audit/tools') });
const armed = here.lease();
const report = (text: string, error: unknown): void => here.log.error(text, { why: String(error) });

/** What a caller may read of a fault of the neighbours. */
function explain(error: unknown): Refusal | undefined {
  if (error instanceof Problem) {
    return { allow: false, rule: error.code, reason: error.message, hint: error.hint };
  }
  if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') return undefined;
  const reason = 'the run was cut off: the broker ended, and its containers with it';
  return { allow: false, rule: 'cut', reason, hint: 'Call again.' };
}

const quickMs = 10_000; // both answer from memory or one write
const shell = createShell({
  ask: {
    open: async (ask) =>
      askedSchema.parse(await call(here.socket('ask'), 'POST /approvals', ask, { timeoutMs: quickMs })),
    wait: async (id, waitMs, signal) => {
      const route = `GET /approvals/${encodeURIComponent(id)}?waitMs=${waitMs}`;
      const options = { timeoutMs: waitMs + quickMs, signal };
      return answerSchema.parse(await call(here.socket('ask'), route, undefined, options));
    },
    withdraw: async (id, why) => {
      await call(
        here.socket('ask'),
        `DELETE /approvals/${encodeURIComponent(id)}`,
        { why },
        { timeoutMs: quickMs },
      );
    },
  },
  broker: {
    profile: async () =>
      profileSchema.parse(
        await call(here.socket('broker'), 'GET /profile', undefined, { timeoutMs: quickMs }),
      ),
    async *run(job, approval, signal) {
      const lines = stream(here.socket('broker'), 'POST /run', { job, approval }, { signal });
      for await (const line of lines) yield runEventSchema.parse(line);
    },
  },
  record: (line) => ledger.append(line),
  armed,
  limits: () => part,
  explain,
  report,
  now: Date.now,
  nonce: () => randomBytes(16).toString('hex'),
});

for (const { fd, rest: agent } of here.doors('tools.')) {
  const calls = createCalls({ agent, shell, report, now: Date.now });
  createToolsDoor({ calls, armed, report }).listen({ fd });
}

await serve(here.door('run'), {
  'POST /run': ({ body, signal }) => {
    const run = parsed(runSchema, body, 'bad-run', 'the call');
    if (!part.agents.includes(run.agent))
      throw new Problem('no-agent', 404, `there is no agent ${run.agent}`, 'See `holdfast agent list`.');
    return shell.call(run, signal);
  },
});

here.onConfig((next) => {
  part = parsed(partSchema, next, 'bad-part', 'its part');
});

await here.ready();
