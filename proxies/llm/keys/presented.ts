/** The credentials that an agent sent along. They are nobody's, or somebody's own: either way no refusal, page or record repeats them. Called by proxy.ts for each refusal. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Denial } from '../denial.ts';
import { scrubText } from './scrub.ts';

const names = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key', 'proxy-authorization'];

/** The refusal without them: a key in the place of a field's name would be quoted. */
export function unsaid(denial: Denial, headers: IncomingHttpHeaders): Denial {
  const keys = names.flatMap((name) => {
    const value = headers[name];
    return typeof value === 'string' ? [value.replace(/^\w+ /, '')] : [];
  });
  if (keys.length === 0) return denial;
  return { ...denial, reason: scrubText(keys, denial.reason), hint: scrubText(keys, denial.hint) };
}
