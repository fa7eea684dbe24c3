/** llm-server.ts as the launcher starts the llm process: with its heap, and with its code compiled before. Types that are stripped at a start leave 30 MB behind. Used by llm.bench.ts and the tests of its memory. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { heapFlags } from '../../appliance/world/launch.ts';
import type { ServerJob } from './llm-server.ts';

const program = join(import.meta.dirname, 'llm-server.ts');
const warm = join(import.meta.dirname, '../../appliance/launcher/warm.ts');
/** Of the llm row in manifest.ts. */
const memoryMb = 512;

export type Start = { command: string[]; env: NodeJS.ProcessEnv };

/** `folder` will hold the compile cache, which serves all starts. */
export async function prepareLlm(folder: string): Promise<(job: ServerJob) => Start> {
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') };
  await promisify(execFile)(process.execPath, [warm, program], { env });
  return (job) => ({
    command: [process.execPath, ...heapFlags(memoryMb), program, JSON.stringify(job)],
    env,
  });
}
