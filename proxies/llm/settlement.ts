/** What an exchange came to: its bill, its numbers for the metrics, and the line that says what became of it. proxy.ts calls it when the answer is over. */
import type { Reading } from './answer/reader.ts';
import type { Exchange } from './exchange.ts';
import type { Forwarded } from './forward.ts';
import type { Place } from './kinds/paths.ts';
import type { Metrics } from './metrics.ts';
import type { Notices } from './notices.ts';
import type { Ledger, Line, Recorder } from './record.ts';
import type { Offer } from './route/offers.ts';
import { billOf } from './spend/price.ts';
import type { Reservation, Spend } from './spend/spend.ts';

/** Nobody waits for an outcome: it shares the next request's fdatasync. One that a crash takes is billed at its reservation. */
export const outcomeMs = 50;
/** But for a message like this: others wait until it is out of memory. */
const largeChars = 64 * 1024;

type SettlementParts = {
  agent: string;
  spend: Spend;
  metrics: Metrics;
  notices: Notices;
  ledger: Ledger;
  recorder: Recorder;
  /** Called where the line could not be recorded. */
  unrecorded(what: string, id: string): (error: unknown) => void;
};

/** Resolves when the line is durable, or could not be. */
export type Settle = (
  own: Exchange,
  at: Place,
  forwarded: Forwarded & { ms: number },
  reservation: Reservation | undefined,
  reading?: Reading,
) => Promise<unknown>;

export function createSettlement(parts: SettlementParts): Settle {
  const { agent, spend, metrics, notices, ledger, recorder, unrecorded } = parts;
  return (own, at, forwarded, reservation, reading) => {
    const { offer, headers, hops, capture: _, unheard, ...came } = forwarded;
    const good = came.status >= 200 && came.status < 300;
    const tokens = good ? reading?.tokens : undefined;
    const usdNano = good && offer ? costFrom(offer, headers, reading) : undefined;
    const counted = tokens && (tokens.in ?? 0) + (tokens.out ?? 0);
    const free = offer?.price?.free ?? false;
    // An error status is not billed; each attempt that was never heard of is, at what was reserved.
    const paid =
      reservation &&
      spend.settle(reservation, {
        usdNano: withLost(good ? (free ? 0 : usdNano) : 0, reservation.usdNano, unheard),
        tokens: withLost(good ? (free ? 0 : counted) : 0, reservation.tokens, unheard),
        sent: good || unheard > 0,
        free: free && unheard === 0,
      });
    if (offer && (came.status === 401 || came.status === 403)) {
      notices.tell({
        kind: 'key-refused',
        agent,
        provider: offer.provider.name,
        model: offer.model,
        status: came.status,
      });
    }
    metrics.exchange({
      agent,
      operation: at.route.format,
      provider: offer?.provider.name ?? 'none',
      model: offer?.model ?? null,
      status: came.status,
      stream: own.streams,
      ...(came.firstByteMs === undefined ? {} : { firstByteMs: came.firstByteMs }),
      totalMs: came.ms,
      ...(tokens ? { tokens } : {}),
      usdNano: paid?.usdNano ?? 0,
    });
    const error = came.error ?? (reading?.error === undefined ? undefined : `answered-${reading.error}`);
    const line: Line = {
      kind: 'outcome',
      id: own.id,
      agent,
      ...(offer ? { provider: offer.provider.name, model: offer.model } : {}),
      hops,
      ...came,
      ...(tokens ? { tokens } : {}),
      ...(paid ? { cost: paid, costUsd: paid.usdNano / 1e9 } : {}),
      ...(reading?.tokensUntilCut ? { tokensUntilCut: reading.tokensUntilCut } : {}),
      ...(reading?.stop === undefined ? {} : { stop: reading.stop }),
      ...(reading?.truncated ? { truncated: true } : {}),
      ...(error === undefined ? {} : { error }),
    };
    const message = reading?.message;
    return ledger
      .group(
        (segment) => recorder.outcome(segment, line, message),
        message !== undefined && message.length > largeChars ? 0 : outcomeMs,
      )
      .catch(unrecorded('an outcome', own.id));
  };
}

/** The answer's own, and one reservation for each attempt that was lost. Null where nobody knows. */
const withLost = (own: number | undefined, reserved: number, unheard: number): number | null =>
  unheard === 0 ? (own ?? null) : (own ?? reserved) + unheard * reserved;

/** Nano-USD, or undefined where nobody can know. The upstream's own figure is asked for where the owner named its header, or it counts by itself. */
function costFrom(
  { price }: Offer,
  headers: Forwarded['headers'],
  reading: Reading | undefined,
): number | undefined {
  if (!price) return 0;
  const header = 'header' in price && price.header !== undefined ? headers?.[price.header] : undefined;
  const costUsd = typeof header === 'string' ? header : reading?.costUsd;
  return billOf(price, { tokens: reading?.tokens, costUsd });
}
