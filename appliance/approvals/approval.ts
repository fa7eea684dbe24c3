/** An approval: one asked job, its life, and what may happen to it when. Pure; inbox.ts keeps them, pages draw their buttons from `may`. */
import { allow, refuse, type Verdict } from '../../proxies/verdict/verdict.ts';

export type ApprovalState = 'pending' | 'approved' | 'denied' | 'expired' | 'withdrawn';
export type ApprovalEvent = 'approve' | 'deny' | 'expire' | 'withdraw';

/** Every state but the first is an end: a yes cannot be taken back, and nothing becomes a yes later. */
export const transitions: Record<ApprovalState, Partial<Record<ApprovalEvent, ApprovalState>>> = {
  pending: { approve: 'approved', deny: 'denied', expire: 'expired', withdraw: 'withdrawn' },
  approved: {},
  denied: {},
  expired: {},
  withdrawn: {},
};

export type Approval = {
  id: string;
  agent: string;
  tool: string;
  /** What would run, as it was asked. Text of an agent: hostile. */
  script: string;
  image: string;
  timeoutMs: number;
  digest: string;
  by: string;
  state: ApprovalState;
  askedAtMs: number;
  expiresAtMs: number;
  /** The keeper's arming under which it was asked: after a kill and a re-arm it is another one. */
  epoch: string;
  reason: string | null;
};

export type Circumstances = {
  nowMs: number;
  /** The call that asked is still there to take the answer. */
  askerWaits: boolean;
  state: 'armed' | 'closed' | 'killed';
  epoch: string;
};

/** Whether this may happen now, and if not, why: the words are shown beside a disabled button. */
export function may(approval: Approval, event: ApprovalEvent, at: Circumstances): Verdict {
  if (transitions[approval.state][event] === undefined) {
    return refuse(`It is already ${approval.state}.`, 'Ask the agent to call the tool again.', 'decided');
  }
  if (event !== 'approve') return allow(event);
  if (at.nowMs >= approval.expiresAtMs) {
    return refuse(
      'The time for it is over: silence was no.',
      'Ask the agent to call the tool again.',
      'expired',
    );
  }
  if (at.state !== 'armed') {
    return refuse(
      `Holdfast is ${at.state}, so nothing can run.`,
      at.state === 'killed' ? 'Re-arm first.' : 'Wait until it is armed.',
      'not-armed',
    );
  }
  if (at.epoch !== approval.epoch) {
    return refuse(
      'It was asked before the last kill.',
      'Ask the agent to call the tool again.',
      'before-kill',
    );
  }
  if (!at.askerWaits) {
    return refuse('The call that asked is gone.', 'Ask the agent to call the tool again.', 'asker-gone');
  }
  return allow('pending');
}
