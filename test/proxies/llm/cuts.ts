/** Ways to cut a stream into chunks, for the property tests beside it. */
import fc from 'fast-check';

/** Shares of the whole length, so that one list fits any stream. */
export const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 8 });

/** Each chunk is memory of its own, as it comes from a socket. */
export function cutAt(bytes: Buffer, shares: readonly number[]): Buffer[] {
  const places = [0, ...shares.map((share) => Math.floor(share * bytes.length)), bytes.length].sort(
    (one, other) => one - other,
  );
  return places.slice(1).map((to, index) => Buffer.from(bytes.subarray(places[index], to)));
}

/** One byte each. */
export const singles = (bytes: Buffer): Buffer[] => [...bytes].map((byte) => Buffer.from([byte]));
