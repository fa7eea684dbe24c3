/** What a ledger throws when it cannot do its work. ledger.ts and opening.ts make it; callers refuse and show `code`. */

/** The ledger cannot be written or does not chain. `code` is stable; the message names the file and the line. */
export class LedgerFault extends Error {
  readonly code: 'broken-chain' | 'not-durable' | 'not-rotated' | 'shut';

  constructor(code: LedgerFault['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LedgerFault';
    this.code = code;
  }
}

/** Closed by its owner, or no longer to be trusted. */
export const shut = (path: string, why?: string, cause?: unknown): LedgerFault =>
  new LedgerFault(
    'shut',
    why === undefined ? `${path} is closed` : `${path} takes no more lines until a restart: ${why}`,
    cause,
  );

/** The code of the system's error where there is one. */
export function reason(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  if (typeof code === 'string') return code;
  return typeof message === 'string' ? message : String(error);
}
