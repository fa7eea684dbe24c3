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
  /** Fills `into` from `from` on, as far as there is anything: how many bytes. */
  read(into: Buffer, from: number): number;
  /** The same range in pieces that fit a socket's buffer. */
  pieces(from: number, to: number): Generator<Buffer>;
  /** Frees memory and disk. Whatever was read from it before stays valid. */
  close(): void;
};

/** Makes spools; each keeps at most `memoryBytes` in memory. `expectedBytes` is believed for the size of its memory alone. */
export type Spools = (memoryBytes: number, expectedBytes?: number) => Spool;

const pieceBytes = 64 * 1024;
const leastBytes = 2048; // an ordinary small answer in one allocation
const none = Buffer.alloc(0);

/** The folder must exist and be this process's alone. Files are unlinked as they are made, so a crash leaves none. */
export const createSpools =
  (folder: string): Spools =>
  (memoryBytes, expectedBytes = 0) =>
    new OneSpool(folder, memoryBytes, expectedBytes);

/** A class: each exchange makes two, and most of them never meet the disk. */
class OneSpool implements Spool {
  bytes = 0;
  readonly #folder: string;
  readonly #memoryBytes: number;
  readonly #expectedBytes: number;
  #memory: Buffer = none;
  #fd: number | undefined;
  /** With a file: what of it is written. The rest stands in memory, since a write for each event would cost more than the event. */
  #inFile = 0;

  constructor(folder: string, memoryBytes: number, expectedBytes: number) {
    this.#folder = folder;
    this.#memoryBytes = memoryBytes;
    this.#expectedBytes = expectedBytes;
  }

  write(chunk: Buffer): void {
    if (chunk.length === 0) return;
    if (this.#fd === undefined && this.bytes + chunk.length <= this.#memoryBytes) {
      // The first chunk is most often the whole: kept as it is, and not copied.
      if (this.bytes === 0) this.#memory = chunk;
      else {
        this.#grow(this.bytes + chunk.length);
        chunk.copy(this.#memory, this.bytes);
      }
    } else this.#file(chunk);
    this.bytes += chunk.length;
  }

  slice(from: number, to: number): Buffer {
    if (this.#fd === undefined) return this.#memory.subarray(from, to);
    const read = Buffer.allocUnsafe(to - from);
    this.#fill(read, from, this.#fd);
    return read;
  }

  read(into: Buffer, from: number): number {
    const wanted = into.subarray(0, Math.min(into.length, this.bytes - from));
    if (this.#fd === undefined) this.#memory.copy(wanted, 0, from, this.bytes);
    else this.#fill(wanted, from, this.#fd);
    return wanted.length;
  }

  *pieces(from: number, to: number): Generator<Buffer> {
    for (let at = from; at < to; at += pieceBytes) yield this.slice(at, Math.min(to, at + pieceBytes));
  }

  close(): void {
    this.#memory = none;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.bytes = 0;
    this.#inFile = 0;
  }

  #grow(need: number): void {
    const memory = this.#memory;
    if (memory.length >= need) return;
    // At once where it was said how many there will be: pages that nobody writes cost nothing.
    const expected = this.#expectedBytes;
    const room = expected >= need ? expected : Math.max(need, leastBytes, 2 * memory.length);
    this.#memory = Buffer.allocUnsafeSlow(Math.min(this.#memoryBytes, room));
    memory.copy(this.#memory, 0, 0, this.bytes);
  }

  #file(chunk: Buffer): void {
    const batchBytes = Math.min(this.#memoryBytes, pieceBytes);
    if (this.#fd === undefined) {
      this.#fd = opened(this.#folder);
      this.#flush(this.#fd);
      this.#memory = none; // a new one: views of this one may be out
    }
    if (this.bytes - this.#inFile + chunk.length > batchBytes) this.#flush(this.#fd);
    if (chunk.length >= batchBytes) {
      writeAll(this.#fd, chunk, this.bytes);
      this.#inFile += chunk.length;
    } else {
      if (this.#memory.length === 0) this.#memory = Buffer.allocUnsafeSlow(batchBytes);
      chunk.copy(this.#memory, this.bytes - this.#inFile);
    }
  }

  #flush(to: number): void {
    writeAll(to, this.#memory.subarray(0, this.bytes - this.#inFile), this.#inFile);
    this.#inFile = this.bytes;
  }

  /** Out of the file, and out of memory what is not in it yet: reading never writes, so that a full disk can be read. */
  #fill(into: Buffer, at: number, from: number): void {
    const filed = Math.min(into.length, Math.max(0, this.#inFile - at));
    for (let done = 0; done < filed; ) {
      const got = readSync(from, into, done, filed - done, at + done);
      if (got === 0) throw new RangeError('the spool is shorter than what was asked for');
      done += got;
    }
    if (filed < into.length)
      this.#memory.copy(into, filed, at + filed - this.#inFile, this.bytes - this.#inFile);
  }
}

let count = 0;

function opened(folder: string): number {
  const path = join(folder, `spool-${process.pid}-${count++}`);
  const made = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  return made;
}

function writeAll(to: number, chunk: Buffer, at: number): void {
  for (let done = 0; done < chunk.length; ) {
    done += writeSync(to, chunk, done, chunk.length - done, at + done);
  }
}
