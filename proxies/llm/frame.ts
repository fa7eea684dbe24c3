/** A body cut into its parts and the frame around them. proxy.ts cuts it, record.ts writes it; ledger/frame.ts puts it together again. */
import { hash } from 'node:crypto';
import type { Span } from './asked/scan.ts';
import type { Spool } from './spool.ts';

// FORMAT. The frame is the body without its parts. In the place of part N, from 0, stands \u0001N\u0001; in the place of parts
// N to M, where the same bytes SEP stand between each two of them, \u0001N-MSEP\u0001. SEP does not begin with a digit.
// A byte \u0001 of the body itself is \u0001\u0001: JSON never holds one unescaped, a form may.

export type BodyRecord = {
  parts: Buffer[];
  /** Their sha256. */
  refs: string[];
  /** Each byte as a letter (latin1). */
  frame: string;
  /** Says whether two requests are the same. */
  digest: string;
};

const own = '\u0001';
const fewest = 3;

/** Reads the pieces of a body from where it was put aside. They are held until they are recorded. */
export function cutBody(spool: Spool, spans: readonly Span[], path: string): BodyRecord {
  // In one go: ten thousand small parts on a disk would be twice as many reads.
  const body = spool.slice(0, spool.bytes);
  const parts: Buffer[] = [];
  const refs: string[] = [];
  /** What stands before each part. */
  const gaps: string[] = [];
  let done = 0;
  for (const { from, to } of spans) {
    const part = body.subarray(from, to);
    gaps.push(body.toString('latin1', done, from));
    parts.push(part);
    refs.push(hash('sha256', part));
    done = to;
  }
  let frame = '';
  for (let at = 0; at < gaps.length; at += 1) {
    frame += `${escaped(gaps[at] ?? '')}${own}${at}`;
    const last = runFrom(gaps, at);
    if (last > at) {
      frame += `-${last}${gaps[last]}`;
      at = last;
    }
    frame += own;
  }
  frame += escaped(body.toString('latin1', done));
  return { parts, refs, frame, digest: hash('sha256', `${path}\n${refs.join()}\n${frame}`) };
}

/** The last of the parts from `at` on that have the same between each two; `at` where they are few. */
function runFrom(gaps: readonly string[], at: number): number {
  const between = gaps[at + 1];
  if (between === undefined || between !== gaps[at + 2]) return at;
  if (between.includes(own) || /^\d/.test(between)) return at;
  let last = at + fewest - 1;
  while (gaps[last + 1] === between) last += 1;
  return last;
}

const escaped = (text: string): string => (text.includes(own) ? text.replaceAll(own, own + own) : text);
