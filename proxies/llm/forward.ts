/** From the record to the last byte: the offers are tried in their order, and the first answer streams back. Called by proxy.ts, right after the record is durable. */
import type { Armed } from '../armed.ts';
import { contentTypeOf, passAnswer } from './answer/pass.ts';
import { createReader, type Reading } from './answer/reader.ts';
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
  /** A provider may be at work on it, or has been, and nobody heard what came of it. */
  reached: boolean;
  /** Who answered, and what was said as far as the record needs it; absent when nobody did. */
  offer?: Offer;
  reading?: Reading;
  headers?: Answer['headers'];
};

export type ForwardParts = {
  armed: Armed;
  upstream: Upstream;
  travelling: Omit<TravelParts, 'signal' | 'need'>;
  /** The agent's name at providers that take one. */
  tag: string;
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
  { armed, upstream, travelling, tag }: ForwardParts,
  { own, taken, offers, addUsage, contextTokens }: Forwarding,
): Promise<Forwarded> {
  const { res, gone } = own;
  let bytesOut = 0;
  let reached = false;
  const nothing = { bytesOut: 0, bytesIn: 0, reached: false };
  const refuseLate = (denial: Denial, hops: Hop[], error: string = denial.rule): Forwarded => {
    sendDenial(own, denial);
    return { status: denial.status, hops, bytesIn: 0, bytesOut, reached, error };
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
      const before = reached;
      const tried = await attempt(upstream, offer, {
        target: offer.target,
        certificates: offer.certificates,
        headers,
        body: body.content,
        signal: gone,
        started: () => {
          reached = true;
        },
      });
      // Its answer is heard, whatever it says: what that costs is known.
      if (tried.kind === 'answer' || tried.answer || tried.refused) reached = before;
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
  const reader = format === 'listing' ? undefined : createReader(format, type);
  let whole = false;
  try {
    const { cut, ...passed } = await passAnswer({
      answer,
      res,
      format,
      secrets: offer.secret ? [offer.secret.reveal()] : [],
      filterUsage: addUsage && /^text\/event-stream\b/i.test(type),
      read: (clean) => reader?.push(clean),
      sinceMs: own.sinceMs,
      sayCut: (error) => cutOff(offer.provider.name, codeOf(error)),
    });
    whole = cut === undefined && answer.status < 500;
    return {
      status: answer.status,
      hops,
      bytesOut,
      reached,
      ...passed,
      offer,
      ...(reader ? { reading: reader.end() } : {}),
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
