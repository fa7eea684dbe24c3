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

const sentences: Record<string, (act: Act) => string> = {
  approve: (act) => `said yes to call ${String(act.id ?? '')} of ${String(act.agent ?? 'an agent')}`,
  deny: (act) => `said no to call ${String(act.id ?? '')} of ${String(act.agent ?? 'an agent')}`,
  'config-apply': (act) => `applied configuration ${String(act.version ?? '').slice(0, 12)}`,
  'agent-add': (act) => `added agent ${String(act.agent ?? '')}`,
  'agent-remove': (act) => `removed agent ${String(act.agent ?? '')}; its files stay`,
  'price-set': (act) => `said what ${String(act.provider ?? '')}/${String(act.model ?? '')} costs`,
  setup: () => 'became the operator with the setup code',
};

/** For shared/CHANGELOG.md: what was decided or changed. Logins stay in the ledger; kill and re-arm are the keeper's to tell. */
export function told(act: Act): string | undefined {
  const sentence = Object.hasOwn(sentences, act.act) ? sentences[act.act] : undefined;
  return sentence && `${act.by} (${act.from}) ${sentence(act)}`;
}
