/** A frame with its parts put back in. body.ts calls it; llm/frame.ts makes frames and has their format. */

export type Marked = {
  /** Of the part number `at`. */
  part(at: number): Buffer;
  parts: number;
};

const own = 1;
const mark = /^(\d{1,6})(?:-(\d{1,6}))?/;

/** What names no part is the body's own. */
export function filled(frame: Buffer, { part, parts }: Marked): Buffer {
  const pieces: Buffer[] = [];
  let from = 0;
  for (let at = frame.indexOf(own); at !== -1; ) {
    const end = frame.indexOf(own, at + 1);
    const run = end === -1 ? undefined : runOf(frame.subarray(at + 1, end), parts);
    if (end === at + 1) {
      pieces.push(frame.subarray(from, end)); // one of the two
      from = end + 1;
    } else if (run) {
      pieces.push(frame.subarray(from, at));
      for (let each = run.first; each <= run.last; each++) {
        if (each > run.first) pieces.push(run.between);
        pieces.push(part(each));
      }
      from = end + 1;
    }
    at = frame.indexOf(own, Math.max(from, at + 1));
  }
  pieces.push(frame.subarray(from));
  return Buffer.concat(pieces);
}

type Run = { first: number; last: number; between: Buffer };

function runOf(inside: Buffer, parts: number): Run | undefined {
  const [text, one, other] = mark.exec(inside.toString('latin1', 0, 20)) ?? [];
  if (text === undefined) return undefined;
  const first = Number(one);
  const last = Number(other ?? one);
  const between = inside.subarray(text.length);
  const whole = other === undefined ? between.length === 0 : first <= last;
  return whole && last < parts ? { first, last, between } : undefined;
}
