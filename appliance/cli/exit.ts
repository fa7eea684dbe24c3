/** Exit codes of `holdfast`, the same for every verb. Scripts rely on them; README has the table. */
import { Problem } from '../problem.ts';

export const exit = {
  ok: 0,
  /** Something that should work did not, or what was named is not there. */
  fault: 1,
  /** The command line makes no sense. */
  usage: 2,
  /** A rule or a person said no. */
  refused: 3,
  /** Nothing answers at this home. */
  notRunning: 4,
  /** EX_UNAVAILABLE: a package, a wall, a port or the right to something is missing. */
  unavailable: 69,
  /** EX_CONFIG: holdfast.yaml has mistakes. */
  config: 78,
} as const;

/** As timeout(1) says it. `run` alone uses it; otherwise `run` ends with the command's own code. */
export const timedOut = 124;

const byCode: Record<string, number> = {
  'not-running': exit.notRunning,
  config: exit.config,
  usage: exit.usage,
  'port-taken': exit.unavailable,
  'no-namespace': exit.unavailable,
  missing: exit.unavailable,
  'not-served': exit.unavailable,
  'not-allowed': exit.unavailable,
  'no-exchange': exit.fault,
};

/** A refusal of another process of ours is a 4xx; the rest is a fault. */
export function exitFor(error: unknown): number {
  if (!(error instanceof Problem)) return exit.fault;
  return byCode[error.code] ?? (error.status >= 400 && error.status < 500 ? exit.refused : exit.fault);
}
