/** The one operator: a password, set once with the setup code and proven at login and at re-arm. Pages and `decide` ask here. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { allow, refuse, type Verdict } from '../../proxies/verdict/verdict.ts';
import { type Database, transaction } from '../database.ts';
import { span } from '../view/words.ts';
import type { Backoff } from './backoff.ts';
import type { SetupCode } from './setupcode.ts';

export const operatorTable = `CREATE TABLE operator (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  salt BLOB NOT NULL,
  hash BLOB NOT NULL,
  n INTEGER NOT NULL, r INTEGER NOT NULL, p INTEGER NOT NULL,
  set_at_ms INTEGER NOT NULL
) STRICT`;

/** OWASP password storage, scrypt: N=2^15, r=8, p=3 is as strong as N=2^17, p=1 and takes 32 MiB, which a small board has. */
const cost = { n: 32_768, r: 8, p: 3 };
const hashBytes = 32;
export const minPasswordCharacters = 12; // NIST SP 800-63B-4 asks for 15 where a password stands alone on a network; this one is on loopback
const maxPasswordCharacters = 256;

export type Operator = {
  exists(): boolean;
  /** Once only: the code is consumed in the same transaction. Counts a wrong code. `record` is awaited when all is right and nothing has changed yet. */
  create(code: string, password: string, record: () => Promise<void>): Promise<Verdict>;
  /** At login and at every step-up; both share one back-off. */
  prove(password: string): Promise<Verdict>;
};

export function createOperator(db: Database, code: SetupCode, backoff: Backoff, now: () => number): Operator {
  const read = db.prepare('SELECT salt, hash, n, r, p FROM operator');
  const insert = db.prepare(
    'INSERT INTO operator (one, salt, hash, n, r, p, set_at_ms) VALUES (1, ?, ?, ?, ?, ?, ?)',
  );
  const exists = (): boolean => read.get() !== undefined;
  const wrongCode = refuse(
    'The setup code is wrong.',
    'It is in the terminal where Holdfast was started. After ten wrong ones a new one is shown there.',
    'code',
  );
  const taken = refuse('The operator exists already.', 'Log in with the password.', 'exists');

  return {
    exists,
    async create(given, password, record) {
      if (exists()) return taken;
      const length = [...password].length;
      if (length < minPasswordCharacters || length > maxPasswordCharacters) {
        return refuse(
          `The password has ${length} characters.`,
          `Use ${minPasswordCharacters} to ${maxPasswordCharacters}. A few words are better than a few signs.`,
          'password',
        );
      }
      if (!code.matches(given)) return wrongCode;
      const salt = randomBytes(16);
      const hash = await derive(password, salt, cost.n, cost.r, cost.p);
      await record();
      // The code is asked again here: of two that came at once only the first finds it.
      return transaction(db, () => {
        if (exists()) return taken;
        if (!code.consume(given)) return wrongCode;
        insert.run(salt, hash, cost.n, cost.r, cost.p, now());
        return allow('setup');
      });
    },
    async prove(password) {
      const row = read.get();
      if (!row) return refuse('There is no operator yet.', 'Set one up with the setup code.', 'none');
      const taken = backoff.take();
      if (!taken.allowed) {
        return refuse(
          `Too many wrong passwords. The next try counts in ${span(taken.waitMs + 999)}.`,
          'Wait; the password has not changed.',
          'wait',
        );
      }
      const hash = await derive(
        password,
        row.salt as Uint8Array,
        Number(row.n),
        Number(row.r),
        Number(row.p),
      );
      if (!timingSafeEqual(hash, row.hash as Uint8Array)) {
        return refuse('The password is wrong.', 'Try again.', 'password');
      }
      backoff.clear();
      return allow('password');
    },
  };
}

let last: Promise<unknown> = Promise.resolve();

/** One at a time: each takes 32 MiB and a third of a second on a small board. */
function derive(password: string, salt: Uint8Array, n: number, r: number, p: number): Promise<Buffer> {
  const next = last.then(
    () =>
      new Promise<Buffer>((resolve, reject) => {
        // NFKC: the same password from another keyboard. SP 800-63B-4, 3.1.1.2.
        const text = password.slice(0, 4 * maxPasswordCharacters).normalize('NFKC');
        scrypt(text, salt, hashBytes, { N: n, r, p, maxmem: 256 * n * r }, (error, hash) =>
          error ? reject(error) : resolve(hash),
        );
      }),
  );
  last = next.catch(() => {}); // the caller has `next`; who waits behind it must run all the same
  return next;
}
