/** A disk that loses power: what of a folder is certain to be there afterwards, followed through the calls that the ledger makes. For the test of invariant 12. */
import {
  cpSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';

// A file's bytes are certain as they were when the last fsync(2) or fdatasync(2) of it that has ended began; a name is certain
// when its folder was synced after it was given. Everything later may be there or not: `least` is without all of it, `most` with.

export type Disk = {
  /** Folders as a power loss would leave them, in a fresh place each. */
  least(): string;
  most(): string;
  /** How many syncs have ended. */
  syncs(): number;
};

/** Watches `NAME.jsonl` and its archive `NAME/` in `folder`. With `deaf`, no sync counts: the control. */
export async function watchDisk(t: TestContext, folder: string, name: string, deaf = false): Promise<Disk> {
  const live = join(folder, `${name}.jsonl`);
  const archive = join(folder, name);
  /** By inode, because a file is synced under one name and found under another. */
  const bytes = new Map<number, Buffer>([[statSync(live).ino, readFileSync(live)]]);
  let names = new Map<string, number>();
  let count = 0;

  const handle = await open(live, 'r');
  const methods = Object.getPrototypeOf(handle) as Pick<FileHandle, 'sync' | 'datasync'>;
  await handle.close();
  for (const method of ['sync', 'datasync'] as const) {
    const original = methods[method];
    methods[method] = async function (this: FileHandle): Promise<void> {
      const { ino } = fstatSync(this.fd);
      const isArchive = ino === statSync(archive).ino;
      const listed = isArchive
        ? new Map(readdirSync(archive).map((each) => [each, statSync(join(archive, each)).ino]))
        : names;
      const seen = isArchive ? undefined : contentOf(this.fd);
      await original.call(this);
      count += 1;
      if (deaf) return;
      names = listed;
      if (seen) bytes.set(ino, seen);
    };
    t.after(() => {
      methods[method] = original;
    });
  }

  const fresh = (): string => {
    const place = mkdtempSync(join(tmpdir(), 'holdfast-power-'));
    t.after(() => rmSync(place, { recursive: true, force: true }));
    return place;
  };
  return {
    least() {
      const place = fresh();
      writeFileSync(join(place, basename(live)), bytes.get(statSync(live).ino) ?? '');
      mkdirSync(join(place, name));
      for (const [each, ino] of names) writeFileSync(join(place, name, each), bytes.get(ino) ?? '');
      return place;
    },
    most() {
      const place = fresh();
      cpSync(folder, place, { recursive: true });
      return place;
    },
    syncs: () => count,
  };
}

const contentOf = (fd: number): Buffer => readFileSync(`/proc/self/fd/${fd}`);
