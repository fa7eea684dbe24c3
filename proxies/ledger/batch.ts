/** Lines on their way to the disk: chained, and gathered into few large writes. ledger.ts fills one for each fdatasync. */
import { type Head, lineBeginning, lineHash, maxLineBytes } from './line.ts';

/** One write(2), so that a batch of many lines does not become a buffer without bound. */
export const maxWriteBytes = 512 * 1024;

/** What is kept for the next batch: a 64-writer batch of ordinary lines fits. */
const keptBytes = 256 * 1024;

export type Batch = {
  /** Chains the record after the last line. Its text is `{...}`, already judged by line.ts. */
  push(record: string | Buffer): Head;
  /** The lines since the last take, to be written before anything else is pushed. */
  take(): Buffer;
  /** Bytes that wait for a take. */
  bytes(): number;
  head(): Head;
};

export function createBatch(): { begin(after: Head, at: string): Batch } {
  let buffer = Buffer.allocUnsafe(keptBytes);
  let length = 0;
  let head: Head = { seq: 0, hash: '' };
  let when = '';

  const room = (bytes: number): void => {
    if (length + bytes <= buffer.length) return;
    const wider = Buffer.allocUnsafe(Math.max(buffer.length * 2, length + bytes));
    buffer.copy(wider, 0, 0, length);
    buffer = wider;
  };

  const batch: Batch = {
    push(record) {
      // 3 bytes for each UTF-16 unit is the most that UTF-8 takes; a record over the bound has been refused before.
      room(
        typeof record === 'string' ? Math.min(record.length * 3 + 200, maxLineBytes) : record.length + 200,
      );
      const from = length;
      length += buffer.write(lineBeginning(head, when), length, 'latin1');
      if (record.length === 2) {
        buffer[length++] = 0x7d;
      } else {
        const rest = length;
        length += typeof record === 'string' ? buffer.write(record, length) : record.copy(buffer, length);
        buffer[rest] = 0x2c; // the comma in the place of the record's `{`
      }
      head = { seq: head.seq + 1, hash: lineHash(buffer.subarray(from, length)) };
      buffer[length++] = 0x0a;
      return head;
    },
    take() {
      const taken = buffer.subarray(0, length);
      length = 0;
      return taken;
    },
    bytes: () => length,
    head: () => head,
  };
  return {
    begin(after, at) {
      if (buffer.length > keptBytes) buffer = Buffer.allocUnsafe(keptBytes);
      length = 0;
      head = after;
      when = at;
      return batch;
    },
  };
}
