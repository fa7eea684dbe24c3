/** One shell call, from the asking to the last byte: recorded, asked, waited for, run by the broker. Both the MCP door and the run socket come through here. */
import type { Armed } from '../proxies/armed.ts';
import { createQuota, type Quota } from '../proxies/ledger/quota.ts';
import type { Refusal } from '../proxies/verdict/verdict.ts';
import { type Answer, answerOf, unapproved } from './answer.ts';
import { digest, type Job, jobSchema, maxScriptBytes, type SignedApproval } from './approval.ts';
import type { Profile } from './broker.ts';
import type { RunEvent } from './docker.ts';

export type ShellParts = {
  /** The controller. Each may throw. */
  ask: {
    open(ask: { agent: string; tool: string; job: Job; digest: string; by: string }): Promise<{
      id: string;
      expiresAt: string;
    }>;
    wait(id: string, waitMs: number, signal: AbortSignal): Promise<Answer>;
    withdraw(id: string, why: string): Promise<void>;
  };
  /** The broker. Each may throw; the end of the signal is the end of the container. */
  broker: {
    profile(): Promise<Profile>;
    run(job: Job, approval: SignedApproval, signal: AbortSignal): AsyncIterable<RunEvent>;
  };
  /** Resolves when the line is durable; rejects when it cannot be made so. */
  record: (line: Record<string, unknown>) => Promise<unknown>;
  armed: Armed;
  limits: () => { waitSeconds: number; timeoutSeconds: number };
  /** What a fault of ask or broker means to the caller; undefined for one that nobody expected. */
  explain: (error: unknown) => Refusal | undefined;
  /** For what must not be lost and has no caller to go to. */
  report: (text: string, error: unknown) => void;
  now: () => number;
  /** 32 hex digits, never twice. */
  nonce: () => string;
};

export type Call = { agent: string; command: string; timeoutSeconds?: number | undefined; by: string };

export type ShellEvent =
  | { event: 'waiting'; id: string; expiresAt: string }
  | { event: 'started' }
  | { event: 'output'; stream: 'stdout' | 'stderr'; text: string }
  | { event: 'exit'; code: number; timedOut: boolean; oom: boolean; ms: number }
  | { event: 'refused'; reason: string; hint: string };

/** A call that was asked and not yet run. It runs at most once, inside `settle`. */
export type Question = {
  id: string;
  expiresAt: string;
  /** Resolves when it is decided; never rejects. */
  decided: Promise<unknown>;
  /** The rest of the call. Its signal's end is the end of the call: unanswered it is withdrawn, running it is killed. */
  settle(signal: AbortSignal): AsyncGenerator<ShellEvent>;
  /** The call is gone: no later yes runs anything. */
  withdraw(why: string): void;
};

export type Shell = {
  /** A question, or why there is none. Throws only what `explain` does not know. */
  ask(call: Call): Promise<Refusal | Question>;
  /** The whole call in one. */
  call(call: Call, signal: AbortSignal): AsyncGenerator<ShellEvent>;
};

/** Each asks a person. At 64 KiB a call it is 6 GB a day at the worst, where a loop without it wrote that in an hour. */
const callsPerMinute = 60;

export function createShell(parts: ShellParts): Shell {
  const { broker, record, armed, now } = parts;
  const quotas = new Map<string, Quota>(); // of agents that the caller has looked up, so there are few

  async function ask(call: Call): Promise<Refusal | Question> {
    if (!armed.now()) return notArmed();
    if (Buffer.byteLength(call.command) > maxScriptBytes) {
      // Not on record: a line of the ledger has a size too, and nothing came of it.
      const why = `a command has at most ${maxScriptBytes} bytes`;
      return refuse('size', why, 'Write what is long to a file in /workspace, in parts.');
    }
    const quota = quotas.get(call.agent) ?? createQuota(callsPerMinute, now);
    quotas.set(call.agent, quota);
    if (quota.take() === null) {
      const why = `${call.agent} has made ${callsPerMinute} calls this minute`;
      return refuse('too-often', why, 'Wait a minute; one script can do a step completely.');
    }
    const id = parts.nonce();
    const { waitSeconds, timeoutSeconds } = parts.limits();
    const timeoutMs = Math.min(call.timeoutSeconds ?? timeoutSeconds, timeoutSeconds) * 1000;
    const { agent, command, by } = call;
    try {
      await record({ kind: 'request', id, agent, door: 'tools', tool: 'shell', by, command, timeoutMs });
    } catch (error) {
      parts.report('a tool call cannot be recorded', error);
      return refuse('record', 'the call cannot be recorded, so it is refused', 'Is the disk full?');
    }
    const opened = await open(call, id, timeoutMs, waitSeconds).catch((error: unknown): Refusal => {
      const refusal = parts.explain(error);
      if (refusal) return refusal;
      throw error;
    });
    if ('allow' in opened) await outcome(id, agent, { verdict: 'refuse', ...told(opened) });
    return opened;
  }

  async function open(
    { agent, command, by }: Call,
    call: string,
    timeoutMs: number,
    waitSeconds: number,
  ): Promise<Refusal | Question> {
    const profile = await broker.profile();
    if (!profile.ready) return refuse(profile.what, profile.message, profile.fix);
    const job = jobSchema.safeParse({
      v: 1,
      agent,
      profile: 'shell',
      script: command,
      timeoutMs,
      image: profile.image,
      nonce: parts.nonce(),
      expiresAt: new Date(now() + waitSeconds * 1000).toISOString(),
    });
    if (!job.success) {
      const [issue] = job.error.issues;
      return refuse(
        'job',
        `this cannot be a job: ${issue?.path.join('.')}: ${issue?.message}`,
        'Ask for less.',
      );
    }
    const asked = { agent, tool: 'shell', job: job.data, digest: digest(job.data), by };
    const { id, expiresAt } = await parts.ask.open(asked);
    return question({ call, id, expiresAt, job: job.data, digest: asked.digest });
  }

  type Asked = { call: string; id: string; expiresAt: string; job: Job; digest: string };

  function question(asked: Asked): Question {
    const waiting = new AbortController();
    let taken = false;
    const decided = answerOf(asked, { ...parts, wait: parts.ask.wait }, waiting.signal);

    const withdraw = (why: string): void => {
      if (taken) return;
      taken = true;
      waiting.abort();
      parts.ask.withdraw(asked.id, why).catch((error) => parts.report('withdraw', error));
      void outcome(asked.call, asked.job.agent, { verdict: 'refuse', rule: 'withdrawn', reason: why });
    };

    async function* settle(signal: AbortSignal): AsyncGenerator<ShellEvent> {
      const left = (): void => withdraw('the call is gone');
      signal.addEventListener('abort', left);
      try {
        if (signal.aborted) left();
        const answer = await decided;
        if (taken) return;
        taken = true;
        yield* answer.state === 'approved' && answer.approval
          ? run(asked, answer.approval, signal)
          : refused(asked, unapproved(answer, asked.expiresAt));
      } finally {
        signal.removeEventListener('abort', left);
      }
    }

    return { id: asked.id, expiresAt: asked.expiresAt, decided, settle, withdraw };
  }

  async function* run(
    asked: Asked,
    approval: SignedApproval,
    signal: AbortSignal,
  ): AsyncGenerator<ShellEvent> {
    const { call, id, job } = asked;
    if (!armed.now()) return yield* refused(asked, notArmed());
    try {
      await record({
        kind: 'run',
        id: call,
        agent: job.agent,
        approval: id,
        digest: asked.digest,
        image: job.image,
      });
    } catch (error) {
      parts.report('an approved call cannot be recorded', error);
      const why = 'the run cannot be recorded, so it is refused';
      return yield* refused(asked, refuse('record', why, 'Is the disk full?'));
    }
    let bytes = 0;
    let end: Record<string, unknown> = { error: 'the call is gone; its container was killed' };
    try {
      yield { event: 'started' };
      for await (const event of broker.run(job, approval, signal)) {
        if ('text' in event) {
          bytes += Buffer.byteLength(event.text);
          yield { event: 'output', ...event };
        } else {
          const { exit, timedOut, oom, ms } = event;
          end = { verdict: 'allow', rule: `approval ${id}`, exit, timedOut, oom, ms };
          yield { event: 'exit', code: exit, timedOut, oom, ms };
        }
      }
    } catch (error) {
      if (signal.aborted) return; // the cut is our own
      const refusal = parts.explain(error);
      end = refusal ? { verdict: 'refuse', ...told(refusal) } : { error: 'an internal fault' };
      if (!refusal) throw error;
      yield { event: 'refused', reason: refusal.reason, hint: refusal.hint };
    } finally {
      await outcome(call, job.agent, { ...end, bytesOut: bytes });
    }
  }

  async function* refused(asked: Asked, refusal: Refusal): AsyncGenerator<ShellEvent> {
    await outcome(asked.call, asked.job.agent, { verdict: 'refuse', ...told(refusal) });
    yield { event: 'refused', reason: refusal.reason, hint: refusal.hint };
  }

  /** What it came to. It has happened by now, so a disk that fails is reported and changes nothing. */
  async function outcome(id: string, agent: string, rest: Record<string, unknown>): Promise<void> {
    await record({ kind: 'outcome', id, agent, ...rest }).catch((error: unknown) =>
      parts.report('the outcome of a tool call cannot be recorded', error),
    );
  }

  return {
    ask,
    async *call(call, signal) {
      const asked = await ask(call);
      if ('allow' in asked) {
        yield { event: 'refused', reason: asked.reason, hint: asked.hint };
        return;
      }
      try {
        yield { event: 'waiting', id: asked.id, expiresAt: asked.expiresAt };
        yield* asked.settle(signal);
      } finally {
        asked.withdraw('the call is gone'); // whoever left between the two; nothing once it was settled
      }
    },
  };
}

const refuse = (rule: string, reason: string, hint: string): Refusal => ({
  allow: false,
  rule,
  reason,
  hint,
});

const notArmed = (): Refusal =>
  refuse('lease', 'Holdfast is not armed', 'An operator sees why with `holdfast status`.');

const told = ({ rule, reason }: Refusal): Record<string, unknown> => ({ rule, reason });
