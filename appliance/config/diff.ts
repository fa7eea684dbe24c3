/** What changed between two configurations, as paths. The launcher decides by them who is told and who is restarted. */
import { isDeepStrictEqual } from 'node:util';

/** The shortest paths that differ: a new agent is `agents.scout`, a changed list is the list's path. */
export function diffConfig(before: unknown, after: unknown, at = ''): string[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isSection(before) || !isSection(after)) return [at];
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) => diffConfig(before[name], after[name], at === '' ? name : `${at}.${name}`));
}

const isSection = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
