/** The body that goes upstream: the agent's own bytes, but for a few ranges. Never parsed and written again. Called by forward.ts for each attempt. */
import type { Spool } from '../spool.ts';
import type { Edit } from './edits.ts';

/** Up to here one buffer is sent; beyond, pieces are read from the spool as the socket takes them. */
const oneBufferBytes = 256 * 1024;

export type Rewritten = { content: Buffer | AsyncIterable<Buffer>; bytes: number };

/** Edits are in order and do not overlap. */
export function rewrite(spool: Spool, edits: readonly Edit[]): Rewritten {
  if (edits.length === 0 && spool.bytes <= oneBufferBytes) {
    return { content: spool.slice(0, spool.bytes), bytes: spool.bytes };
  }
  const texts = edits.map(({ text }) => Buffer.from(text));
  const bytes = edits.reduce(
    (sum, { from, to }, at) => sum - (to - from) + (texts[at]?.length ?? 0),
    spool.bytes,
  );
  if (spool.bytes > oneBufferBytes) return { content: flow(spool, edits, texts), bytes };
  const pieces: Buffer[] = [];
  let at = 0;
  for (const [nth, { from, to }] of edits.entries()) {
    pieces.push(spool.slice(at, from), texts[nth] as Buffer);
    at = to;
  }
  pieces.push(spool.slice(at, spool.bytes));
  return { content: Buffer.concat(pieces), bytes };
}

async function* flow(spool: Spool, edits: readonly Edit[], texts: Buffer[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (const [nth, { from, to }] of edits.entries()) {
    yield* spool.pieces(at, from);
    yield texts[nth] as Buffer;
    at = to;
  }
  yield* spool.pieces(at, spool.bytes);
}
