/** What came over a control socket, by its schema, or the Problem that names the field. ask.ts, decide.ts and session-control.ts read their bodies here. */
import type { z } from 'zod';
import { Problem } from '../problem.ts';

/** The values are not repeated: a wrong body can hold a password or a code. */
export function parsed<S extends z.ZodType>(schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [first] = result.error.issues;
  const where = first?.path.map(String).join('.') || 'the body';
  throw new Problem(
    'bad-body',
    400,
    `${where}: ${first?.message ?? 'is not what was expected'}`,
    'Send the fields that this route names.',
  );
}
