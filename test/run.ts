/** `npm test`: makes sure that a Docker engine and the tool image are there, then runs node's own test runner over test/. Arguments name files or folders to run instead of all. */
import { spawn, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const named = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const flags = process.argv.slice(2).filter((argument) => argument.startsWith('-'));

const files = (named.length > 0 ? named : ['test'])
  .flatMap((name) =>
    statSync(join(root, name)).isDirectory() ? globSync(`${name}/**/*.test.ts`, { cwd: root }) : [name],
  )
  .filter((file) => !/^test\/(bench|drills)\//.test(file))
  .sort();

const run = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
process.stdout.write('test: Docker and the tool image (the first time on a machine this takes a minute)\n');
const tools = spawnSync(process.execPath, [join(root, 'provisioning/tools.ts'), '--run', run], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (tools.status !== 0) {
  process.stdout.write(
    'test: no Docker: the tests of tools cannot pass. The lines above say what is missing.\n',
  );
  process.exit(1);
}

// Two at a time: the suite is written for 2 cores, and several tests hold a whole appliance.
const runner = spawn(
  process.execPath,
  ['--test', '--test-concurrency=2', '--test-timeout=240000', ...flags, ...files],
  { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
);
runner.once('exit', (code) => {
  stopDockerd();
  rmSync(run, { recursive: true, force: true });
  process.exitCode = code ?? 1;
});

/** Only the one that was started above, by its pid file. */
function stopDockerd(): void {
  try {
    process.kill(Number(readFileSync(join(run, 'dockerd.pid'), 'utf8')), 'SIGTERM');
  } catch {
    // it was running before, or it is gone
  }
}
