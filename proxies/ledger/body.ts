/** The bodies of an exchange, put together again from the frame and the blobs of its segment. `holdfast traffic show` and `har` call it. */
import { createGathering, type Gathering } from './blobs.ts';
import type { Exchange, Line } from './exchange.ts';
import { filled } from './frame.ts';
import { createLists, type Lists, maxParts } from './lists.ts';
import { type NewestLine, newestFirst } from './newest.ts';

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

const hex = /^[0-9a-f]{64}$/;
const refOf = (value: unknown): string | null =>
  typeof value === 'string' && hex.test(value) ? value : null;

const fieldsOf = (value: unknown): Record<string, unknown> => (value ?? {}) as Record<string, unknown>;

/** Of several exchanges at once, because their segments are read through for them: give them in batches that fit into memory. */
export async function bodiesOf(path: string, of: readonly Exchange[]): Promise<Bodies[]> {
  const blobs = createGathering();
  const lists = createLists(blobs);
  const ahead = new Map<number, Line>();
  for (const { lines } of of) {
    for (const line of [lines.request, lines.outcome]) if (line) ahead.set(Number(line.seq), line);
  }
  await gather(path, ahead, blobs, lists);
  for (const line of ahead.values()) ask(line, blobs, lists); // no longer where it was: what it lacks is a gap
  return of.map(({ lines }) => ({
    asked: askedOf(lines.request, blobs, lists),
    answered: answeredOf(lines.outcome, blobs),
  }));
}

/**
 * One walk from the last line that asks, newest first. What a line refers to stands before it in its segment, which may be put
 * away meanwhile. Whoever is met leaves `ahead`.
 */
async function gather(path: string, ahead: Map<number, Line>, blobs: Gathering, lists: Lists): Promise<void> {
  if (ahead.size === 0) return;
  const from = Math.max(...ahead.keys());
  for await (const each of newestFirst(path, from)) {
    const line = ahead.get(each.seq);
    if (line) {
      ask(line, blobs, lists);
      ahead.delete(each.seq);
    } else if (each.kind === 'blob') {
      const found = blobs.open() > 0 ? blobs.see(each) : undefined;
      if (found !== undefined) lists.found(found);
    } else if (each.kind === 'request' && lists.open() > 0) met(each, lists);
    else if (each.kind === 'segment') {
      blobs.forget();
      lists.forget();
    }
    if (ahead.size === 0 && blobs.open() === 0 && lists.open() === 0) return;
  }
}

function ask(line: Line, blobs: Gathering, lists: Lists): void {
  if (line.kind === 'request') {
    lists.whole(String(line.id), line.body);
    blobs.want(refOf(fieldsOf(line.body).frameBlob) ?? '');
  }
  blobs.want(refOf(line.answer) ?? '');
}

const idOf = /"kind":"request","id":"([^"\\]{1,100})"/;

function met({ bytes }: NewestLine, lists: Lists): void {
  const id = idOf.exec(bytes.toString('latin1', 0, 400))?.[1];
  if (id !== undefined && lists.awaits(id))
    lists.met(id, (JSON.parse(bytes.toString()) as { body?: unknown }).body);
}

const gap = Buffer.from('…');

function askedOf(line: Line | undefined, blobs: Gathering, lists: Lists): Body | null {
  const { frame, frameBlob } = fieldsOf(line?.body);
  const ref = refOf(frameBlob);
  if (ref === null && typeof frame !== 'string') return null;
  const counts = { redacted: 0, missing: 0 };
  const bytesOf = (each: string): Buffer => {
    const found = blobs.get(each);
    counts.redacted += found?.redacted ?? 0;
    counts.missing += found ? 0 : 1;
    return found?.bytes ?? gap;
  };
  const refs = lists.refs(String(line?.id));
  const around = ref === null ? Buffer.from(String(frame)) : bytesOf(ref);
  const bytes = filled(around, { parts: refs?.length ?? maxParts, part: (at) => bytesOf(refs?.[at] ?? '') });
  return { bytes, ...counts };
}

function answeredOf(line: Line | undefined, blobs: Gathering): Body | null {
  const ref = refOf(line?.answer);
  if (ref === null) return null;
  const found = blobs.get(ref);
  return { bytes: found?.bytes ?? gap, redacted: found?.redacted ?? 0, missing: found ? 0 : 1 };
}
