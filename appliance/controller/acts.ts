/** What the operator did, on record before it takes effect: HOME/audit/acts.jsonl. Everything here that changes something calls `record` first. */
import type { Ledger } from '../../proxies/ledger/ledger.ts';
import { Problem } from '../problem.ts';

export type Act = {
  act: string;
  /** Who: `operator`, or what a process said of itself. */
  by: string;
  /** Over which surface: `page`, `cli`, `ask`, `session`. */
  from: string;
} & Record<string, unknown>;

/** Resolves when it is durable. Throws the Problem `not-recorded`: then it must not happen. */
export type RecordAct = (act: Act) => Promise<void>;

export function createActs(ledger: Pick<Ledger, 'append'>): RecordAct {
  return async (act) => {
    try {
      await ledger.append(act);
    } catch (cause) {
      throw new Problem(
        'not-recorded',
        503,
        'this could not be put on record, so it did not happen',
        'Look for a full or broken disk. KILL works all the same.',
        cause,
      );
    }
  };
}
