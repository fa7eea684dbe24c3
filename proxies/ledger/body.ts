/** The bodies of an exchange, put together again from the frame and the blobs of its segment. `holdfast traffic show` and `har` call it. */
import { type Blob, readBlobs } from './blobs.ts';
import type { Exchange, Line } from './exchange.ts';

export type Body = {
  bytes: Buffer;
  /** Keys that are masked in it. */
  redacted: number;
  /** Pieces that no segment holds: a `…` stands in their place. */
  missing: number;
};

export type Bodies = {
  /** As the agent sent it; null where there was none, or none is on record. */
  asked: Body | null;
  /** As the provider would have answered without streaming: JSON. */
  answered: Body | null;
};

type Wanted = { parts: string[]; frame: string | null; frameBlob: string | null; answer: string | null };

const hex = /^[0-9a-f]{64}$/;
const refOf = (value: unknown): string | null =>
  typeof value === 'string' && hex.test(value) ? value : null;

function wantedOf({ lines }: Exchange): Wanted {
  const body = (lines.request?.body ?? null) as {
    parts?: unknown;
    frame?: unknown;
    frameBlob?: unknown;
  } | null;
  return {
    parts: Array.isArray(body?.parts) ? body.parts.map((part) => refOf(part) ?? '') : [],
    frame: typeof body?.frame === 'string' ? body.frame : null,
    frameBlob: refOf(body?.frameBlob),
    answer: refOf(lines.outcome?.answer),
  };
}

/** Of several exchanges at once, because a segment is read through for them: give them in batches that fit into memory. */
export async function bodiesOf(path: string, of: readonly Exchange[]): Promise<Bodies[]> {
  const wanted = of.map(wantedOf);
  /** By the file that a line was found in: what one segment holds is read in one go, from its last line that asks. */
  const places = new Map<string, { refs: Set<string>; seq: number }>();
  const want = (file: string, line: Line | undefined, refs: (string | null)[]): void => {
    const place = places.get(file) ?? { refs: new Set(), seq: 0 };
    for (const ref of refs) if (ref) place.refs.add(ref);
    places.set(file, { refs: place.refs, seq: Math.max(place.seq, Number(line?.seq ?? 0)) });
  };
  for (const [at, { lines, files }] of of.entries()) {
    const { parts = [], frameBlob = null, answer = null } = wanted[at] ?? {};
    want(files.request ?? '', lines.request, [...parts, frameBlob]);
    want(files.outcome ?? '', lines.outcome, [answer]);
  }
  const blobs = new Map<string, Blob>();
  for (const { refs, seq } of places.values()) {
    if (refs.size > 0) for (const [ref, blob] of await readBlobs(path, refs, seq)) blobs.set(ref, blob);
  }
  return wanted.map((each) => ({
    asked: askedOf(each, blobs),
    answered: each.answer ? bodyOf([each.answer], blobs) : null,
  }));
}

function askedOf({ parts, frame, frameBlob }: Wanted, blobs: Map<string, Blob>): Body | null {
  if (frameBlob !== null) {
    const found = blobs.get(frameBlob);
    return filled(found?.bytes ?? gap, parts, blobs, {
      redacted: found?.redacted ?? 0,
      missing: found ? 0 : 1,
    });
  }
  return frame === null ? null : filled(Buffer.from(frame), parts, blobs, { redacted: 0, missing: 0 });
}

const gap = Buffer.from('…');

/** The format is in llm/record.ts: part N stands as \u0001N\u0001. What names no part is the body's own. */
function filled(
  frame: Buffer,
  parts: string[],
  blobs: Map<string, Blob>,
  start: { redacted: number; missing: number },
): Body {
  const pieces: Buffer[] = [];
  let { redacted, missing } = start;
  let from = 0;
  for (let at = frame.indexOf(1); at !== -1; at = frame.indexOf(1, at)) {
    const end = frame.indexOf(1, at + 1);
    const number = end === -1 ? '' : frame.toString('latin1', at + 1, end);
    const ref = /^\d{1,6}$/.test(number) ? parts[Number(number)] : undefined;
    if (ref === undefined) {
      at++;
      continue;
    }
    const { bytes, ...counts } = bodyOf([ref], blobs);
    pieces.push(frame.subarray(from, at), bytes);
    redacted += counts.redacted;
    missing += counts.missing;
    from = end + 1;
    at = from;
  }
  pieces.push(frame.subarray(from));
  return { bytes: Buffer.concat(pieces), redacted, missing };
}

function bodyOf(refs: string[], blobs: Map<string, Blob>): Body {
  const found = refs.map((ref) => blobs.get(ref));
  return {
    bytes: Buffer.concat(found.map((blob) => blob?.bytes ?? gap)),
    redacted: found.reduce((sum, blob) => sum + (blob?.redacted ?? 0), 0),
    missing: found.filter((blob) => blob === undefined).length,
  };
}
