/** Job: reads the configuration file named by its argument and prints it as one JSON object. The launcher runs it, because YAML and zod are packages and the launcher has none. */
import { readFileSync } from 'node:fs';
import { exampleYaml } from '../config/example.ts';
import type { Mistake } from '../config/mistake.ts';
import { parseConfig } from '../config.ts';

// sysexits(3): EX_USAGE and EX_CONFIG.
const usage = 64;
const badConfig = 78;

const [file] = process.argv.slice(2);
if (file === undefined) {
  process.stderr.write('usage: node config.ts FILE   (or --example, for the default file)\n');
  process.exitCode = usage;
} else if (file === '--example') {
  process.stdout.write(exampleYaml());
} else {
  const answer = read(file);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  if ('mistakes' in answer) process.exitCode = badConfig;
}

function read(path: string): { config: unknown; digest: string } | { mistakes: Mistake[] } {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no file';
    return { mistakes: [{ path: '', line: 1, column: 1, got: code, expected: 'a file that can be read' }] };
  }
  const parsed = parseConfig(text, path);
  return parsed.ok ? { config: parsed.config, digest: parsed.digest } : { mistakes: parsed.mistakes };
}
