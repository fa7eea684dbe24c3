/** The broker: owns Docker's socket and runs approved jobs, on one unix socket. Started by the launcher; composition only. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { imageTag } from '../../images/tool/recipe.ts';
import { approvalSchema, jobSchema } from '../../sandbox/approval.ts';
import { createBroker } from '../../sandbox/broker.ts';
import { createEngine, EngineFault, type RunEvent } from '../../sandbox/docker.ts';
import { openNonces } from '../../sandbox/nonces.ts';
import { Problem } from '../problem.ts';
import { attend } from '../process.ts';
import { serve } from '../socket.ts';

const agentUser = z.strictObject({
  uid: z.int().min(1).describe('never root: a container’s user is the agent’s'),
  gid: z.int().min(1),
});
const partSchema = z.strictObject({
  instance: z.string().regex(/^[0-9a-f]{8}$/),
  workspaces: z
    .record(z.string(), z.string().startsWith('/'))
    .describe('paths on the host: Docker knows no views'),
  uids: z.record(z.string(), agentUser),
  memoryMb: z.int().min(16).describe('of one container, without swap'),
  pids: z.int().min(2).describe('processes in one container'),
  outputKb: z.int().min(1).describe('of one run; the rest is left out'),
  dockerSocket: z.string().nullable().describe('null where Docker was not found at the start'),
  version: z.string().optional().describe('digest of the whole configuration'),
});
const runSchema = z.strictObject({ job: jobSchema, approval: approvalSchema });

function parsed<T>(schema: z.ZodType<T>, value: unknown, code: string, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new Problem(code, 422, `broker does not understand ${what}`, z.prettifyError(result.error));
}

const here = attend();
let part = parsed(partSchema, here.part(), 'bad-part', 'its part');
const engine = createEngine(part.dockerSocket ?? '/run/docker.sock');
const broker = createBroker({
  instance: part.instance,
  engine,
  imageTag: imageTag(),
  approvalKey: () => readKey(here.home('keys/approvals.pub.pem')),
  nonces: await openNonces(here.home('broker/nonces')),
  armed: here.lease(),
  place: (agent) => {
    const workspace = part.workspaces[agent];
    const user = part.uids[agent];
    return workspace === undefined || !user ? undefined : { workspace, ...user };
  },
  limits: () => part,
  now: Date.now,
});

/** Undefined until the controller has made one. */
function readKey(path: string): KeyObject | undefined {
  let pem: Buffer;
  try {
    pem = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return createPublicKey(pem);
  } catch (error) {
    throw new Problem('bad-key', 500, 'the approval key is not a public key', `Look at ${path}.`, error);
  }
}

const asProblem = (error: unknown): unknown =>
  error instanceof EngineFault ? new Problem('docker', 502, error.message, error.hint, error) : error;

async function* told(events: AsyncIterable<RunEvent>): AsyncGenerator<RunEvent> {
  try {
    yield* events;
  } catch (error) {
    here.log.error('a run failed', { why: String(error) });
    throw asProblem(error);
  }
}

await serve(here.door('broker'), {
  'GET /profile': () => broker.profile(),
  'POST /run': async ({ body, signal }) => {
    const { job, approval } = parsed(runSchema, body, 'bad-run', 'the job');
    const verdict = await broker.run(job, approval, signal);
    if (!verdict.allow) throw new Problem(`refused-${verdict.rule}`, 403, verdict.reason, verdict.hint);
    here.trail('docker', `A tool container of ${job.agent} was started for approval ${approval.id}.`);
    return told(verdict.events);
  },
  'POST /stop': async () => {
    try {
      return await broker.stop();
    } catch (error) {
      throw asProblem(error);
    }
  },
});

here.onConfig((next) => {
  part = parsed(partSchema, next, 'bad-part', 'its part');
});

// What an earlier broker left behind: its callers are gone. Without an engine there is nothing to stop.
broker.stop().then(
  ({ killed }) =>
    killed > 0 && here.trail('docker', `${killed} tool containers of an earlier start were removed.`),
  (error: unknown) => here.log.info('no engine yet', { why: String(error) }),
);

await here.ready();
