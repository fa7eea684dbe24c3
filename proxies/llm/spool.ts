/** Bytes that must be kept until an exchange ends: in memory while few, in a file without a name beyond. A request's body and an answer's capture each have one. */
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export type Spool = {
  /** Bytes written so far. */
  readonly bytes: number;
  /** Throws what the disk says (ENOSPC, EIO): the caller then refuses. */
  write(chunk: Buffer): void;
  /** The bytes from `from` up to `to`. A view where they are in memory: do not change them. */
  slice(from: number, to: number): Buffer;
  /** The same range in pieces that fit a socket's buffer. */
  pieces(from: number, to: number): Generator<Buffer>;
  /** Frees memory and disk. Whatever was read from it before stays valid. */
  close(): void;
};

/** Makes spools; each keeps at most `memoryBytes` in memory. */
export type Spools = (memoryBytes: number) => Spool;

const pieceBytes = 64 * 1024;
const leastBytes = 2048; // an ordinary small answer in one allocation

let count = 0;

/** The folder must exist and be this process's alone. Files are unlinked as they are made, so a crash leaves none. */
export const createSpools =
  (folder: string): Spools =>
  (memoryBytes) => {
    let memory: Buffer = Buffer.alloc(0);
    let bytes = 0;
    let fd: number | undefined;

    const open = (): number => {
      const path = join(folder, `spool-${process.pid}-${count++}`);
      const made = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      return made;
    };
    const writeAll = (to: number, chunk: Buffer, at: number): void => {
      for (let done = 0; done < chunk.length; ) {
        done += writeSync(to, chunk, done, chunk.length - done, at + done);
      }
    };
    const grow = (need: number): void => {
      if (memory.length >= need) return;
      const wider = Buffer.allocUnsafeSlow(
        Math.min(memoryBytes, Math.max(need, leastBytes, 2 * memory.length)),
      );
      memory.copy(wider, 0, 0, bytes);
      memory = wider;
    };

    return {
      get bytes() {
        return bytes;
      },
      write(chunk) {
        if (chunk.length === 0) return;
        if (fd === undefined && bytes + chunk.length <= memoryBytes) {
          // The first chunk is most often the whole: kept as it is, and not copied.
          if (bytes === 0) memory = chunk;
          else {
            grow(bytes + chunk.length);
            chunk.copy(memory, bytes);
          }
        } else {
          if (fd === undefined) {
            fd = open();
            writeAll(fd, memory.subarray(0, bytes), 0);
            memory = Buffer.alloc(0);
          }
          writeAll(fd, chunk, bytes);
        }
        bytes += chunk.length;
      },
      slice(from, to) {
        if (fd === undefined) return memory.subarray(from, to);
        const read = Buffer.allocUnsafe(to - from);
        for (let done = 0; done < read.length; ) {
          const got = readSync(fd, read, done, read.length - done, from + done);
          if (got === 0) throw new RangeError('the spool is shorter than what was asked for');
          done += got;
        }
        return read;
      },
      *pieces(from, to) {
        for (let at = from; at < to; at += pieceBytes) yield this.slice(at, Math.min(to, at + pieceBytes));
      },
      close() {
        memory = Buffer.alloc(0);
        if (fd !== undefined) closeSync(fd);
        fd = undefined;
        bytes = 0;
      },
    };
  };
