/** `npm run drill -- NAME`: runs one drill, a long test that must hold, and prints its JSON line last. Ends with 1 when anything was lost, opened or bricked. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

export type Drilled = { rounds: number; lost: number } & Record<string, unknown>;

const name = process.argv[2] ?? '';
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.drill.ts'))
  .map((file) => file.slice(0, -'.drill.ts'.length));
if (!names.includes(name)) {
  process.stderr.write(
    `drill: ${JSON.stringify(name)} is not one of: ${names.join(', ')}\nusage: npm run drill -- NAME\n`,
  );
  process.exitCode = 64;
} else {
  const { drill } = (await import(join(import.meta.dirname, `${name}.drill.ts`))) as {
    drill(): Promise<Drilled>;
  };
  const drilled = await drill();
  process.stdout.write(`${JSON.stringify({ drill: name, ...drilled })}\n`);
  const failed = ['lost', 'opened', 'bricked'].some((what) => Number(drilled[what] ?? 0) > 0);
  if (failed) process.exitCode = 1;
}
