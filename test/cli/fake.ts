/** A Holdfast of small servers on its sockets, and the CLI as a program against it. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { homePaths } from '../../appliance/paths.ts';
import { type Routes, serve } from '../../appliance/socket.ts';

const program = join(import.meta.dirname, '../../appliance/cli/holdfast.ts');

export type Ran = { code: number | null; out: string; err: string };

export const holdfast = (...args: string[]): Promise<Ran> => run(args, {});

/** As another user; needs root. */
export const holdfastAs = (uid: number, ...args: string[]): Promise<Ran> => run(args, { uid, gid: uid });

/** As npm runs it, for a person in this folder. */
export const holdfastFrom = (folder: string, ...args: string[]): Promise<Ran> =>
  run(args, { env: { INIT_CWD: folder } });

function run(args: string[], options: { uid?: number; gid?: number; env?: NodeJS.ProcessEnv }): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
      env: {
        PATH: process.env.PATH,
        HOME: '/nonexistent',
        XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR,
        ...options.env,
      },
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    let out = '';
    let err = '';
    child.stdout.on('data', (text: Buffer) => {
      out += text.toString();
    });
    child.stderr.on('data', (text: Buffer) => {
      err += text.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, out, err });
    });
  });
}

/** An empty home folder, gone after the test. */
export function tempHome(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

/** Serves these sockets; returns the home. */
export async function fakeAppliance(t: TestContext, sockets: Record<string, Routes>): Promise<string> {
  const home = tempHome(t);
  const paths = homePaths(home);
  t.after(() => rmSync(paths.run, { recursive: true, force: true }));
  for (const [name, routes] of Object.entries(sockets)) {
    const path = paths.socket(name);
    mkdirSync(dirname(path), { recursive: true });
    const server = await serve({ path }, routes);
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
  }
  return home;
}

export async function* lines(...events: Record<string, unknown>[]): AsyncGenerator<Record<string, unknown>> {
  yield* events;
}
