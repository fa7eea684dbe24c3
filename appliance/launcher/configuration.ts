/** The owner's file as the launcher sees it: read and parsed by a job, because YAML and its schema are packages and the launcher, being root, imports none. up.ts asks. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Mistake, mistakeLine } from '../config/mistake.ts';
import { view } from '../paths.ts';
import { Problem } from '../problem.ts';
import { processRow } from '../row.ts';
import type { Config } from '../settings.ts';
import type { Ground } from '../world/launch.ts';
import { runOnce } from '../world/once.ts';
import { replaceFile } from './home.ts';

const job = 'appliance/processes/config.ts';
const withinMs = 20_000;

/** The file that the owner named, at the start. With `create`, a home without one gets the commented example. */
export async function readConfig(code: string, file: string, create: boolean): Promise<Config> {
  const run = async (argument: string): Promise<string> => {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(code, job), argument], {
      env: { PATH: '/usr/bin:/bin' },
      maxBuffer: 4 * 1024 * 1024,
    }).catch((error: { stdout?: string; stderr?: string }) => ({
      stdout: error.stdout ?? '', // it ends 78 on mistakes, and has named them
      stderr: error.stderr ?? '',
    }));
    if (stdout === '') throw unreadable(file, stderr);
    return stdout;
  };
  if (create && !existsSync(file)) replaceFile(file, await run('--example'), 0o644);
  return understood(file, await run(file), 'Mend the file; nothing was started.');
}

/** A text that the controller handed over: parsed in a view without network, as a uid of its own, since the controller may be in hostile hands. */
export async function parseText(ground: Ground, uid: number, file: string, text: string): Promise<Config> {
  // A name of its own: two texts at once must not be taken for each other.
  const row = processRow(`config-${randomUUID().slice(0, 8)}`, {
    uid,
    runs: [job, `${view.run}/part/holdfast.yaml`],
    env: { PATH: '/usr/bin' },
  });
  const folder = join(ground.run, 'part', row.name);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  try {
    replaceFile(join(folder, 'holdfast.yaml'), text, 0o644);
    const { stdout, stderr } = await runOnce(ground, row, null, withinMs);
    if (stdout === '') throw unreadable(file, stderr);
    return understood(file, stdout, 'Mend the file. What ran before runs on.');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function understood(file: string, stdout: string, hint: string): Config {
  let said: { config?: Config; mistakes?: Mistake[] };
  try {
    said = JSON.parse(stdout) as typeof said;
  } catch {
    throw unreadable(file, 'its reader was cut off');
  }
  if (said.config) return said.config;
  const lines = (said.mistakes ?? []).map((mistake) => mistakeLine(file, mistake));
  throw new Problem('config', 422, lines.join('\n'), hint);
}

const unreadable = (file: string, stderr: string): Problem =>
  new Problem(
    'config',
    422,
    `${file} cannot be read: ${stderr.trim().split('\n').at(-1)}`,
    'This is a fault of Holdfast.',
  );
