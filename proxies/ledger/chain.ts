/** The hash chain of a ledger, read line by line, over one file or over all its segments. ledger.ts opens with it; the CLI, the controller and tests verify with it. */
import { type FileHandle, open } from 'node:fs/promises';
import { archiveOf, segmentFile, segmentsIn } from './archive.ts';
import { follow, type Head, type Line, maxLineBytes, noHead, placeOf } from './line.ts';

export type { Head } from './line.ts';

const chunkBytes = 1024 * 1024;

/** Says what is wrong with a line that chains, as text; whatever else it returns is a yes. */
export type Visit = (head: Head, line: Line) => unknown;

export type Walk =
  | {
      ok: true;
      head: Head;
      first: Line | undefined;
      /** Whole lines of this file. */
      count: number;
      /** Where the last whole line ends. */
      bytes: number;
      torn: Buffer;
    }
  | { ok: false; line: number; why: string };

/**
 * Reads a chain from its first byte and stops at the first line that does not follow. `visit` sees each head with its line.
 * Without a `start`, the file is a first segment, or it begins with a segment line and is believed where that stands.
 */
export async function walk(file: FileHandle, visit?: Visit, start?: Head): Promise<Walk> {
  const buffer = Buffer.allocUnsafe(maxLineBytes + chunkBytes);
  let head = start;
  let first: Line | undefined;
  let count = 0;
  let bytes = 0;
  let held = 0;
  // As long as it is now: its writer may be at work.
  const { size } = await file.stat();
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(buffer, held, Math.min(chunkBytes, size - at), at);
    if (bytesRead === 0)
      return {
        ok: true,
        head: head ?? noHead,
        first,
        count,
        bytes,
        torn: Buffer.from(buffer.subarray(0, held)),
      };
    at += bytesRead;
    const seen = buffer.subarray(0, held + bytesRead);
    let from = 0;
    for (let end = seen.indexOf(10); end !== -1; end = seen.indexOf(10, from)) {
      const bytesOfLine = seen.subarray(from, end);
      head ??= beginning(bytesOfLine);
      const next = follow(head, bytesOfLine);
      if (typeof next === 'string') return { ok: false, line: count + 1, why: next };
      const why = visit?.(next.head, next.line);
      if (typeof why === 'string') return { ok: false, line: count + 1, why };
      head = next.head;
      first ??= next.line;
      count += 1;
      bytes += end - from + 1;
      from = end + 1;
    }
    held = seen.length - from;
    buffer.copyWithin(0, from, seen.length);
    if (held > maxLineBytes)
      return { ok: false, line: count + 1, why: `it is longer than ${maxLineBytes} bytes` };
  }
}

function beginning(line: Buffer): Head {
  const place = placeOf(line);
  return place?.segment ? place.before : noHead;
}

export type Walked =
  | {
      ok: true;
      head: Head;
      segments: number /** Bytes of a line that is not whole (yet). */;
      tornBytes: number;
    }
  | { ok: false; file: string; line: number; why: string };

/** Each line once, in order, with the file and the line number where it stands. What it returns as text is wrong with the line. */
export type VisitAt = (head: Head, line: Line, file: string, number: number) => unknown;

/**
 * The whole ledger: its archived segments, then the live file, which may be written and even rotated meanwhile. Names the first
 * bad line with its file; a segment that is not there is one.
 */
export async function walkLedger(path: string, visit?: VisitAt, archive = archiveOf(path)): Promise<Walked> {
  let reached = noHead;
  const walkSegment = async (file: string, number: number, start: Head | undefined): Promise<Walk> => {
    const handle = await open(file, 'r');
    let count = 0;
    try {
      const seen = await walk(
        handle,
        (head, line) => {
          count += 1;
          if (count === 1 && number > 1 && (line.kind !== 'segment' || line.number !== number))
            return `it does not begin segment ${number}`;
          if (head.seq > reached.seq) {
            const why = visit?.(head, line, file, count);
            if (typeof why !== 'string') reached = head;
            return why;
          }
          // A live file that was put away but not yet truncated shows its lines a second time.
          return head.seq === reached.seq && head.hash !== reached.hash
            ? 'it is not the line that the archive holds'
            : undefined;
        },
        start,
      );
      return seen;
    } finally {
      await handle.close();
    }
  };

  let head = noHead;
  let before = noHead;
  let done = 0;
  for (;;) {
    for (const { number, file } of await segmentsIn(archive)) {
      if (number <= done) continue;
      if (number !== done + 1) return missing(path, archive, done + 1);
      const seen = await walkSegment(file, number, head);
      if (!seen.ok) return { ...seen, file };
      if (seen.torn.length > 0)
        return { ok: false, file, line: seen.count + 1, why: 'it is cut off, in a segment that was whole' };
      before = head;
      head = seen.head;
      done = number;
    }
    const place = await firstPlace(path);
    const again = done > 0 && place !== null && place.before.seq === before.seq;
    const seen =
      place?.segment === true && place.before.seq > head.seq
        ? missing(path, archive, done + 1)
        : await walkSegment(path, again ? done : done + 1, again ? before : head);
    // Rotated under our eyes: what we read may be half of the old and half of the new file.
    if (((await segmentsIn(archive)).at(-1)?.number ?? 0) > done) continue;
    if ((await firstPlace(path))?.before.hash !== place?.before.hash) continue;
    if (!seen.ok) return { file: path, ...seen };
    if (again && seen.head.seq < head.seq)
      return {
        ok: false,
        file: path,
        line: seen.count + 1,
        why: 'it is missing, though the archive holds it',
      };
    return {
      ok: true,
      head: seen.count === 0 ? head : seen.head,
      segments: again ? done : done + 1,
      tornBytes: seen.torn.length,
    };
  }
}

const missing = (path: string, archive: string | undefined, number: number) => ({
  ok: false as const,
  file: archive === undefined ? path : segmentFile(archive, number),
  line: 1,
  why: 'the segment is missing',
});

async function firstPlace(path: string): Promise<ReturnType<typeof placeOf>> {
  const file = await open(path, 'r');
  try {
    const bytes = Buffer.alloc(256);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return placeOf(bytes.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

export type Verified =
  | {
      ok: true;
      count: number;
      head: Head /** Bytes of a line that is not whole (yet): a writer may be at work. */;
      tornBytes: number;
    }
  | {
      ok: false;
      line: number;
      why: string /** The archived segment that it is in; absent for the live file. */;
      file?: string;
    };

/**
 * Is every line where it was written? A changed, dropped or moved line is found by the chain alone. A cut tail is not:
 * give an `anchor`, a head that was seen (and signed) before, and its absence is found too.
 */
export async function verifyLedger(path: string, anchor?: Head): Promise<Verified> {
  let anchored = anchor === undefined || anchor.seq === 0;
  let last = { seq: 0, number: 0 };
  const seen = await walkLedger(path, (head, _, _file, number) => {
    last = { seq: head.seq, number };
    if (!anchor || head.seq !== anchor.seq) return undefined;
    anchored = true;
    return head.hash === anchor.hash ? undefined : 'it is not the line that was signed';
  });
  if (!seen.ok) {
    const { file, ...found } = seen;
    return file === path ? found : { ...found, file };
  }
  if (anchor && !anchored) {
    const line = last.number + anchor.seq - last.seq;
    return { ok: false, line, why: 'it is missing, though it was signed' };
  }
  return { ok: true, count: seen.head.seq, head: seen.head, tornBytes: seen.tornBytes };
}
