/** One form posted to an authorization server, and what it says. Used by login.ts and device.ts; the addresses are the configured two. */
import type { Timer } from '../route/timer.ts';
import { objectOf } from './grant.ts';

/** `odd`: no OAuth answer at all; `why` is a word of ours. */
export type Said =
  | { kind: 'ok'; json: Record<string, unknown> }
  | { kind: 'error'; error: string }
  | { kind: 'odd'; why: string };

/** `form` holds tokens: nothing of it is ever in what is said. It never rejects. */
export type Ask = (
  url: string,
  form: Record<string, string | undefined>,
  signal?: AbortSignal,
) => Promise<Said>;

export type Clock = { now(): number; wait: Timer };

const answerMs = 30_000;
/** A token may be a JWT of some kB. */
const maxAnswerBytes = 64 * 1024;

/** RFC 6749 section 5.2 and RFC 8628 section 3.5. Another word is not shown: it could be anything. */
const errors = new Set([
  'authorization_pending',
  'slow_down',
  'access_denied',
  'expired_token',
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
]);

async function read(answer: Response): Promise<Said> {
  const held: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxAnswerBytes) return { kind: 'odd', why: 'answer-too-long' };
    held.push(chunk);
  }
  const json = objectOf(Buffer.concat(held).toString('utf8'));
  if (answer.status === 200 && json && json.error === undefined) return { kind: 'ok', json };
  const { error } = json ?? {};
  if (typeof error === 'string') return { kind: 'error', error: errors.has(error) ? error : 'another-error' };
  if (answer.status >= 500) return { kind: 'odd', why: 'unreachable' };
  return { kind: 'odd', why: json ? `status-${answer.status}` : 'not-json' };
}

/** A redirect is an error: it would carry the form to another server. */
export function createAsk(
  fetch: (url: string, init: RequestInit) => Promise<Response>,
  clock: Clock,
  closing: AbortSignal,
): Ask {
  return async (url, form, signal) => {
    const late = new AbortController();
    const cancel = clock.wait(answerMs, () => late.abort());
    try {
      const said = Object.entries(form).filter((each): each is [string, string] => each[1] !== undefined);
      const answer = await fetch(url, {
        method: 'POST',
        redirect: 'error',
        headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
        body: new URLSearchParams(said).toString(),
        signal: AbortSignal.any([late.signal, closing, ...(signal ? [signal] : [])]),
      });
      if (answer.redirected || (answer.status >= 300 && answer.status < 400)) {
        await answer.body?.cancel();
        return { kind: 'odd', why: 'redirect' };
      }
      return await read(answer);
    } catch {
      // What it throws can quote the form: the reason stays a word of ours.
      return { kind: 'odd', why: 'unreachable' };
    } finally {
      cancel();
    }
  };
}
