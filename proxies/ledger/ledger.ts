/** A ledger: what happened, durably, one writer per file. Each serving process opens its own (processes/*.ts) and hands `append` to its doors. */
import { open } from 'node:fs/promises';
import { Halfway, putAway, segmentFile } from './archive.ts';
import { createBatch, maxWriteBytes } from './batch.ts';
import { LedgerFault, reason, shut } from './fault.ts';
import { type Head, LateRecord, type Line, lineHash, recordBytes, recordText } from './line.ts';
import { ForeignWrite, isOurs, sync, takeBack, write } from './live.ts';
import { findEnd } from './opening.ts';

// FORMAT. One JSON object per line, UTF-8, each line ended by one \n:
//   {"seq":1,"at":"2026-02-03T12:00:00.000Z","prev":"<64 hex digits>", ...the record's own fields}
// seq   counts from 1, without gaps, over all segments.
// at    when the line was written, UTC. For people: the order is seq's.
// prev  sha256, in hex, of the bytes of the line before, without its \n; 64 zeros in line 1.
// A line is at most 256 KiB. Check one by hand:  sed -n 7p FILE | tr -d '\n' | sha256sum  is line 8's prev.
// Bytes after the last \n are a write that a crash cut off; nobody was told that it is durable. They are cut away when the
// ledger is opened, and the next line says so: {"kind":"torn","bytes":N,"sha256":"<of those bytes>"}.
// SEGMENTS. NAME.jsonl is the one that is written. When it is large or old it is put away as NAME/000001.jsonl (archive.ts) and
// begins anew with {"seq":..,"at":..,"prev":"<of the last line put away>","kind":"segment","number":2,"carry":{...}}. What a
// reader needs of the segments before is in `carry`. One that could not be put away goes on, and says {"kind":"unrotated","why":..}.

export type Ledger = {
  /** Resolves when the line is on disk (fdatasync(2)); rejects when it cannot be, and the caller then refuses what it wanted to do. */
  append(record: Record<string, unknown>): Promise<Head>;
  /**
   * The lines stand in one segment, in order, and are durable together; resolves with the last one's head. `make` is called when
   * they are written. The object it gets is another one for each segment, and after each fault: then nothing that was made for it
   * may be thought to stand there. A Buffer is a record's JSON text. With `withinMs` they may wait so long for others, so that one
   * fdatasync serves both: for what nobody waits for.
   */
  group(
    make: (segment: object) => readonly (Record<string, unknown> | Buffer | LateRecord)[],
    withinMs?: number,
  ): Promise<Head>;
  /** Puts the live file away now, if anything is in it. */
  rotate(): Promise<void>;
  /** The last durable line. */
  head(): Head;
  /** Waits for what was appended. */
  close(): Promise<void>;
};

export type LedgerParts = {
  /** The file exists and is ours; its folder is not, so it is never renamed or made anew. */
  path: string;
  /** The folder for segments that are put away, ours too. Without one the file only grows. */
  archive?: string;
  segmentBytes?: number;
  segmentAgeMs?: number;
  /** Sees each line of the segment that is live, before anything is appended; of the one before, where the live one has no line yet. */
  visit?(line: Line, segment: object): void;
  /** What the next segment must know of the ones before. Asked when it begins. */
  carry?(): Record<string, unknown> | undefined;
  clock?(): number;
};

/** 32 MiB: read and verified in less than a second on a Pi, and a page of it is a small part. */
const defaultSegmentBytes = 32 * 1024 * 1024;
/** A week, so that what is put away can be copied off the box by the calendar. */
const defaultSegmentAgeMs = 7 * 24 * 3600 * 1000;

type Waiting = {
  make(segment: object): readonly (string | Buffer | LateRecord)[];
  resolve(head: Head): void;
  reject(error: unknown): void;
};
type Asked = { resolve(): void; reject(error: unknown): void };

export async function openLedger(parts: LedgerParts): Promise<Ledger> {
  const { path, archive, clock = Date.now } = parts;
  const segmentBytes = parts.segmentBytes ?? defaultSegmentBytes;
  const segmentAgeMs = parts.segmentAgeMs ?? defaultSegmentAgeMs;
  const file = await open(path, 'r+');
  const found: object = {};
  const end = await findEnd(file, path, archive, parts.visit && ((line) => parts.visit?.(line, found))).catch(
    async (error: unknown) => {
      await file.close();
      throw error;
    },
  );
  let { head, number, bytes: durableBytes, since } = end;
  let segment = end.fresh ? {} : found;
  const segmentText = (): string => {
    const carry = parts.carry?.();
    return recordText({ kind: 'segment', number, ...(carry === undefined ? {} : { carry }) });
  };
  /** Leads the next batch until it is durable: a full disk must not lose it. */
  let lead: (() => string)[] = end.fresh ? [segmentText] : [];
  if (end.torn.length > 0) {
    await file.truncate(durableBytes);
    await file.datasync();
    const text = recordText({ kind: 'torn', bytes: end.torn.length, sha256: lineHash(end.torn) });
    lead.push(() => text);
  }

  const batches = createBatch();
  let queue: Waiting[] = [];
  const asked: Asked[] = [];
  /** After a rotation that failed: not again before the file has grown by so much. */
  let notBefore = 0;
  /** Set when the file can no longer be trusted to hold what we wrote; only a restart, which reads it all, clears it. */
  let broken: LedgerFault | undefined;
  let closing = false;
  let flushing: Promise<void> | undefined;

  const due = (): boolean =>
    archive !== undefined &&
    durableBytes >= notBefore &&
    (durableBytes >= segmentBytes || (since !== undefined && clock() - since >= segmentAgeMs));

  /** The live file goes to the archive and is empty then; its first line leads the next batch. Appends go on where it fails. */
  const rotate = async (folder: string): Promise<void> => {
    // Asked first: a carry that is no record must be found while the old segment still stands.
    number += 1;
    try {
      isOurs(file, durableBytes); // what somebody else wrote is not ours to cut off either
      segmentText();
      await putAway(file, durableBytes, segmentFile(folder, number - 1), folder);
    } catch (error) {
      number -= 1;
      notBefore = durableBytes + segmentBytes / 32;
      if (error instanceof Halfway || error instanceof ForeignWrite)
        broken = shut(path, error.message, error);
      const text = recordText({ kind: 'unrotated', number, why: reason(error).slice(0, 500) });
      lead = [() => text];
      throw new LedgerFault('not-rotated', `${path}: ${reason(error)}`, error);
    }
    try {
      await file.truncate(0);
      await file.datasync();
    } catch (error) {
      broken = shut(path, `it was put away and could not be emptied (${reason(error)})`, error);
      throw broken;
    }
    [durableBytes, notBefore, since, segment, lead] = [0, 0, undefined, {}, [segmentText]];
  };

  /** One group of lines, all or none. */
  const made = (each: Waiting): readonly (string | Buffer | LateRecord)[] | undefined => {
    try {
      return each.make(segment);
    } catch (error) {
      segment = {}; // what `make` noted as written for this one is not
      each.reject(error);
      return undefined;
    }
  };

  /** One write (or few) and one fdatasync for all who wait: group commit. */
  const commit = async (waiting: Waiting[]): Promise<void> => {
    const from = durableBytes;
    const told: [Waiting, Head][] = [];
    let written = 0;
    try {
      isOurs(file, from);
      const at = clock();
      const batch = batches.begin(head, new Date(at).toISOString());
      for (const text of lead) batch.push(text());
      for (const each of waiting) {
        const records = made(each);
        if (!records) continue;
        for (const record of records) {
          batch.push(record instanceof LateRecord ? recordBytes(record.make()) : record);
          if (batch.bytes() >= maxWriteBytes) written += await write(file, batch.take(), from + written);
        }
        told.push([each, batch.head()]);
      }
      if (batch.bytes() > 0) written += await write(file, batch.take(), from + written);
      if (written > 0) await sync(file);
      [head, durableBytes, lead] = [batch.head(), from + written, []];
      since ??= at;
    } catch (error) {
      segment = {};
      broken = await takeBack(file, path, from, error);
      const fault = broken ?? new LedgerFault('not-durable', `${path}: ${reason(error)}`, error);
      // Who waits behind the failed write would only fail after it: each caller refuses now.
      for (const { reject } of [...waiting, ...queue.splice(0)]) reject(fault);
      return;
    }
    for (const [{ resolve }, last] of told) resolve(last);
  };

  const flush = async (): Promise<void> => {
    while ((queue.length > 0 || asked.length > 0) && !broken) {
      const now = asked.splice(0);
      if (archive !== undefined && durableBytes > 0 && (now.length > 0 || due())) {
        try {
          if (lead.length > 0) await commit([]); // what must be said of the old segment is said in it
          if (lead.length > 0)
            throw broken ?? new LedgerFault('not-rotated', `${path}: it cannot be written`);
          await rotate(archive);
        } catch (error) {
          for (const { reject } of now.splice(0)) reject(error);
          if (broken) break;
        }
      }
      const waiting = queue;
      queue = [];
      if (waiting.length > 0 || lead.length > 0) await commit(waiting);
      for (const { resolve } of now) resolve();
    }
    const fault = broken ?? shut(path);
    for (const { reject } of [...queue.splice(0), ...asked.splice(0)]) reject(fault);
    flushing = undefined;
  };

  // Everything of this turn of the event loop goes into one batch.
  const wake = (): void => {
    clearTimeout(later);
    later = undefined;
    flushing ??= Promise.resolve().then(flush);
  };
  /** Set while lines wait that may wait for others. */
  let later: NodeJS.Timeout | undefined;
  const enqueue = (make: Waiting['make'], withinMs = 0): Promise<Head> => {
    if (broken || closing) return Promise.reject(broken ?? shut(path));
    return new Promise((resolve, reject) => {
      queue.push({ make, resolve, reject });
      if (withinMs === 0) wake();
      else later ??= setTimeout(wake, withinMs);
    });
  };

  return {
    append(record) {
      try {
        const texts = [recordText(record)];
        return enqueue(() => texts);
      } catch (error) {
        return Promise.reject(error);
      }
    },
    group: (make, withinMs) =>
      enqueue(
        (current) =>
          make(current).map((each) => {
            if (each instanceof LateRecord) return each;
            return Buffer.isBuffer(each) ? recordBytes(each) : recordText(each);
          }),
        withinMs,
      ),
    rotate() {
      if (broken || closing) return Promise.reject(broken ?? shut(path));
      if (archive === undefined)
        return Promise.reject(new LedgerFault('not-rotated', `${path} has no archive folder`));
      return new Promise((resolve, reject) => {
        asked.push({ resolve, reject });
        wake();
      });
    },
    head: () => head,
    async close() {
      closing = true;
      if (queue.length > 0) wake();
      await flushing;
      await file.close();
    },
  };
}
