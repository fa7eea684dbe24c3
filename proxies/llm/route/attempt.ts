/** One attempt at one candidate: dialled, and looked at until it is sure that the agent may hear it. Called by travel.ts for each hop, through proxy.ts. */

import { firstEvent } from '../answer/first.ts';
import { contentTypeOf, isEncoded, judgeAnswer } from '../answer/pass.ts';
import { codeOf } from '../denial.ts';
import type { Candidate } from './plan.ts';
import { retryAfterMs } from './retryafter.ts';
import type { Attempt } from './travel.ts';
import type { Answer, Dial, Upstream } from './upstream.ts';

/** Statuses that say "not now": another try, or another node, may do better. */
const passing = new Set([408, 425, 429, 500, 502, 503, 504, 529]);
/** The key is not known there, or the model is not for this key. Another provider has another key. */
const keyRefused = new Set([401, 403]);

/** Of a stream whose first event decides: more than any first event holds. */
const maxFirstBytes = 64 * 1024;

export async function attempt(
  upstream: Upstream,
  candidate: Candidate,
  dial: Dial,
): Promise<Attempt<Answer>> {
  let answer: Answer;
  try {
    answer = await upstream.dial(dial);
  } catch (error) {
    const why = codeOf(error);
    // Before the first byte of an answer. A connection that broke may be a kept one that had just gone stale.
    const again = dial.signal.aborted ? 'no' : stale.has(why) ? 'same' : 'next';
    return { kind: 'failed', why, again };
  }
  const refused = judgeAnswer(answer, candidate.provider);
  if (refused) {
    answer.destroy();
    return { kind: 'failed', why: refused.rule, again: 'next', refused };
  }
  if (passing.has(answer.status)) {
    const waitMs = retryAfterMs(answer.headers, Date.now());
    return {
      kind: 'failed',
      why: `status-${answer.status}`,
      again: 'same',
      ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
      answer,
    };
  }
  if (keyRefused.has(answer.status)) {
    return { kind: 'failed', why: `status-${answer.status}`, again: 'next', answer };
  }
  if (answer.status !== 200 || isEncoded(answer.headers)) return { kind: 'answer', answer };
  return judgeBeginning(answer, candidate);
}

const stale = new Set(['ECONNRESET', 'UND_ERR_SOCKET', 'EPIPE']);

/** An error can be the first thing in a 200 stream (Anthropic's `overloaded_error`): then nothing was heard yet, and another may answer. */
async function judgeBeginning(answer: Answer, candidate: Candidate): Promise<Attempt<Answer>> {
  const { format } = candidate.target.route;
  const type = contentTypeOf(answer.headers);
  try {
    for (;;) {
      const bytes = answer.peek();
      const seen = firstEvent(format, type, bytes);
      if (typeof seen === 'object') {
        return { kind: 'failed', why: `first-event-${seen.error}`, again: 'next', answer };
      }
      if (seen === 'ok' || answer.ended() || bytes.length > maxFirstBytes) return { kind: 'answer', answer };
      await answer.more();
    }
  } catch (error) {
    return { kind: 'failed', why: codeOf(error), again: 'same' };
  }
}
