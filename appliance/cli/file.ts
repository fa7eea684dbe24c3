/** The configuration file as the verbs find it: the one that a running Holdfast uses, else the home's own. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Edited } from '../config/edit.ts';
import { replaceFile } from '../launcher/home.ts';
import { Problem } from '../problem.ts';
import { facts } from './facts.ts';
import { reach } from './reach.ts';

export type Found = { file: string; running: boolean };

/** `holdfast up --config FILE` may use one that is not in the home: the launcher knows. */
export async function findConfig(home: string, given?: string): Promise<Found> {
  const seen = await launcherStatus(home);
  const used =
    seen && typeof seen.configFile === 'string' ? seen.configFile : join(resolve(home), 'holdfast.yaml');
  return { file: given ?? used, running: seen !== undefined };
}

async function launcherStatus(home: string): Promise<Record<string, unknown> | undefined> {
  try {
    return facts(await reach(home).call('launch', 'GET /status', undefined, { timeoutMs: 5000 }));
  } catch (error) {
    if (error instanceof Problem && error.code === 'not-running') return undefined;
    throw error;
  }
}

/** Undefined when there is none yet: the default then stands. */
export function readConfigText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Problem(
      'fault',
      500,
      `${file} cannot be read: ${(error as Error).message}`,
      'Are you its owner?',
    );
  }
}

/** Where nothing runs, an edit is the file's alone and takes effect at the next start. Returns the new version. */
export async function editFile({ file }: Found, edit: (text: string) => Edited): Promise<string> {
  if (!existsSync(dirname(file)))
    throw new Problem(
      'not-running',
      503,
      `there is no folder ${dirname(file)}`,
      'Name the home folder: --home DIR.',
    );
  const { exampleYaml } = await import('../config/example.ts');
  const edited = edit(readConfigText(file) ?? exampleYaml());
  if (!edited.ok) throw new Problem(edited.code, 422, edited.why, edited.hint);
  replaceFile(file, edited.text, 0o644);
  return edited.parsed.digest;
}
