/** From the record to the last byte: the offers are tried in their order, and the first answer streams back. Called by proxy.ts, right after the record is durable. */
import type { Armed } from '../armed.ts';
import type { Capture, Captures } from './answer/capture.ts';
import { contentTypeOf, passAnswer } from './answer/pass.ts';
import { editsFor } from './asked/edits.ts';
import type { Taken } from './asked/intake.ts';
import { rewrite } from './asked/rewrite.ts';
import { codeOf, cutOff, type Denial, leaseDenial } from './denial.ts';
import { type Exchange, sendDenial } from './exchange.ts';
import { attempt } from './route/attempt.ts';
import type { Offer } from './route/offers.ts';
import type { Hop } from './route/travel.ts';
import { type TravelParts, travel } from './route/travel.ts';
import type { Answer, Upstream } from './route/upstream.ts';

/** What became of it, for the outcome line and the bill. */
export type Forwarded = {
  status: number;
  hops: Hop[];
  bytesOut: number;
  bytesIn: number;
  firstByteMs?: number;
  keyEchoed?: true;
  error?: string;
  /** Attempts at models that cost something, of which nobody heard what came: the provider may be at work, and may bill each. */
  unheard: number;
  /** Who answered, and what was said as far as the record needs it; absent when nobody did. */
  offer?: Offer;
  capture?: Capture;
  headers?: Answer['headers'];
};

export type ForwardParts = {
  armed: Armed;
  upstream: Upstream;
  captures: Captures;
  travelling: Omit<TravelParts, 'signal' | 'need'>;
  /** The agent's name at providers that take one. */
  tag: string;
  /** How long an agent may read nothing while others wait; for tests. */
  stallMs?: number | undefined;
};

type Forwarding = {
  own: Exchange;
  taken: Taken;
  offers: Offer[];
  /** We ask for the usage of a stream whose agent did not. */
  addUsage: boolean;
  contextTokens: number;
};

export async function forward(
  { armed, upstream, captures, travelling, tag, stallMs }: ForwardParts,
  { own, taken, offers, addUsage, contextTokens }: Forwarding,
): Promise<Forwarded> {
  const { res, gone } = own;
  let bytesOut = 0;
  let unheard = 0;
  const nothing = { bytesOut: 0, bytesIn: 0, unheard: 0 };
  const refuseLate = (denial: Denial, hops: Hop[], error: string = denial.rule): Forwarded => {
    sendDenial(own, denial);
    return { status: denial.status, hops, bytesIn: 0, bytesOut, unheard, error };
  };
  const why = (error: unknown): string =>
    armed.now() ? (gone.aborted ? 'agent-gone' : codeOf(error)) : 'lease-lost';

  const shut = leaseDenial(armed);
  if (shut) return refuseLate(shut, []);
  if (gone.aborted) return { status: 0, hops: [], ...nothing, error: 'agent-gone' };

  const way = await travel<Answer, Offer>(
    offers,
    { ...travelling, signal: gone, need: { contextTokens } },
    async (offer) => {
      // Right before each dial, not only before the first.
      if (leaseDenial(armed)) return { kind: 'failed', why: 'lease-lost', again: 'no' };
      const body = bodyFor(taken, offer, { tag, addUsage });
      bytesOut = body.bytes;
      const headers =
        body.content === null ? offer.headers : { ...offer.headers, 'content-length': String(body.bytes) };
      const paid = offer.price !== null && !offer.price.free;
      let started = 0;
      const tried = await attempt(upstream, offer, {
        target: offer.target,
        certificates: offer.certificates,
        headers,
        body: body.content,
        signal: gone,
        started: () => {
          if (paid && started++ === 0) unheard += 1;
        },
      });
      // Its answer is heard, whatever it says: what that costs is known.
      if (started > 0 && (tried.kind === 'answer' || tried.answer || tried.refused)) unheard -= 1;
      return tried;
    },
    (answer) => answer.destroy(),
  );
  if ('denial' in way) {
    if (gone.aborted || !armed.now()) {
      return refuseLate(leaseDenial(armed) ?? way.denial, way.hops, why(new Error()));
    }
    return refuseLate(way.denial, way.hops);
  }

  const { answer, candidate: offer, hops, done } = way;
  const { format } = offer.target.route;
  const type = contentTypeOf(answer.headers);
  const capture = format === 'listing' ? undefined : captures(format, type);
  let whole = false;
  try {
    const { cut, ...passed } = await passAnswer({
      answer,
      res,
      format,
      secrets: offer.secret ? [offer.secret.reveal()] : [],
      filterUsage: addUsage && /^text\/event-stream\b/i.test(type),
      read: (clean) => capture?.write(clean),
      sinceMs: own.sinceMs,
      isWanted: () => travelling.nodes.of(offer.provider).standing().waiting > 0,
      ...(stallMs === undefined ? {} : { stallMs }),
      sayCut: (error) => cutOff(offer.provider.name, codeOf(error)),
    });
    whole = cut === undefined && answer.status < 500;
    return {
      status: answer.status,
      hops,
      bytesOut,
      unheard,
      ...passed,
      offer,
      ...(capture ? { capture } : {}),
      headers: answer.headers,
      ...(cut === undefined ? {} : { error: why(cut) }),
    };
  } finally {
    done(whole); // gives the slot back, whatever happened
  }
}

/** The original bytes with the few that this provider needs otherwise. Made anew for each attempt: a stream is read once. */
function bodyFor(
  { spool, scanned }: Taken,
  { target, model }: Offer,
  change: { tag: string; addUsage: boolean },
): { content: Buffer | AsyncIterable<Buffer> | null; bytes: number } {
  if (!scanned) return { content: null, bytes: 0 };
  const edits = editsFor(target.route.format, scanned, {
    tag: change.tag,
    addUsage: change.addUsage,
    ...(model === null || scanned.model === null || model === scanned.model ? {} : { model }),
  });
  return rewrite(spool, edits);
}
