/** Which of the Debian packages in packages.txt are missing, and their installation where we have the right. `holdfast up`, doctor and the tool image's job call it. */
import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Package = { package: string; command: string; why: string };

export type Needed = {
  missing: Package[];
  /** The one line that a person types; empty when nothing is missing. */
  byHand: string;
  /** Says each step in a sentence. Never asks for a password. */
  install(say: (sentence: string) => void): Promise<Installed>;
};

/** `no-right`: neither root nor sudo without a password, or no apt-get. */
export type Installed = { ok: true } | { ok: false; why: 'no-right' | 'failed'; detail: string; fix: string };

/** What is asked of the machine, so that a test can be another one. */
export type Machine = {
  has(command: string): boolean;
  isRoot: boolean;
  run(command: string, ...args: string[]): Promise<{ code: number; output: string }>;
};

export function needed(names: readonly string[], machine: Machine = thisMachine): Needed {
  const missing = table.filter((each) => names.includes(each.package) && !machine.has(each.command));
  const unknown = names.find((name) => !table.some((each) => each.package === name));
  if (unknown !== undefined) throw new Error(`packages.txt has no package ${unknown}`);
  const list = missing.map((each) => each.package);
  const byHand = list.length === 0 ? '' : `sudo apt-get install -y ${list.join(' ')}`;
  return { missing, byHand, install: (say) => install(missing, byHand, machine, say) };
}

async function install(
  missing: Package[],
  byHand: string,
  machine: Machine,
  say: (sentence: string) => void,
): Promise<Installed> {
  if (missing.length === 0) return { ok: true };
  const noRight: Installed = { ok: false, why: 'no-right', detail: 'neither root nor sudo', fix: byHand };
  if (!machine.has('apt-get')) return { ...noRight, detail: 'there is no apt-get here' };
  const sudo = machine.isRoot ? [] : ['sudo', '-n'];
  if (!machine.isRoot && (await machine.run('sudo', '-n', 'true')).code !== 0) return noRight;
  for (const each of missing) say(`Installing ${each.package}: it ${each.why}.`);
  // Another apt may be at work just after boot; two minutes outlast it.
  const apt = [
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    '-q',
    '-y',
    '-o',
    'DPkg::Lock::Timeout=120',
  ];
  const steps = [['update'], ['install', '--no-install-recommends', ...missing.map((each) => each.package)]];
  for (const step of steps) {
    const [command = '', ...args] = [...sudo, ...apt, ...step];
    const { code, output } = await machine.run(command, ...args);
    if (code !== 0) return { ok: false, why: 'failed', detail: lastLine(output), fix: byHand };
  }
  return { ok: true };
}

const lastLine = (output: string): string => output.trim().split('\n').at(-1) ?? '';

const table: Package[] = readFileSync(join(import.meta.dirname, 'packages.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [, name = '', command = '', ...why] = line.split(/ +/);
    return { package: name, command, why: why.join(' ') };
  });

const thisMachine: Machine = {
  has: (command) => commandPath(command) !== undefined,
  isRoot: process.getuid?.() === 0,
  run: (command, ...args) =>
    new Promise((resolve) => {
      const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
      let output = '';
      const keep = (chunk: Buffer): void => {
        output = (output + chunk.toString('utf8')).slice(-8192);
      };
      child.stdout.on('data', keep);
      child.stderr.on('data', keep);
      child.on('error', (error) => resolve({ code: 127, output: error.message }));
      child.on('close', (code) => resolve({ code: code ?? 1, output }));
    }),
};

/** An ordinary user's PATH leaves out sbin, where Debian keeps ip and dockerd. */
function commandPath(command: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, command))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
