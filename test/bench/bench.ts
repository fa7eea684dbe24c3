/** `npm run bench -- NAME`: runs one bench and prints its JSON line last. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const name = process.argv[2] ?? '';
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length));
const file = join(import.meta.dirname, `${name}.bench.ts`);
if (!names.includes(name) || !existsSync(file)) {
  process.stderr.write(
    `bench: ${JSON.stringify(name)} is not one of: ${names.join(', ')}\nusage: npm run bench -- NAME\n`,
  );
  process.exitCode = 64;
} else {
  const { bench } = (await import(file)) as { bench(): Promise<Record<string, unknown>> };
  process.stdout.write(`${JSON.stringify({ bench: name, ...(await bench()) })}\n`);
}
