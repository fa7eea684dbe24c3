/** A ledger: what happened, durably, one writer per file. Each serving process opens its own (processes/*.ts) and hands `append` to its doors. */
import { fstatSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type Head, lineAfter, lineHash, recordText, walk } from './chain.ts';

// FORMAT. One JSON object per line, UTF-8, each line ended by one \n:
//   {"seq":1,"at":"2026-02-03T12:00:00.000Z","prev":"<64 hex digits>", ...the record's own fields}
// seq   counts from 1, without gaps.
// at    when the line was written, UTC. For people: the order is seq's.
// prev  sha256, in hex, of the bytes of the line before, without its \n; 64 zeros in line 1.
// A line is at most 256 KiB. Check one by hand:  sed -n 7p FILE | tr -d '\n' | sha256sum  is line 8's prev.
// Bytes after the last \n are a write that a crash cut off; nobody was told that it is durable. They are cut away when the
// ledger is opened, and the next line says so: {"kind":"torn","bytes":N,"sha256":"<of those bytes>"}.

export type Ledger = {
  /** Resolves when the line is on disk (fdatasync(2)); rejects when it cannot be, and the caller then refuses what it wanted to do. */
  append(record: Record<string, unknown>): Promise<Head>;
  /** The last durable line. */
  head(): Head;
  /** Waits for what was appended. */
  close(): Promise<void>;
};

/** The ledger cannot be written or does not chain. `code` is stable; the message names the file and the line. */
class LedgerFault extends Error {
  readonly code: 'broken-chain' | 'not-durable' | 'shut';

  constructor(code: LedgerFault['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LedgerFault';
    this.code = code;
  }
}

type Waiting = { text: string; resolve(head: Head): void; reject(error: Error): void };

/** One write, so that a batch of many small lines does not become a buffer without bound. */
const maxBatchBytes = 4 * 1024 * 1024;

/** The file exists and is ours; its folder is not, so it is never renamed or made anew. */
export async function openLedger({ path }: { path: string }): Promise<Ledger> {
  const file = await open(path, 'r+');
  const seen = await walk(file);
  if (!seen.ok) {
    await file.close();
    throw new LedgerFault('broken-chain', `${path} line ${seen.line}: ${seen.why}`);
  }
  let { head, bytes: durableBytes } = seen;
  /** Leads the next batch until it is durable: a full disk must not lose it. */
  let note: string | undefined;
  if (seen.torn.length > 0) {
    await file.truncate(durableBytes);
    await file.datasync();
    note = recordText({ kind: 'torn', bytes: seen.torn.length, sha256: lineHash(seen.torn) });
  }

  const queue: Waiting[] = [];
  /** Set when the file can no longer be trusted to hold what we wrote; only a restart, which reads it all, clears it. */
  let broken: LedgerFault | undefined;
  let closing = false;
  let flushing: Promise<void> | undefined;

  /** One write and one fdatasync for all who wait (group commit), then they are told. */
  const flush = async (): Promise<void> => {
    while (queue.length > 0 && !broken) {
      const batch = takeBatch(queue);
      const lines = chainAfter(head, note, batch);
      const bytes = Buffer.from(`${lines.map(({ line }) => line).join('\n')}\n`);
      try {
        await commit(file, bytes, durableBytes);
      } catch (error) {
        // Who waited behind the failed write would only fail after it: each caller refuses now.
        const failed = [...batch, ...queue.splice(0)];
        broken = await takeBack(file, path, durableBytes, error);
        const fault = broken ?? new LedgerFault('not-durable', `${path}: ${reason(error)}`, error);
        for (const { reject } of failed) reject(fault);
        continue;
      }
      durableBytes += bytes.length;
      if (note !== undefined) lines.shift();
      note = undefined;
      for (const [at, { resolve }] of batch.entries()) {
        head = lines[at]?.head ?? head;
        resolve(head);
      }
    }
    for (const { reject } of queue.splice(0)) reject(broken ?? shut(path));
    flushing = undefined;
  };

  return {
    append(record) {
      if (broken || closing) return Promise.reject(broken ?? shut(path));
      return new Promise((resolve, reject) => {
        queue.push({ text: recordText(record), resolve, reject });
        // Everything of this turn of the event loop goes into one batch.
        flushing ??= Promise.resolve().then(flush);
      });
    },
    head: () => head,
    async close() {
      closing = true;
      await flushing;
      await file.close();
    },
  };
}

const shut = (path: string): LedgerFault => new LedgerFault('shut', `${path} is closed`);

function takeBatch(queue: Waiting[]): Waiting[] {
  let chars = 0;
  let end = 0;
  for (const { text } of queue) {
    chars += text.length;
    if (chars > maxBatchBytes && end > 0) break;
    end++;
  }
  return queue.splice(0, end);
}

function chainAfter(head: Head, note: string | undefined, batch: Waiting[]): { line: string; head: Head }[] {
  const at = new Date().toISOString();
  const texts = batch.map(({ text }) => text);
  let last = head;
  return (note === undefined ? texts : [note, ...texts]).map((text) => {
    const line = lineAfter(last, at, text);
    last = { seq: last.seq + 1, hash: lineHash(line) };
    return { line, head: last };
  });
}

async function commit(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  const { size } = fstatSync(file.fd);
  if (size !== at) throw new ForeignWrite(`it has ${size} bytes, and we wrote ${at}`);
  // write(2) may take less than it was given, a nearly full disk for one.
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  }
  try {
    await file.datasync();
  } catch (error) {
    throw new SyncFault('fdatasync failed', { cause: error });
  }
}

/** The file is not as long as we made it: there is a second writer, or it was cut. Nothing of it is ours to repair. */
class ForeignWrite extends Error {}

/** After a failed fsync the kernel may forget the dirty pages and report success the next time (LWN 752063). */
class SyncFault extends Error {}

/** Back to the last durable line. Returns why the ledger stays shut until a restart, if it does. */
async function takeBack(
  file: FileHandle,
  path: string,
  durableBytes: number,
  why: unknown,
): Promise<LedgerFault | undefined> {
  const until = (text: string, cause: unknown): LedgerFault =>
    new LedgerFault('shut', `${path} takes no more lines until a restart: ${text}`, cause);
  if (why instanceof ForeignWrite) return until(why.message, why);
  try {
    await file.truncate(durableBytes);
    await file.datasync();
  } catch (error) {
    return until(`a failed write could not be taken back (${reason(error)})`, error);
  }
  return why instanceof SyncFault && !isFull(why.cause)
    ? until(`${why.message} (${reason(why.cause)})`, why)
    : undefined;
}

/** Where space is reserved late, fdatasync is what finds the disk full; freeing some heals it. */
const isFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(reason(error));

function reason(error: unknown): string {
  if (error instanceof SyncFault) return reason(error.cause);
  if (error instanceof ForeignWrite) return error.message;
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' ? code : String(error);
}
