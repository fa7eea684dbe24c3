/** Docker and the tool image, made ready in the background by a job, with progress for the page and the terminal. The launcher starts it after everything else runs. */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Circumstances } from '../row.ts';
import { dockerSocket } from '../world/containers.ts';

export type ToolsStatus = {
  state: 'ready' | 'installing' | 'missing';
  phase?: string;
  detail?: string;
  fix?: string;
};

type Line = { phase?: string; state?: 'doing' | 'done' | 'failed'; detail?: string; fix?: string };

export type ToolsJob = { status(): ToolsStatus; done: Promise<void>; stop(): void };

export function startTools(
  options: { code: string; run: string; noInstall: boolean },
  say: (text: string) => void,
): ToolsJob {
  let status: ToolsStatus = {
    state: 'installing',
    phase: 'look',
    detail: 'looking for Docker and the tool image',
  };
  const args = [
    join(options.code, 'provisioning/tools.ts'),
    '--run',
    options.run,
    ...(options.noInstall ? ['--no-install'] : []),
  ];
  const job = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: homedir(), LANG: 'C.UTF-8' },
  });
  let failed: Line | undefined;
  let busy = false; // where all is there already, a start says nothing of it
  let said = '';
  createInterface({ input: job.stdout }).on('line', (text) => {
    const line = parse(text);
    if (!line?.phase) return;
    if (line.state === 'failed') failed = line;
    status = { state: 'installing', phase: line.phase, ...(line.detail ? { detail: line.detail } : {}) };
    busy ||= line.state !== 'done';
    if (busy) say(`tools: ${line.phase}: ${line.detail ?? line.state ?? ''}`);
  });
  job.stderr.on('data', (text: Buffer) => {
    said = (said + text.toString()).slice(-1000);
  });
  const done = new Promise<void>((resolve) => {
    job.once('error', (error) => {
      said = error.message;
      resolve();
    });
    job.once('close', () => resolve());
  }).then(() => {
    status =
      job.exitCode === 0
        ? { state: 'ready' }
        : {
            state: 'missing',
            phase: failed?.phase ?? 'tools',
            detail: failed?.detail ?? said.trim().split('\n').at(-1) ?? 'it failed',
            fix: failed?.fix ?? 'Install docker.io and mmdebstrap, start Docker, then start Holdfast again.',
          };
    if (status.state === 'missing') say(`tools: missing: ${status.detail}. ${status.fix}`);
    else if (busy) say('tools: ready');
  });
  return { status: () => status, done, stop: () => job.kill('SIGTERM') };
}

/** Docker as the broker would reach it: there, and open to us. */
export function findDocker(): Circumstances['docker'] {
  const found = statSync(dockerSocket, { throwIfNoEntry: false });
  return found?.isSocket() ? { socket: dockerSocket, gid: found.gid } : null;
}

function parse(text: string): Line | null {
  try {
    return JSON.parse(text) as Line;
  } catch {
    return null;
  }
}
