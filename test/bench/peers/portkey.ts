/** Portkey's gateway from npm, the peer of the llm bench, with the versions of its own lock file: a fresh install takes others with which every SSE answer is a 500. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { listening } from './nginx.ts';

export type Portkey = {
  port: number;
  pids: number[];
  /** With these it forwards to `upstream`, an OpenAI-compatible server. */
  headers(upstream: number): Record<string, string>;
  close(): Promise<void>;
};

export async function startPortkey(folder: string, port: number): Promise<Portkey | { why: string }> {
  const cwd = join(folder, 'portkey');
  mkdirSync(cwd, { recursive: true });
  for (const name of ['package.json', 'package-lock.json']) {
    copyFileSync(join(import.meta.dirname, 'portkey', name), join(cwd, name));
  }
  try {
    await promisify(execFile)(
      'npm',
      ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
      {
        cwd,
      },
    );
  } catch (error) {
    return { why: `npm ci of Portkey failed: ${error instanceof Error ? error.message.split('\n')[0] : ''}` };
  }
  const program = join(cwd, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  const child = spawn(process.execPath, [program, `--port=${port}`, '--headless'], {
    cwd,
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { PATH: process.env.PATH ?? '', NODE_ENV: 'production' },
  });
  await listening(port);
  return {
    port,
    pids: [child.pid ?? 0],
    headers: (upstream) => ({
      'x-portkey-provider': 'openai',
      'x-portkey-custom-host': `http://127.0.0.1:${upstream}/v1`,
    }),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
