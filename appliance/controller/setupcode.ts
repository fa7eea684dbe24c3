/** The one-time setup code: shown once on the terminal, kept as a hash, gone when it is used. operator.ts consumes it, the setup page and `decide` ask for it. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Database } from '../database.ts';

export const setupCodeTable = `CREATE TABLE setup_code (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  hash BLOB NOT NULL,
  failures INTEGER NOT NULL
) STRICT`;

/** Crockford's base 32: no I, L, O, U, so that a code read aloud or copied by hand stays itself. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** 16 signs of 5 bits: 80 bits, in groups of four. */
const signs = 16;
const maxFailures = 10;

export type SetupCode = {
  /** Makes a new one, which ends the old one, and gives it to `announce`. */
  renew(): string;
  /** Constant in time. Counts a miss; the tenth makes a new code. */
  matches(given: string): boolean;
  /** True once per code. Run it inside the transaction that stores the operator. */
  consume(given: string): boolean;
};

export function createSetupCode(db: Database, announce: (code: string) => void): SetupCode {
  const read = db.prepare('SELECT hash, failures FROM setup_code');
  const write = db.prepare('INSERT OR REPLACE INTO setup_code (one, hash, failures) VALUES (1, ?, ?)');
  const remove = db.prepare('DELETE FROM setup_code');

  const equals = (given: string): boolean => {
    const row = read.get();
    // Without a code the same work is done against a hash that nothing has.
    const stored = row ? Buffer.from(row.hash as Uint8Array) : Buffer.alloc(32);
    return timingSafeEqual(hashOf(given), stored) && row !== undefined;
  };

  const renew = (): string => {
    const code = draw();
    write.run(hashOf(code), 0);
    announce(code);
    return code;
  };

  return {
    renew,
    matches(given) {
      if (equals(given)) return true;
      const row = read.get();
      if (!row) return false;
      const failures = Number(row.failures) + 1;
      if (failures >= maxFailures) renew();
      else write.run(row.hash as Uint8Array, failures);
      return false;
    },
    consume(given) {
      if (!equals(given)) return false;
      remove.run();
      return true;
    },
  };
}

function draw(): string {
  const code = [...randomBytes(signs)].map((byte) => alphabet[byte & 31]).join('');
  return code.replace(/(.{4})(?=.)/g, '$1-');
}

/** Groups, spaces and case are for the eye; O, I and L are read as what they look like. */
const normal = (given: string): string =>
  given
    .toUpperCase()
    .replace(/[^0-9A-Z]/g, '')
    .replace(/O/g, '0')
    .replace(/[IL]/g, '1');

const hashOf = (code: string): Buffer => createHash('sha256').update(normal(code)).digest();
