/** The way of one exchange along its candidates, up to the first that answers. proxy.ts calls it after the record and gives the attempt itself; nothing has been said to the agent yet, so each step may still be taken again elsewhere. */
import { type Denial, deny } from '../denial.ts';
import type { Breakers, Pass } from './breaker.ts';
import { deadEnd } from './deadend.ts';
import { maxWaitMs, type Nodes, type Release } from './node.ts';
import type { Candidate } from './plan.ts';
import { sleep as sleepUntil } from './timer.ts';

/** One step of the way, for the record. `ms` counts from the step's own beginning, the wait for a slot included. */
export type Hop = {
  provider: string;
  model: string | null;
  /** `answered`, what the attempt said, or why there was none: context, down, breaker-open, busy, closed, agent-gone, fault. */
  why: string;
  ms: number;
};

export type Attempt<A> =
  /** Its first event was good: from here on nothing is tried again. */
  | { kind: 'answer'; answer: A }
  | {
      kind: 'failed';
      /** A stable word: connect-refused, status-429, first-event-error... */
      why: string;
      /** Where else it may be tried: here again, elsewhere, or nowhere (the request itself is at fault). */
      again: 'same' | 'next' | 'no';
      retryAfterMs?: number;
      /** A refusal of the upstream that may be handed on when it is the last word. */
      answer?: A;
      /** What to say when the way ends here and no other provider was asked. */
      refused?: Denial;
    };

export type TravelParts = {
  agent: string;
  nodes: Nodes;
  /** This agent's own. */
  breakers: Breakers;
  /** Aborts when the agent goes away or the lease is lost. */
  signal: AbortSignal;
  /** Monotonic milliseconds. */
  now(): number;
  /** Resolves after `ms`, or at once when the signal aborts. */
  sleep?(ms: number, signal: AbortSignal): Promise<void>;
  /** From 0 up to 1. */
  random?(): number;
  /** Candidates that were passed over before, as they stand on the record. */
  skipped?: readonly Hop[];
  /** The estimate of the input. */
  need: { contextTokens: number };
};

export type Arrived<A, C extends Candidate = Candidate> = {
  answer: A;
  candidate: C;
  hops: Hop[];
  /** To be called once when the answer is over: gives the slot back; false says that it was cut. */
  done(ok: boolean): void;
};

const retries = 2;
const firstBackoffMs = 250;
const longestBackoffMs = 5_000;
/** A longer Retry-After is not waited for: the agent gets the answer and can wait itself. */
const longestRetryAfterMs = 10_000;
/** Of waiting in queues and between tries, over the whole way. The SDKs give up after 600 s and the answer itself needs most of that. */
const patienceMs = 120_000;

/**
 * Retries with full jitter. Resolves with the answer to hand on (which may be the last upstream's own 429 or 5xx), or with why
 * there is none. What an answer holds open is given to `discard` when it is not handed on. Rejects only when the attempt does.
 */
export async function travel<A, C extends Candidate = Candidate>(
  candidates: readonly C[],
  parts: TravelParts,
  attempt: (candidate: C) => Promise<Attempt<A>>,
  discard: (answer: A) => void,
): Promise<Arrived<A, C> | { denial: Denial; hops: Hop[] }> {
  const { agent, nodes, breakers, signal, now, need, sleep = sleepUntil, random = Math.random } = parts;
  const hops: Hop[] = [];
  const until = now() + patienceMs;
  /** An upstream's refusal, kept until somebody else is really asked. */
  let lastWord: { answer: A; candidate: C } | undefined;
  let refused: Denial | undefined;
  let restMs: number | undefined;
  /** A provider that refuses our key refuses it for each of its models. */
  const refusedBy = new Set<string>();

  const drop = (): void => {
    if (lastWord) discard(lastWord.answer);
    lastWord = undefined;
  };

  way: for (const [index, candidate] of candidates.entries()) {
    const { provider, model } = candidate;
    if (refusedBy.has(provider.name)) continue;
    const others = candidates.slice(index + 1).some((each) => !refusedBy.has(each.provider.name));
    const node = nodes.of(provider);
    const breaker = breakers.of(provider.name);
    let since = now();
    const hop = (why: string): void => {
      const at = now();
      hops.push({ provider: provider.name, model, why, ms: Math.round((at - since) * 10) / 10 });
      since = at;
    };
    const rest = (ms: number | null): void => {
      hop('breaker-open');
      if (ms !== null) restMs = Math.min(restMs ?? ms, ms);
    };

    if ((candidate.contextTokens ?? Number.POSITIVE_INFINITY) < need.contextTokens) {
      hop('context');
      continue;
    }
    if (!node.up() && others) {
      hop('down');
      continue;
    }
    const restsMs = breaker.restMs();
    if (restsMs !== 0) {
      rest(restsMs);
      continue;
    }
    const slot = await node.take(agent, signal, Math.min(maxWaitMs, Math.max(0, until - now())));
    if (typeof slot === 'string') {
      hop(slot === 'gone' ? 'agent-gone' : slot);
      if (slot === 'gone') break;
      continue;
    }

    for (let tried = 0; ; tried += 1) {
      const pass = breaker.enter();
      if (!pass) {
        slot();
        if (tried === 0) rest(breaker.restMs());
        continue way;
      }
      drop();
      const got = await tryOnce(candidate, pass, slot);
      if (got === 'gone') {
        hop('agent-gone');
        break way;
      }
      if (got.kind === 'answer') {
        hop('answered');
        return {
          answer: got.answer,
          candidate,
          hops,
          done(ok) {
            slot();
            // An agent that leaves in the middle says nothing about the provider.
            if (ok || !signal.aborted) breaker.over(ok);
          },
        };
      }
      hop(got.why);
      if (!failsNode(got.why)) breaker.over(true);
      refused = got.refused;
      if (got.answer !== undefined) lastWord = { answer: got.answer, candidate };
      if (got.why === 'status-401' || got.why === 'status-403') refusedBy.add(provider.name);
      else if (got.again === 'no') {
        slot();
        break way;
      }
      const pauseMs = got.retryAfterMs ?? random() * Math.min(longestBackoffMs, firstBackoffMs * 2 ** tried);
      const waits =
        got.again === 'same' &&
        !refusedBy.has(provider.name) &&
        tried < retries &&
        now() + pauseMs < until &&
        (got.retryAfterMs === undefined || (!others && pauseMs <= longestRetryAfterMs));
      if (waits) {
        await sleep(pauseMs, signal);
        since = now();
      }
      if (!waits || signal.aborted) {
        slot();
        break;
      }
    }
    if (signal.aborted) break;
  }

  if (signal.aborted) {
    drop();
    return { denial: gone, hops };
  }
  if (lastWord) return { ...lastWord, hops, done() {} };
  const alone = hops.every((each) => each.provider === hops[0]?.provider);
  return {
    denial:
      (alone && refused) ||
      deadEnd([...(parts.skipped ?? []), ...hops], candidates, need.contextTokens, restMs),
    hops,
  };

  /** The attempt, or `gone` as soon as the signal aborts; what comes of it later is thrown away and its slot given back then. */
  function tryOnce(candidate: C, pass: Pass, slot: Release): Promise<Attempt<A> | 'gone'> {
    return new Promise((resolve, reject) => {
      let left = signal.aborted;
      const leave = (): void => {
        left = true;
        pass('unknown');
        resolve('gone');
      };
      const under = attempt(candidate);
      if (left) leave();
      else signal.addEventListener('abort', leave, { once: true });
      under.then(
        (got) => {
          signal.removeEventListener('abort', leave);
          if (!left) {
            pass(got.kind === 'failed' && failsNode(got.why) ? 'failed' : 'answered');
            return resolve(got);
          }
          if (got.answer !== undefined) discard(got.answer);
          slot();
        },
        (error: unknown) => {
          signal.removeEventListener('abort', leave);
          if (!left) pass('unknown');
          slot();
          reject(error); // of no effect where the agent has left
        },
      );
    });
  }
}

/** 429 and the other 4xx are said by a provider that is well. */
const failsNode = (why: string): boolean => !/^status-4\d\d$/.test(why);

const gone = deny(499, 'agent-gone', 'the agent went away before an answer began', 'Nothing is to be done.');
