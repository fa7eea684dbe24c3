/** A SQLite file of one writer: durable, strict, with its steps of growth. The process that owns the file opens it here; others ask over its socket. */
import { chmodSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { Problem } from './problem.ts';

export type Database = DatabaseSync;

/**
 * Applies the steps that the file has not seen, in order; a step, once released, never changes. Throws a Problem for a
 * file that is no database or that a newer Holdfast made: nothing is guessed and nothing is deleted.
 */
export function openDatabase(path: string, steps: string[]): Database {
  let db: DatabaseSync;
  try {
    db = new DatabaseSync(path, { timeout: 2000 });
    if (path !== ':memory:') chmodSync(path, 0o600);
    // FULL: an answer that was given is on the disk. Autocheckpoint bounds the WAL beside it.
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON');
    grow(db, path, steps);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(
      'database',
      500,
      `cannot open ${path}`,
      'Put the file back from a snapshot, or move it away.',
      error,
    );
  }
  return db;
}

function grow(db: Database, path: string, steps: string[]): void {
  const seen = Number(db.prepare('PRAGMA user_version').get()?.user_version ?? 0);
  if (seen > steps.length) {
    throw new Problem(
      'newer-database',
      500,
      `${path} was made by a newer Holdfast`,
      'Start the newer version, or move the file away.',
    );
  }
  for (const [at, step] of steps.entries()) {
    if (at < seen) continue;
    transaction(db, () => {
      db.exec(step);
      db.exec(`PRAGMA user_version = ${at + 1}`);
    });
  }
}

/** All or nothing. The work is synchronous, so nothing of this process runs in between. */
export function transaction<T>(db: Database, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}
