/** Runs one row to its end, in its view: a probe, a job. The walls, the compile cache and the configuration ask. */
import type { Process } from '../row.ts';
import { type Ground, launch } from './launch.ts';

export type Ended = { code: number | null; stdout: string; stderr: string };

const maxOutput = 1024 * 1024;
const maxErrors = 4096; // the last words are enough

/** Ends it by force after `withinMs`; `code` is null then. Rejects only when nothing could be started at all. */
export function runOnce(
  ground: Ground,
  row: Process,
  namespacePid: number | null,
  withinMs: number,
): Promise<Ended> {
  const { child, kill } = launch(ground, row, [], namespacePid);
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    child.stdout?.on('data', (text: Buffer) => {
      stdout = (stdout + text.toString()).slice(0, maxOutput);
    });
    child.stderr?.on('data', (text: Buffer) => {
      stderr = (stderr + text.toString()).slice(-maxErrors);
    });
    const timer = setTimeout(kill, withinMs);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      ground.cgroups?.remove(row.name);
      resolve({ code, stdout, stderr });
    });
  });
}
