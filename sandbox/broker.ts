/** Runs what was approved, exactly and once. Owns the engine; takes nothing but a job and a signature over it, and makes the container's configuration itself. Started by processes/broker.ts. */
import type { KeyObject } from 'node:crypto';
import type { Armed } from '../proxies/armed.ts';
import type { Refusal } from '../proxies/verdict/verdict.ts';
import { type Job, type SignedApproval, verifyApproval } from './approval.ts';
import { capped } from './cap.ts';
import { containerFor } from './container.ts';
import { type Engine, EngineFault, type RunEvent } from './docker.ts';
import type { Nonces } from './nonces.ts';

/** Where an agent's containers may write, and as whom. */
export type Place = { workspace: string; uid: number; gid: number };

export type BrokerParts = {
  instance: string;
  engine: Engine;
  /** The one image that may run, as `name:tag`. */
  imageTag: string;
  /** The controller's public key, read anew for each run: it is made on the first start. */
  approvalKey: () => KeyObject | undefined;
  nonces: Nonces;
  armed: Armed;
  place: (agent: string) => Place | undefined;
  limits: () => { memoryMb: number; pids: number; outputKb: number };
  now: () => number;
};

export type Profile =
  | { ready: true; image: string }
  | { ready: false; what: 'docker' | 'image'; message: string; fix: string };

export type Broker = {
  profile(): Promise<Profile>;
  /** A refusal, or the events of the run. The signal's end is the container's end. Throws EngineFault. */
  run(
    job: Job,
    approval: SignedApproval,
    signal: AbortSignal,
  ): Promise<Refusal | { allow: true; events: AsyncGenerator<RunEvent> }>;
  /** Kills every container of this instance, those of an earlier broker too. */
  stop(): Promise<{ killed: number }>;
};

export function createBroker(parts: BrokerParts): Broker {
  const { engine, armed } = parts;
  const running = new Set<AbortController>();
  const abortAll = (): void => {
    for (const run of running) run.abort();
  };
  armed.onLost(abortAll);

  async function profile(): Promise<Profile> {
    try {
      const image = await engine.imageId(parts.imageTag);
      if (image !== undefined) return { ready: true, image };
      return {
        ready: false,
        what: 'image',
        message: `the tool image ${parts.imageTag} is not there yet`,
        fix: 'Holdfast builds it at its start; `holdfast status` shows how far it is.',
      };
    } catch (error) {
      if (!(error instanceof EngineFault)) throw error;
      return { ready: false, what: 'docker', message: error.message, fix: error.hint };
    }
  }

  async function judge(job: Job, approval: SignedApproval): Promise<Refusal | Place> {
    const key = parts.approvalKey();
    if (!key) return refuse('no-key', 'the controller has made no approval key yet', 'Start the controller.');
    const verdict = verifyApproval(key, job, approval, parts.now());
    if (!verdict.allow) return verdict;
    const place = parts.place(job.agent);
    if (!place) return refuse('agent', `there is no agent ${job.agent} here`, 'See `holdfast agent list`.');
    const now = await profile();
    if (!now.ready) return refuse(now.what, now.message, now.fix);
    if (now.image !== job.image) {
      return refuse('image', 'the tool image changed after the approval', 'Ask for a new approval.');
    }
    if (!armed.now()) return notArmed();
    // Last: what is refused above may be sent again, what is used up here may not.
    if (!(await parts.nonces.use(job.nonce, job.expiresAt))) {
      return refuse('used', 'this approval has been used', 'Ask for a new approval.');
    }
    return place;
  }

  async function* events(job: Job, place: Place, signal: AbortSignal): AsyncGenerator<RunEvent> {
    const ending = new AbortController();
    const end = (): void => ending.abort();
    signal.addEventListener('abort', end);
    running.add(ending);
    try {
      if (signal.aborted) return;
      const { memoryMb, pids, outputKb } = parts.limits();
      const box = {
        ...place,
        memoryMb,
        pids,
        instance: parts.instance,
        agent: job.agent,
        nonce: job.nonce,
        image: job.image,
      };
      const run = engine.run(containerFor(box), {
        script: job.script,
        timeoutMs: job.timeoutMs,
        signal: ending.signal,
        mayStart: () => armed.now(),
      });
      let ended = false;
      for await (const event of capped(run, outputKb * 1024)) {
        ended = 'exit' in event;
        yield event;
      }
      // Nobody is told when nobody is there; everybody else learns why there is no exit.
      if (!ended && !signal.aborted)
        throw new EngineFault('the run was ended by the loss of the lease', leaseHint);
    } finally {
      signal.removeEventListener('abort', end);
      running.delete(ending);
    }
  }

  return {
    profile,
    async run(job, approval, signal) {
      const judged = await judge(job, approval);
      return 'allow' in judged ? judged : { allow: true, events: events(job, judged, signal) };
    },
    async stop() {
      abortAll();
      return { killed: await engine.removeAll(parts.instance) };
    },
  };
}

const refuse = (rule: string, reason: string, hint: string): Refusal => ({
  allow: false,
  rule,
  reason,
  hint,
});

const leaseHint = 'See `holdfast status`; a kill is lifted with `holdfast rearm`.';
const notArmed = (): Refusal => refuse('lease', 'Holdfast is not armed', leaseHint);
