/** `holdfast config`: check the file, print its schema or the commented example, make an edit take effect. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { keyFiles } from '../launcher/home.ts';
import { Problem } from '../problem.ts';
import type { Config } from '../settings.ts';
import { exit } from './exit.ts';
import { facts } from './facts.ts';
import { findConfig, readConfigText } from './file.ts';
import { json, note, say } from './print.ts';
import { reach } from './reach.ts';
import { path, verb } from './verb.ts';

/** Processes may have to start anew. */
const applyMs = 120_000;

export function configVerb(program: Command): void {
  const group = program.command('config').description('holdfast.yaml: check, schema, example, apply');
  verb<{ file?: string }>(
    group,
    'check',
    'say every mistake with its place; nothing is changed',
    { json: true },
    (command) => command.option('--file <file>', 'instead of the file that is in use', path),
    async ({ home, file: given, json: asJson }) => {
      const { file } = await findConfig(home, given);
      const text = readConfigText(file);
      if (text === undefined)
        throw new Problem('config', 404, `there is no ${file}`, 'See `holdfast config example`.');
      const [{ parseConfig }, { mistakeLine }] = await Promise.all([
        import('../config.ts'),
        import('../config/mistake.ts'),
      ]);
      const parsed = parseConfig(text, file);
      const missing = parsed.ok ? missingFiles(resolve(home), parsed.config) : [];
      if (asJson) json(parsed.ok ? { ...parsed, missing } : parsed);
      else if (parsed.ok) {
        say(`${file}: no mistakes (${parsed.digest})`);
        for (const each of missing) note(`note: ${each.path} is not in secrets/llm/ yet: ${each.file}`);
      } else for (const each of parsed.mistakes) note(mistakeLine(file, each));
      return parsed.ok ? exit.ok : exit.config;
    },
  );
  verb(
    group,
    'schema',
    'print the JSON Schema, for editors',
    { json: false },
    (command) => command,
    async () => {
      const { jsonSchema } = await import('../config/shape.ts');
      json(jsonSchema());
      return exit.ok;
    },
  );
  verb(
    group,
    'example',
    'print the commented example, which is the default',
    { json: false },
    (command) => command,
    async () => {
      const { exampleYaml } = await import('../config/example.ts');
      process.stdout.write(exampleYaml());
      return exit.ok;
    },
  );
  verb(
    group,
    'apply',
    'make an edit of the file take effect, live where it can be',
    { json: true },
    (command) => command,
    async ({ home, json: asJson }) => {
      const { file } = await findConfig(home);
      const text = readConfigText(file);
      if (text === undefined)
        throw new Problem('config', 404, `there is no ${file}`, 'See `holdfast config example`.');
      const applied = facts(
        await reach(home).call('decide', 'POST /config/apply', { text }, { timeoutMs: applyMs }),
      );
      if (asJson) json(applied);
      else sayApplied(applied);
      return exit.ok;
    },
  );
}

type Missing = { path: string; file: string };

/** Keys and certificates that the file names and that nobody has put down yet: no mistake, it may be the next step. */
function missingFiles(home: string, { providers }: Config): Missing[] {
  const wanted = Object.entries(providers).flatMap(([name, of]) =>
    (['key', 'caFile', 'certFile', 'keyFile'] as const).flatMap((field): Missing[] => {
      const file = of[field];
      return file === undefined ? [] : [{ path: `providers.${name}.${field}`, file }];
    }),
  );
  try {
    const there = keyFiles(home);
    return wanted.filter(({ file }) => !there.includes(file));
  } catch {
    return []; // only their owner may look there
  }
}

export function sayApplied(applied: Record<string, unknown>): void {
  const names = (value: unknown): string =>
    Array.isArray(value) && value.length > 0 ? value.join(', ') : 'none';
  say(`version: ${applied.version}`);
  say(`changed live: ${names(applied.live)}`);
  say(`restarted: ${names(applied.restarted)}`);
}
