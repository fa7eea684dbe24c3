/** Refusals on record: each gets a line, up to a number per minute; the rest are counted, so that a guest in a loop cannot fill the disk. Fed by exchange.ts and names.ts. */
import { randomUUID } from 'node:crypto';
import type { Denial } from './denial.ts';
import type { Append, Log } from './record.ts';

export type Refused = {
  door: string;
  method: string;
  host: string;
  port?: number;
  denial: Denial;
  ms?: number;
};

/** More than a person reads in a minute; at 400 bytes a line it is 350 MB a day at the worst. */
const linesPerMinute = 600;

export type Refusals = {
  /** Waits for nothing: the refusal stands with or without its line. */
  note(refused: Refused): void;
};

export function createRefusals(agent: string, record: Append, log: Log, clock: () => number): Refusals {
  let minute = -1;
  let lines = 0;
  let unlisted = 0;
  return {
    note({ door, method, host, port, denial, ms }) {
      const now = Math.floor(clock() / 60_000);
      if (now !== minute) [minute, lines] = [now, 0];
      if (lines >= linesPerMinute) {
        unlisted++;
        return;
      }
      lines++;
      // What went before without a line of its own.
      const more = unlisted > 0 ? { unlisted } : {};
      unlisted = 0;
      const { code, status, rule, reason } = denial;
      // As it was asked for: text of the agent's, so short; JSON escapes its control characters.
      const asked = {
        method: method.slice(0, 20),
        host: host.slice(0, 260),
        ...(port === undefined ? {} : { port }),
      };
      const line = {
        kind: 'refusal',
        id: randomUUID(),
        agent,
        door,
        ...asked,
        verdict: 'refuse',
        code,
        status,
        rule,
        reason,
      };
      record({ ...line, ...(ms === undefined ? {} : { ms }), ...more }).catch((error: unknown) =>
        log('a refusal could not be recorded', { agent, code, error: String(error) }),
      );
    },
  };
}
