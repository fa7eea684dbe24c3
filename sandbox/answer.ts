/** The answer to a question that was asked of the controller: polled for until it is there, or nobody waits any more. Called by shell.ts. */
import type { Refusal } from '../proxies/verdict/verdict.ts';
import type { SignedApproval } from './approval.ts';

export type Answer = {
  state: 'pending' | 'approved' | 'denied' | 'expired' | 'withdrawn';
  approval?: SignedApproval | undefined;
  reason?: string | undefined;
};

type AnswerParts = {
  wait: (id: string, waitMs: number, signal: AbortSignal) => Promise<Answer>;
  explain: (error: unknown) => Refusal | undefined;
  report: (text: string, error: unknown) => void;
  now: () => number;
};

/** One long poll; the controller's longest is 55 s. */
const pollMs = 50_000;
/** A controller that restarts is back after a few of these, and the question with it. */
const retryMs = 500;

/** Never rejects. While it polls, the controller knows that a yes has a taker. */
export async function answerOf(
  { id, expiresAt }: { id: string; expiresAt: string },
  { wait, explain, report, now }: AnswerParts,
  signal: AbortSignal,
): Promise<Answer> {
  const ends = Date.parse(expiresAt);
  while (!signal.aborted && now() < ends) {
    try {
      const answer = await wait(id, pollMs, signal);
      if (answer.state !== 'pending') return answer;
    } catch (error) {
      if (signal.aborted) break;
      const refusal = explain(error);
      if (!refusal) report(`the answer to approval ${id} cannot be had`, error);
      if (refusal?.rule === 'no-approval') return { state: 'withdrawn', reason: refusal.reason };
      await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
  }
  return { state: signal.aborted ? 'withdrawn' : 'expired' };
}

const reasons: Partial<Record<Answer['state'], string>> = {
  denied: 'the operator said no',
  withdrawn: 'the approval was withdrawn',
};

/** Why this answer is no yes. */
export function unapproved({ state, reason }: Answer, expiresAt: string): Refusal {
  const silence = state === 'expired' ? `nobody said yes before ${expiresAt}: silence is no` : undefined;
  const why = reason ?? silence ?? reasons[state] ?? 'the approval came without a signature';
  return {
    allow: false,
    rule: state,
    reason: `${state}: ${why}`,
    hint: 'Do something else, or ask the operator why.',
  };
}
