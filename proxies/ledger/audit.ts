/** All ledgers of a folder, every segment, held against the checkpoints that the keeper signed. `holdfast audit verify` prints what it finds. */
import type { KeyObject } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { walkLedger } from './chain.ts';
import { type Checkpoint, ledgerOf, openCheckpoint } from './checkpoint.ts';
import { type Head, type Line, noHead } from './line.ts';

export type Found = { file: string; line: number; why: string };

export type Audited = {
  ledger: string;
  ok: boolean;
  /** Lines that chain: all of them, or those before the first bad one. */
  lines: number;
  segments: number;
  /** Bytes of a line that is not whole: being written, or cut off by a crash and noted when its writer starts. */
  tornBytes: number;
  /** How far a signature covers it, and since when. */
  signed?: { lines: number; at: string };
  /** The first bad record. */
  bad?: Found;
};

/** One size of a ledger, as it was signed; a ledger in which nothing happens is signed again and again. */
type Anchor = { size: number; hash: string; firstAt: string; firstMs: number; lastMs: number };

/** The keeper's ledger is where the others' checkpoints stand. */
const keeper = 'keeper';

/** Lines get their time before they are written, and a slow disk may hold a batch; a stepped clock is between two checkpoints. */
const slackMs = 60_000;

/** Its own checkpoint names the line before, or one a few lines earlier when others were waiting. */
const ownHeadsKept = 1000;

/** `key` is the keeper's public key. */
export async function auditLedgers(folder: string, key: KeyObject): Promise<Audited[]> {
  const points = createPoints(key);
  const names = (await readdir(folder))
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => name.slice(0, -'.jsonl'.length))
    .sort();
  const audited: Audited[] = [];
  if (names.includes(keeper)) audited.push(await auditKeeper(folder, points));
  for (const name of names.filter((each) => each !== keeper)) {
    audited.push(await auditOne(folder, name, points.of(name)));
  }
  for (const name of points.names().filter((each) => each !== keeper && !names.includes(each))) {
    const bad = { file: join(folder, `${name}.jsonl`), line: 1, why: 'it is missing, though it was signed' };
    audited.push({ ledger: name, ok: false, lines: 0, segments: 0, tornBytes: 0, bad });
  }
  return audited;
}

type Points = {
  /** Takes the checkpoints of a line; says what is wrong with one. */
  take(line: Line, own: ReadonlyMap<number, string>): string | undefined;
  of(ledger: string): Anchor[];
  names(): string[];
};

function createPoints(key: KeyObject): Points {
  const anchors = new Map<string, Anchor[]>();

  const add = (ledger: string, { size, hash, at }: Checkpoint): string | undefined => {
    const list = anchors.get(ledger) ?? [];
    anchors.set(ledger, list);
    const last = list.at(-1);
    const ms = Date.parse(at);
    if (last && size < last.size)
      return `its checkpoint of ${ledger} goes back from line ${last.size} to ${size}`;
    if (last?.size !== size) list.push({ size, hash, firstAt: at, firstMs: ms, lastMs: ms });
    else if (last.hash === hash) last.lastMs = ms;
    else return `its checkpoint of ${ledger} contradicts an earlier one of line ${size}`;
    return undefined;
  };

  return {
    take(line, own) {
      if (line.kind !== 'checkpoints') return undefined;
      if (!Array.isArray(line.notes)) return 'it has no checkpoints';
      for (const note of line.notes) {
        const point = openCheckpoint(String(note), key);
        if (!point) return 'it has a checkpoint that this key did not sign';
        const ledger = ledgerOf(point);
        const why =
          ledger === keeper && own.get(point.size) !== point.hash
            ? `line ${point.size} of this ledger is not the one that was signed here`
            : add(ledger, point);
        if (why !== undefined) return why;
      }
      return undefined;
    },
    of: (ledger) => anchors.get(ledger) ?? [],
    names: () => [...anchors.keys()],
  };
}

async function auditKeeper(folder: string, points: Points): Promise<Audited> {
  const path = join(folder, `${keeper}.jsonl`);
  const own = new Map<number, string>();
  let head = noHead;
  const walked = await walkLedger(path, (next, line) => {
    const why = points.take(line, own);
    if (why !== undefined) return why;
    own.set(next.seq, next.hash);
    own.delete(next.seq - ownHeadsKept);
    head = next;
    return undefined;
  });
  return told(keeper, walked, head, points.of(keeper));
}

async function auditOne(folder: string, ledger: string, anchors: Anchor[]): Promise<Audited> {
  const path = join(folder, `${ledger}.jsonl`);
  let head = noHead;
  let number = 0;
  let next = 0;
  const walked = await walkLedger(path, (here, line, _file, at) => {
    const anchor = anchors[next];
    if (anchor) {
      const why = misdated(line, anchors[next - 1], anchor);
      if (why !== undefined) return why;
      if (here.seq === anchor.size) {
        if (here.hash !== anchor.hash) return `it is not the line that was signed at ${anchor.firstAt}`;
        next += 1;
      }
    }
    head = here;
    number = at;
    return undefined;
  });
  const missing = anchors[next];
  if (!walked.ok || !missing) return told(ledger, walked, head, anchors);
  const bad = {
    file: path,
    line: number + missing.size - head.seq,
    why: `it is missing, though it was signed at ${missing.firstAt}`,
  };
  return { ...told(ledger, walked, head, anchors), ok: false, bad };
}

/**
 * An entry belongs into the time between the checkpoint before it and the one that covers it first: one that was written or
 * dated otherwise and sealed later is no evidence of its date (CVE-2023-31439).
 */
function misdated(line: Line, before: Anchor | undefined, covers: Anchor): string | undefined {
  const at = Date.parse(line.at);
  const latest = Math.max(covers.firstMs, before?.lastMs ?? covers.firstMs) + slackMs;
  const earliest = before ? Math.min(before.lastMs, covers.firstMs) - slackMs : Number.NEGATIVE_INFINITY;
  if (at >= earliest && at <= latest) return undefined;
  return `its time ${line.at} is not one between the checkpoints around it`;
}

function told(
  ledger: string,
  walked: Awaited<ReturnType<typeof walkLedger>>,
  head: Head,
  anchors: Anchor[],
): Audited {
  const last = anchors.at(-1);
  const common = {
    ledger,
    lines: head.seq,
    ...(last ? { signed: { lines: last.size, at: new Date(last.lastMs).toISOString() } } : {}),
  };
  if (!walked.ok) {
    const { file, line, why } = walked;
    return { ...common, ok: false, segments: 0, tornBytes: 0, bad: { file, line, why } };
  }
  return { ...common, ok: true, segments: walked.segments, tornBytes: walked.tornBytes };
}
