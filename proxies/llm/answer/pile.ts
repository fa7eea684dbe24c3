/** Bytes that come in pieces and are kept as one, up to a bound. Used by lines.ts, pieces.ts, reader.ts and usagefilter.ts. */

export type Pile = {
  /** False, and nothing is added, where it would grow over its bound. */
  add(bytes: Buffer, from: number, to: number): boolean;
  /** A view: true until the next add or clear. */
  bytes(): Buffer;
  size(): number;
  clear(): void;
};

const firstBytes = 1024;
/** What a cleared pile may keep for its next use; one large event must not hold its memory for the rest of a stream. */
const keptBytes = 64 * 1024;

const none = Buffer.alloc(0);

/** Grows by doubling, so that a line which comes byte by byte costs no more than twice its length. */
export function createPile(maxBytes: number): Pile {
  let room = none;
  let used = 0;
  return {
    add(bytes, from, to) {
      const size = used + to - from;
      if (size > maxBytes) return false;
      if (size > room.length) {
        const grown = Buffer.allocUnsafeSlow(Math.min(maxBytes, Math.max(size, room.length * 2, firstBytes)));
        room.copy(grown, 0, 0, used);
        room = grown;
      }
      bytes.copy(room, used, from, to);
      used = size;
      return true;
    },
    bytes: () => room.subarray(0, used),
    size: () => used,
    clear() {
      used = 0;
      if (room.length > keptBytes) room = none;
    },
  };
}
