/** Pieces of bodies by content address: each stands once in a segment, however often it is sent. llm/record.ts makes the lines; `holdfast traffic` and the pages read them back. */
import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { LateRecord, type Line } from './line.ts';
import type { NewestLine } from './newest.ts';
import { redactBytes } from './redact.ts';

// FORMAT. {"kind":"blob","sha256":"<of the bytes as they were sent>","bytes":N, ...} and then either
//   "json":<the JSON value itself, line breaks between its tokens as spaces>, or, where it is larger or no JSON,
//   "part":0,"of":3,"base64":"<128 KiB of it>": several lines, one after the other.
// "redacted":n says that n keys were masked in what is stored: the bytes then no longer have that sha256.

export type Blobs = {
  /** What must be written so that each piece stands in this segment. `refs` are their sha256, for who knows them already. */
  lines(
    segment: object,
    pieces: readonly Buffer[],
    refs?: readonly string[],
  ): { refs: string[]; records: (Buffer | LateRecord)[] };
  /** A line that is in this segment already: for `visit` of openLedger. */
  seen(segment: object, line: Line): void;
};

/** A line is at most 256 KiB, and base64 makes 4 bytes of 3. */
const partBytes = 128 * 1024;
/** As base64 in one string that the engine's young generation takes. Divisible by 3. */
const stepBytes = 24 * 1024;

export function createBlobs(): Blobs {
  const stored = new WeakMap<object, Set<string>>();
  const of = (segment: object): Set<string> => {
    const found = stored.get(segment) ?? new Set();
    stored.set(segment, found);
    return found;
  };
  return {
    lines(segment, pieces, given) {
      const there = of(segment);
      const refs = given ? [...given] : pieces.map((piece) => hash('sha256', piece));
      const records: (Buffer | LateRecord)[] = [];
      for (const [at, piece] of pieces.entries()) {
        const ref = refs[at] ?? '';
        if (there.has(ref)) continue;
        records.push(...recordsOf(ref, piece));
        there.add(ref);
      }
      return { refs, records };
    },
    seen(segment, line) {
      // The parts of one are written together, so with the last one all are there.
      if (
        line.kind === 'blob' &&
        typeof line.sha256 === 'string' &&
        (line.of ?? 1) === Number(line.part ?? 0) + 1
      )
        of(segment).add(line.sha256);
    },
  };
}

function recordsOf(sha256: string, piece: Buffer): (Buffer | LateRecord)[] {
  const { bytes, count } = redactBytes(piece);
  const start = `{"kind":"blob","sha256":"${sha256}","bytes":${piece.length}${count > 0 ? `,"redacted":${count}` : ''}`;
  if (bytes.length <= partBytes && isJson(bytes))
    return [Buffer.concat([Buffer.from(`${start},"json":`), oneLine(bytes), Buffer.from('}')])];
  const of = Math.max(1, Math.ceil(bytes.length / partBytes));
  return Array.from({ length: of }, (_, part) => {
    const from = part * partBytes;
    const to = Math.min(bytes.length, from + partBytes);
    const before = `${start},"part":${part},"of":${of},"base64":"`;
    const length = before.length + 4 * Math.ceil((to - from) / 3) + 2;
    return new LateRecord(length, () => {
      const record = Buffer.allocUnsafeSlow(length);
      let at = record.write(before, 'latin1');
      for (let done = from; done < to; done += stepBytes) {
        at += record.write(bytes.toString('base64', done, Math.min(to, done + stepBytes)), at, 'latin1');
      }
      record.write('"}', at, 'latin1');
      return record;
    });
  });
}

/** What is not JSON to the last byte must not stand bare in a line: it would be what breaks the ledger. */
function isJson(bytes: Buffer): boolean {
  if (!isUtf8(bytes)) return false;
  try {
    JSON.parse(bytes.toString());
    return true;
  } catch {
    return false;
  }
}

/** JSON has line breaks between tokens only. */
function oneLine(json: Buffer): Buffer {
  if (!json.includes(10) && !json.includes(13)) return json;
  return Buffer.from(json.map((byte) => (byte === 10 || byte === 13 ? 32 : byte)));
}

export type Blob = {
  bytes: Buffer;
  /** How many keys are masked in them. */
  redacted: number;
};

const bare = /"kind":"blob","sha256":"([0-9a-f]{64})","bytes":\d{1,15}(?:,"redacted":(\d{1,9}))?,"json":/;

/** Blobs by sha256, byte by byte as they are stored, looked for in lines that come newest first. */
export type Gathering = {
  want(ref: string): void;
  get(ref: string): Blob | undefined;
  /** A `blob` line. The sha256 of the blob that is whole with it, if one was wanted. */
  see(line: Pick<NewestLine, 'bytes'>): string | undefined;
  /** How many are wanted and not found yet. */
  open(): number;
  /** The segment begins: what was not found is not there. */
  forget(): void;
};

export function createGathering(): Gathering {
  const open = new Set<string>();
  const found = new Map<string, Blob>();
  const parts = new Map<string, Map<number, Buffer>>();
  const take = (sha256: string, redacted: unknown, bytes: Buffer): string => {
    open.delete(sha256);
    parts.delete(sha256);
    found.set(sha256, { bytes, redacted: Number(redacted ?? 0) });
    return sha256;
  };
  return {
    want(ref) {
      if (ref !== '' && !found.has(ref)) open.add(ref);
    },
    get: (ref) => found.get(ref),
    see({ bytes }) {
      const start = bare.exec(bytes.toString('latin1', 0, 400));
      if (start) {
        const from = start.index + start[0].length;
        // A copy: the line's bytes are good until the next one alone.
        return open.has(start[1] ?? '')
          ? take(start[1] ?? '', start[2], Buffer.from(bytes.subarray(from, -1)))
          : undefined;
      }
      const part = JSON.parse(bytes.toString()) as Record<string, unknown>;
      const sha256 = String(part.sha256);
      if (!open.has(sha256)) return undefined;
      const list = parts.get(sha256) ?? new Map<number, Buffer>();
      parts.set(sha256, list.set(Number(part.part), Buffer.from(String(part.base64), 'base64')));
      if (list.size !== part.of) return undefined;
      const whole = [...list].sort(([a], [b]) => a - b).map(([, each]) => each);
      return take(sha256, part.redacted, Buffer.concat(whole));
    },
    open: () => open.size,
    forget() {
      open.clear();
      parts.clear();
    },
  };
}
