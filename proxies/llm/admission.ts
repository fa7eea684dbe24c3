/** Lets a request in that may be asked: its limits have room, its price is reserved, and it is on record. proxy.ts calls it right before the first dial. */
import type { Taken } from './asked/intake.ts';
import { type Denial, notRecorded } from './denial.ts';
import { type Exchange, sendDenial } from './exchange.ts';
import { cutBody } from './frame.ts';
import type { Place } from './kinds/paths.ts';
import { headersOf, type Ledger, type Line, type Recorder } from './record.ts';
import { isBilled, makesText, type Offer } from './route/offers.ts';
import type { Hop } from './route/travel.ts';
import { estimate } from './spend/estimate.ts';
import type { Reservation, Spend } from './spend/spend.ts';
import type { Spool } from './spool.ts';

type AdmissionParts = {
  agent: string;
  spend: Spend;
  ledger: Ledger;
  recorder: Recorder;
  /** The gateway's open turn for this agent. */
  turn(): string | null;
  refuse(own: Exchange, denial: Denial, said: Line): undefined;
  unrecorded(what: string, id: string): (error: unknown) => void;
};

type Asking = {
  own: Exchange;
  at: Place;
  taken: Taken;
  /** What is known of it already, for the record. */
  said: Line;
  offers: readonly Offer[];
  /** What is too dear is added. */
  skipped: Hop[];
  /** Called when the line is being written: the body's pieces are let go soon after. */
  written?: () => void;
};

export type Admitted = { offers: Offer[]; reservation: Reservation | undefined };

/** The body is in memory until it resolves. Undefined where it was refused, and that was said. */
export type Admit = (asking: Asking) => Promise<Admitted | undefined>;

export function createAdmission(parts: AdmissionParts): Admit {
  const { agent, spend, ledger, recorder, refuse, unrecorded } = parts;

  const requestLine = (
    own: Exchange,
    at: Place,
    said: Line,
    offers: readonly Offer[],
    turn: string | null,
    spool: Spool,
    reservation: Reservation | undefined,
  ): Line & { id: string } => ({
    kind: 'request',
    id: own.id,
    agent,
    door: 'llm',
    ...(turn === null ? {} : { turn: { id: turn, how: 'inferred' } }),
    ...said,
    provider: offers[0]?.provider.name,
    model: offers[0]?.model,
    method: own.method,
    path: at.route.path,
    bytes: spool.bytes,
    headers: headersOf(own),
    ...(reservation
      ? {
          reserved: {
            usdNano: reservation.usdNano,
            tokens: reservation.tokens,
            ...reservation.window,
          },
        }
      : {}),
  });

  return async ({ own, at, taken, said, offers: offered, skipped, written }) => {
    const { spool, scanned } = taken;
    const body = scanned ? cutBody(spool, scanned.parts, at.asked) : undefined;
    const turn = parts.turn();
    const full = spend.admit({ turn, digest: body?.digest ?? at.asked });
    if (full) return refuse(own, full, said);
    const sizes = sizesOf(spool, scanned);
    const guess = ({ price, target, contextTokens }: Offer) =>
      estimate({
        ...sizes,
        maxOutputTokens: makesText(target.route.format) ? (scanned?.maxOutputTokens ?? null) : 0,
        contextTokens,
        ceilingTokens: price && 'ceilingTokens' in price ? price.ceilingTokens : undefined,
      });
    let offers = [...offered];
    let reservation: Reservation | undefined;
    if (isBilled(at.route.format)) {
      const bids = offers.map((offer) => ({
        provider: offer.provider.name,
        model: offer.model ?? '',
        price: offer.price ?? { free: true as const, source: 'not billed' },
        estimate: guess(offer),
      }));
      const reserved = spend.reserve(own.id, bids);
      if ('allow' in reserved) return refuse(own, reserved, said);
      for (const [nth, { provider, model }] of offers.entries())
        if (!reserved.affordable[nth]) skipped.push({ provider: provider.name, model, why: 'budget', ms: 0 });
      offers = offers.filter((_, nth) => reserved.affordable[nth]);
      reservation = reserved.reservation;
    }

    try {
      await ledger.group((segment) => {
        written?.(); // the next one is written after it
        return recorder.request(segment, requestLine(own, at, said, offers, turn, spool, reservation), body);
      });
    } catch (error) {
      unrecorded('a request', own.id)(error);
      if (reservation) spend.settle(reservation, { usdNano: 0, tokens: 0, sent: false });
      sendDenial(own, notRecorded);
      return undefined;
    }

    return { offers, reservation };
  };
}

export const sizesOf = (
  spool: Spool,
  scanned: Taken['scanned'],
): { bodyBytes: number; textBytes: number } => ({
  bodyBytes: spool.bytes,
  textBytes: spool.bytes - (scanned?.attachedBytes ?? 0),
});
