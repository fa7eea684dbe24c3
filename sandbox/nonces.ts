/** The nonces that were used, on disk: an approval runs once, across restarts and power loss. Owned by the broker. */
import { constants, type FileHandle, open } from 'node:fs/promises';

// FORMAT: one line per use, `<nonce> <expiresAt>\n`. A last line without its end is a use that never began.

export type Nonces = {
  /** True when this is the first use, and it is durable by then. Rejects when it cannot be made so: nothing may run. */
  use(nonce: string, expiresAt: string): Promise<boolean>;
  close(): Promise<void>;
};

/** A nonce is remembered this long after its approval expired, so that a clock set back does not make it new. */
const rememberMs = 7 * 24 * 3600 * 1000;
const line = /^([0-9a-f]{32}) (\S+)$/;

/** Throws on a file that it cannot read as its own: what was used is then unknown, and nothing may run. */
export async function openNonces(path: string, now: () => number = Date.now): Promise<Nonces> {
  // Not O_APPEND: a torn last line is overwritten. The file is made here only where its folder allows it.
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  const used = new Map<string, number>();
  const text = await file.readFile('utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  for (const [at, entry] of whole.split('\n').slice(0, -1).entries()) {
    const [, nonce, expiresAt] = line.exec(entry) ?? [];
    const expires = Date.parse(expiresAt ?? '');
    if (nonce === undefined || Number.isNaN(expires)) {
      await file.close();
      throw new Error(`${path}, line ${at + 1} is not a used nonce`);
    }
    used.set(nonce, expires);
  }
  let end = Buffer.byteLength(whole);
  if ([...used.values()].every((expires) => expires + rememberMs < now())) {
    used.clear();
    end = 0;
  }
  await file.truncate(end);

  let last: Promise<unknown> = Promise.resolve();
  return {
    use(nonce, expiresAt) {
      if (used.has(nonce)) return Promise.resolve(false);
      // Taken before it is durable: of two calls at once one is second, whichever write ends first.
      used.set(nonce, Date.parse(expiresAt));
      const written = last.then(async () => {
        end += await append(file, `${nonce} ${expiresAt}\n`, end);
        return true;
      });
      last = written.catch(() => {}); // the caller has `written`; the next write must run all the same
      return written;
    },
    close: () => file.close(),
  };
}

async function append(file: FileHandle, text: string, at: number): Promise<number> {
  const bytes = Buffer.from(text);
  const { bytesWritten } = await file.write(bytes, 0, bytes.length, at);
  if (bytesWritten !== bytes.length) throw new Error('the nonce ledger could not be written in full');
  await file.datasync();
  return bytes.length;
}
