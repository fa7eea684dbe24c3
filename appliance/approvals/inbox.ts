/** The approvals that were asked, kept and decided. Owned by the controller: ask.ts asks and waits, pages and decide.ts decide, nobody else can. */
import { randomBytes } from 'node:crypto';
import { refuse, type Verdict } from '../../proxies/verdict/verdict.ts';
import { digest, type Job, type SignedApproval } from '../../sandbox/approval.ts';
import type { Database } from '../database.ts';
import { Problem } from '../problem.ts';
import {
  type Approval,
  type ApprovalEvent,
  type ApprovalState,
  type Circumstances,
  may,
  transitions,
} from './approval.ts';
import { createAskers } from './askers.ts';
import { approvalRows } from './rows.ts';

export type Ask = { agent: string; tool: string; job: Job; digest: string; by: string };

/** Who decided, and over which surface, for the act on record. */
export type Decider = { by: string; from: 'page' | 'cli' | 'ask' };

export type Answer = {
  id: string;
  state: ApprovalState;
  expiresAtMs: number;
  reason?: string;
  approval?: SignedApproval;
};

/** The keeper's word; null when it cannot be had, which is never a yes. */
export type Arming = { state: Circumstances['state']; epoch: string };

export type InboxParts = {
  db: Database;
  now: () => number;
  /** How long a question waits, at the moment it is asked. */
  waitMs: () => number;
  arming: () => Promise<Arming>;
  sign: (fields: Omit<SignedApproval, 'v' | 'signature'>) => SignedApproval;
  /** Resolves when the act is durable. */
  record: (act: { act: string; by: string; from: string } & Record<string, unknown>) => Promise<void>;
};

export type Inbox = {
  ask(ask: Ask): Promise<Answer>;
  /** Waits until it is decided, at most `waitMs`. The open question is what makes a yes possible. */
  wait(id: string, waitMs: number, signal: AbortSignal): Promise<Answer>;
  withdraw(id: string, why: string): Answer;
  approve(id: string, decider: Decider, shown?: string): Promise<Verdict>;
  deny(id: string, decider: Decider): Promise<Verdict>;
  pending(agent?: string): Approval[];
  circumstances(approval: Approval, arming: Arming): Circumstances;
  /** Ends what is over. Called once a second by the composition root. */
  sweep(): void;
};

/** One agent cannot fill the page; a person does not read more than this. */
const maxPendingPerAgent = 20;
/** A yes is worth something until then, so a job that asks for much more is refused. */
const slackMs = 60_000;

export function createInbox({ db, now, waitMs, arming, sign, record }: InboxParts): Inbox {
  const rows = approvalRows(db);
  const askers = createAskers(now);
  // What was pending when the controller stopped has the same grace as any other to be asked for again.
  for (const each of rows.pending()) askers.seen(each.id, { waits: false });

  const get = (id: string): Approval => {
    const found = rows.find(id);
    if (!found)
      throw new Problem(
        'no-approval',
        404,
        'there is no such approval',
        'See `holdfast status` for what waits.',
      );
    return found;
  };

  /** The only way a state changes: by the table, and only from the state that was looked at. */
  const move = (
    id: string,
    event: ApprovalEvent,
    reason: string | null,
    approval: SignedApproval | null = null,
  ): boolean => {
    const to = transitions[get(id).state][event];
    const moved = to !== undefined && rows.settle(id, to, now(), reason, approval);
    if (moved) askers.wake(id);
    return moved;
  };

  const answer = (id: string): Answer => {
    const { state, expiresAtMs, reason } = get(id);
    const signed = state === 'approved' && now() < expiresAtMs ? rows.signed(id) : null;
    return {
      id,
      state,
      expiresAtMs,
      ...(reason === null ? {} : { reason }),
      ...(signed ? { approval: signed } : {}),
    };
  };

  const expire = (approval: Approval): boolean =>
    now() >= approval.expiresAtMs && move(approval.id, 'expire', 'Nobody answered in time: silence is no.');

  const circumstances = (approval: Approval, { state, epoch }: Arming): Circumstances => ({
    nowMs: now(),
    askerWaits: askers.waits(approval.id),
    state,
    epoch,
  });

  const mayNow = async (id: string): Promise<Verdict> => {
    const at = await arming();
    const approval = get(id);
    expire(approval);
    return may(get(id), 'approve', circumstances(approval, at));
  };

  return {
    circumstances,
    pending: (agent) => rows.pending(agent).filter((each) => !expire(each)),
    async ask({ agent, tool, job, digest: named, by }) {
      if (job.agent !== agent) throw wrongAsk('the job names another agent');
      if (digest(job) !== named) throw wrongAsk('the digest is not that of the job');
      const endsMs = Date.parse(job.expiresAt);
      if (endsMs <= now()) throw wrongAsk('the job has expired');
      if (endsMs > now() + waitMs() + slackMs)
        throw wrongAsk('the job would stay valid for longer than a question waits');
      const { state, epoch } = await arming();
      if (state !== 'armed') {
        throw new Problem(
          'not-armed',
          503,
          `Holdfast is ${state}: nothing can be asked`,
          state === 'killed' ? 'An operator has to re-arm.' : 'Try again in a moment.',
        );
      }
      const known = rows.byDigest(named);
      if (known) {
        // Asked again after a restart of either side: the same question, not a second one.
        if (known.state === 'pending') askers.seen(known.id);
        return answer(known.id);
      }
      if (rows.pending(agent).length >= maxPendingPerAgent) {
        throw new Problem(
          'too-many',
          429,
          `${agent} has ${maxPendingPerAgent} questions waiting`,
          'Answer them first.',
        );
      }
      const id = randomBytes(8).toString('hex');
      const expiresAtMs = Math.min(endsMs, now() + waitMs());
      rows.insert({ id, agent, tool, job, digest: named, by, askedAtMs: now(), expiresAtMs, epoch });
      askers.seen(id);
      return answer(id);
    },
    async wait(id, forMs, signal) {
      const approval = get(id);
      if (!expire(approval) && approval.state === 'pending') {
        await askers.wait(id, Math.min(forMs, approval.expiresAtMs - now()), signal);
        expire(get(id));
      }
      return answer(id);
    },
    withdraw(id, why) {
      if (!move(id, 'withdraw', why)) rows.forgetSignature(id); // a yes that nobody takes is worth nothing
      return answer(id);
    },
    async approve(id, decider, shown) {
      const first = await mayNow(id);
      if (!first.allow) return first;
      const { agent, digest: named } = get(id);
      if (shown !== undefined && shown !== named)
        return refuse('This is not what the page showed.', 'Look at it again.', 'digest');
      await record({ act: 'approve', ...decider, id, agent, digest: named });
      // The disk took its time: all of it is asked again, and nothing waits between this and the signature.
      const again = await mayNow(id);
      const job = rows.job(id);
      const signed = again.allow
        ? sign({ id, agent, digest: named, nonce: job.nonce, expiresAt: job.expiresAt })
        : null;
      if (again.allow && move(id, 'approve', null, signed)) return again;
      await record({ act: 'approve-void', ...decider, id, agent, digest: named });
      return again.allow ? refuse('It was decided meanwhile.', 'Look at it again.', 'decided') : again;
    },
    async deny(id, decider) {
      const approval = get(id);
      expire(approval);
      const verdict = may(get(id), 'deny', {
        nowMs: now(),
        askerWaits: true,
        state: 'armed',
        epoch: approval.epoch,
      });
      if (!verdict.allow) return verdict;
      // A no is safe: it counts even if the record fails, and the failure is still told.
      move(id, 'deny', `${decider.by} said no.`);
      await record({ act: 'deny', ...decider, id, agent: approval.agent, digest: approval.digest });
      return verdict;
    },
    sweep() {
      for (const each of rows.pending()) {
        if (!expire(each) && askers.gone(each.id)) move(each.id, 'withdraw', 'The call that asked is gone.');
      }
      rows.prune();
    },
  };
}

const wrongAsk = (why: string): Problem =>
  new Problem('bad-ask', 400, why, 'Ask with the job exactly as it will run.');
