/** What other processes answer, as far as the verbs read it. Lenient on purpose: a field that is missing prints as nothing, and `--json` passes the answer on as it came. */

export type Facts = Record<string, unknown>;

export const facts = (value: unknown): Facts =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Facts) : {};

export const list = (value: unknown): Facts[] => (Array.isArray(value) ? value.map(facts) : []);

export const words = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : '';

export const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
