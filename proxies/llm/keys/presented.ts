/** The credentials that an agent sent along. They are nobody's, or somebody's own: either way no refusal, page or record repeats them. Called by proxy.ts for each refusal. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Denial } from '../denial.ts';
import { scrubText } from './scrub.ts';

const names = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key', 'proxy-authorization'];

const presented = (headers: IncomingHttpHeaders): string[] =>
  names.flatMap((name) => {
    const value = headers[name];
    return typeof value === 'string' ? [value.replace(/^\w+ /, '')] : [];
  });

export const unsaidText = (text: string, headers: IncomingHttpHeaders): string =>
  scrubText(presented(headers), text);

/** The refusal without them: a key in the place of a field's name would be quoted. */
export function unsaid(denial: Denial, headers: IncomingHttpHeaders): Denial {
  const { reason, hint } = denial;
  return { ...denial, reason: unsaidText(reason, headers), hint: unsaidText(hint, headers) };
}
