/** What a field wants and what it got, in words for the operator. */
import type { z } from 'zod';
import type { Path } from './mistake.ts';
import { type Shape, shapeAt } from './shape.ts';

/** A field that can hold a credential by mistake is described and not repeated: mistakes are printed and logged. */
const maySecret = (path: Path): boolean => path[0] === 'providers' && path.length > 2;

/** A word in place of one of a few words is shown all the same; a key is longer than any of them. */
const isWord = (value: string, path: Path): boolean =>
  shapeAt(path)?.enum !== undefined && /^[a-z][a-z0-9 ._-]{0,19}$/i.test(value);

export function got(value: unknown, path: Path): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'a section';
  if (typeof value !== 'string') return String(value);
  const hidden = maySecret(path) && !isWord(value, path);
  return hidden || value.length > 80 ? `a text of ${value.length} characters` : `“${value}”`;
}

export function expected(issue: z.core.$ZodIssue, path: Path): string {
  const at = shapeAt(path);
  if (issue.code === 'custom' || issue.code === 'invalid_format') return issue.message;
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? 'a valid name';
  return at === undefined ? issue.message : wanted(at);
}

export function wanted(at: Shape): string {
  if (at.wants !== undefined) return at.wants;
  if (at.anyOf) return at.anyOf.map(wanted).join(', or ');
  if (at.const !== undefined) return String(at.const);
  if (at.enum) return `one of ${at.enum.join(', ')}`;
  switch (at.type) {
    case 'integer':
      return `a whole number from ${at.minimum} to ${at.maximum}`;
    case 'number':
      return `a number from ${at.minimum} to ${at.maximum}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return at.maxItems === undefined ? 'a list' : `a list of ${at.minItems ?? 0} to ${at.maxItems}`;
    case 'object':
      return at.properties ? `a section with ${Object.keys(at.properties).join(', ')}` : 'a section of names';
    default:
      return at.maxLength === undefined
        ? 'a text'
        : `a text of ${at.minLength ?? 0} to ${at.maxLength} characters`;
  }
}
