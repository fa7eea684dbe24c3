/** Sessions of the operator: a random id in a cookie, its hash in the database. The pages use surface `controller`; the gateway's are `chat` and open nothing here. */
import { createHash, randomBytes } from 'node:crypto';
import type { Database } from '../database.ts';

export const sessionTable = `CREATE TABLE session (
  hash TEXT PRIMARY KEY,
  surface TEXT NOT NULL CHECK (surface IN ('controller', 'chat')),
  parent TEXT REFERENCES session (hash) ON DELETE CASCADE,
  made_at_ms INTEGER NOT NULL,
  seen_at_ms INTEGER NOT NULL
) STRICT`;

export type Surface = 'controller' | 'chat';

/** `key` is the stored hash: it names a session in the acts and cannot be used as one. */
export type Session = { key: string; surface: Surface };

/** A working day without a touch, and at most one day in all: then the password again. */
export const idleMs = 8 * 3600_000;
export const absoluteMs = 24 * 3600_000;
const touchEveryMs = 60_000; // a write for each request would wear out an SD card
const maxSessions = 50;

export const cookieName = 'holdfast';

/** No Secure and no __Host- on plain loopback: Safari drops such a cookie (WebKit 281149). */
export const cookieFor = (id: string): string => `${cookieName}=${id}; Path=/; HttpOnly; SameSite=Strict`;
export const noCookie = `${cookieName}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0`;

export type Sessions = {
  /** A new id at every login, so that one that was planted before is worth nothing. */
  start(): string;
  /** For the gateway. It ends with its parent; undefined when that has ended already. */
  startChat(parent: string): string | undefined;
  /** `touch: false` for a page that refreshes itself: nobody is there. */
  find(id: string | undefined, surface: Surface, options?: { touch: boolean }): Session | undefined;
  end(key: string): void;
};

export function createSessions(db: Database, now: () => number): Sessions {
  const insert = db.prepare(
    'INSERT INTO session (hash, surface, parent, made_at_ms, seen_at_ms) VALUES (?, ?, ?, ?, ?)',
  );
  const read = db.prepare(
    'SELECT surface, made_at_ms, seen_at_ms FROM session WHERE hash = ? AND surface = ?',
  );
  // Who writes in the chat is there: the session that it came from lives on with it.
  const touch = db.prepare(
    'UPDATE session SET seen_at_ms = ? WHERE hash = ? OR hash = (SELECT parent FROM session WHERE hash = ?)',
  );
  const remove = db.prepare('DELETE FROM session WHERE hash = ?');
  const removeOld = db.prepare('DELETE FROM session WHERE seen_at_ms <= ? OR made_at_ms <= ?');
  const removeMany = db.prepare(
    'DELETE FROM session WHERE hash NOT IN (SELECT hash FROM session ORDER BY seen_at_ms DESC LIMIT ?)',
  );

  const alive = (row: Record<string, unknown> | undefined): boolean =>
    row !== undefined &&
    now() - Number(row.seen_at_ms) < idleMs &&
    now() - Number(row.made_at_ms) < absoluteMs;

  const add = (surface: Surface, parent: string | null): string => {
    removeOld.run(now() - idleMs, now() - absoluteMs);
    removeMany.run(maxSessions - 1);
    const id = randomBytes(32).toString('base64url');
    insert.run(hashOf(id), surface, parent, now(), now());
    return id;
  };

  return {
    start: () => add('controller', null),
    startChat: (parent) => (alive(read.get(parent, 'controller')) ? add('chat', parent) : undefined),
    find(id, surface, options = { touch: true }) {
      if (id === undefined || !/^[A-Za-z0-9_-]{43}$/.test(id)) return undefined;
      const key = hashOf(id);
      const row = read.get(key, surface);
      if (!alive(row)) {
        if (row) remove.run(key);
        return undefined;
      }
      if (options.touch && now() - Number(row?.seen_at_ms) >= touchEveryMs) touch.run(now(), key, key);
      return { key, surface };
    },
    end: (key) => void remove.run(key),
  };
}

const hashOf = (id: string): string => createHash('sha256').update(id).digest('hex');
