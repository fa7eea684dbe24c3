/** The fields of a posted form, by a strict schema. Every POST of the pages reads its body here. */
import type { Context } from 'hono';
import type { z } from 'zod';
import { Problem } from '../problem.ts';

const maxBytes = 16 * 1024; // a password, a reason, a digest

/** Throws a Problem for another content type, a body that is too long, a field twice, or fields that are not the schema's. */
export async function fieldsOf<S extends z.ZodType>(c: Context, schema: S): Promise<z.output<S>> {
  const type = c.req.header('content-type') ?? '';
  if (type !== '' && !/^application\/x-www-form-urlencoded(;|$)/.test(type)) {
    throw new Problem('bad-form', 415, 'the form came in another encoding', 'Use the page itself.');
  }
  const fields = new URLSearchParams(await bounded(c.req.raw));
  const names = [...fields.keys()];
  const parsed = schema.safeParse(Object.fromEntries(fields));
  if (new Set(names).size !== names.length || !parsed.success) {
    throw new Problem(
      'bad-form',
      400,
      'the form has other fields than it should',
      'Open the page again and send it from there.',
    );
  }
  return parsed.data;
}

async function bounded(request: Request): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Problem('too-large', 413, 'the form is too large', 'Send less.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
