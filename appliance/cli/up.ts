/** `holdfast up`, behind `npm start`: becomes the launcher, which runs as a program of its own without any package in it. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { Problem } from '../problem.ts';
import { path, verb } from './verb.ts';

type Options = { config?: string; install: boolean };

export function upVerb(program: Command): void {
  verb<Options>(
    program,
    'up',
    'start everything and stay; Ctrl-C ends everything',
    { json: true },
    (command) =>
      command
        .option('--config <file>', 'instead of holdfast.yaml in the home folder', path)
        .option('--no-install', 'never install a Debian package'),
    async ({ home, config, install, json }) => {
      const args = [
        join(import.meta.dirname, '../processes/launcher.ts'),
        ...['--home', home],
        ...(config === undefined ? [] : ['--config', config]),
        ...(install ? [] : ['--no-install']),
        ...(json ? ['--json'] : []),
      ];
      // execve(2) keeps the process, its terminal and its signals, and drops npm's environment and commander.
      process.execve?.(process.execPath, [process.execPath, ...args], environment());
      throw new Problem('fault', 500, 'this Node has no execve', 'Start it with `npm start`.');
    },
  );
}

const kept = ['PATH', 'HOME', 'USER', 'LANG', 'TERM', 'XDG_RUNTIME_DIR'];

const environment = (): Record<string, string> =>
  Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
