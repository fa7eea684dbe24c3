/** Takes a request's body in: each chunk is put aside and scanned as it comes. Called by proxy.ts before anything has an effect. */
import type { IncomingMessage } from 'node:http';
import { cannotScan, type Denial, deny, tooLarge, tooMuchAtOnce } from '../denial.ts';
import type { Place } from '../kinds/paths.ts';
import { kinds } from '../kinds/paths.ts';
import type { Spool, Spools } from '../spool.ts';
import { createScan, type Scanned, type UrlJudge } from './scan.ts';

/** A body in memory; larger ones go on in a file. */
const memoryBytes = 256 * 1024;
/** All bodies that one agent may have under way here at once: disk and time are other agents' too. */
const maxHeldBytes = 128 * 1024 * 1024;

/** Bytes of request bodies under way, counted over all exchanges of one agent. */
export type Held = { bytes: number };

/** A request that may be asked, as far as its body tells. `scanned` is null where there is none (GET). */
export type Taken = { spool: Spool; scanned: Scanned | null };

type IntakeParts = {
  place: Place;
  spools: Spools;
  held: Held;
  maxBytes: number;
  judgeUrl: UrlJudge | undefined;
};

/** Undefined when the agent went away while sending. The caller closes the spool and calls `release` when the exchange is over. */
export function takeIn(
  req: IncomingMessage,
  { place, spools, held, maxBytes, judgeUrl }: IntakeParts,
): Promise<{ taken: Taken | Denial | undefined; release(): void }> {
  const statedBytes = Number(req.headers['content-length'] ?? 0);
  const spool = spools(memoryBytes, statedBytes);
  const release = (): void => {
    held.bytes -= spool.bytes;
    spool.close();
  };
  const { route } = place;
  const hasBody = route.method !== 'GET';
  const scan = hasBody
    ? createScan(route.format, {
        kind: kinds[route.speaks],
        contentType: req.headers['content-type'],
        model: place.model,
        ...(judgeUrl ? { judgeUrl } : {}),
      })
    : undefined;

  return new Promise((resolve) => {
    const done = (taken: Taken | Denial | undefined): void => {
      req.off('data', onData);
      req.off('end', onEnd);
      req.off('close', onClose);
      // Not destroyed: the refusal of a long body must still reach the agent, and node:http drops the rest by itself.
      resolve({ taken, release });
    };
    /** The first reason to stop, or undefined. */
    const took = (chunk: Buffer): Denial | undefined => {
      if (!scan) return cannotScan('a GET has none');
      if (spool.bytes + chunk.length > maxBytes) return tooLarge(maxBytes);
      if (held.bytes + chunk.length > maxHeldBytes) return tooMuchAtOnce(maxHeldBytes);
      try {
        spool.write(chunk);
      } catch {
        return notHeld;
      }
      held.bytes += chunk.length;
      return scan.push(chunk);
    };
    const onData = (chunk: Buffer): void => {
      const denial = took(chunk);
      if (denial) done(denial);
    };
    const onEnd = (): void => {
      const scanned = scan ? scan.end() : null;
      done(scanned !== null && 'allow' in scanned ? scanned : { spool, scanned });
    };
    const onClose = (): void => done(undefined);

    const encoding = req.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') return done(cannotScan('it is compressed'));
    if (statedBytes > maxBytes) return done(tooLarge(maxBytes));
    req.on('data', onData);
    req.on('end', onEnd);
    req.on('close', onClose);
  });
}

const notHeld = deny(
  503,
  'not-held',
  'the disk takes no more of the body',
  'Free space where the home folder lies; shared/logs/errors/ERROR-LOG.md says more.',
);
