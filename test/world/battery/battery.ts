/** The containment battery as it runs in a world: what node itself can see, then the Perl probes beside it. One JSON line each. Run by test/invariants/01-only-loopback.test.ts, inside and outside. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export type Order = {
  scripts: string[];
  /** KEY=VALUE */
  targets: string[];
  /** Names to run; none: all. */
  names: string[];
  env: Record<string, string>;
};

export type Result = { name: string; result: 'open' | 'blocked'; errno: string };

/** Kinds of the descriptors above 2: a path, or `socket`, `pipe`, `anon_inode:[eventpoll]` and the like. */
function descriptors(): string[] {
  return readdirSync('/proc/self/fd')
    .filter((fd) => Number(fd) > 2)
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).replace(/:\[\d+\]$/, '');
      } catch {
        return ''; // the folder that was just listed
      }
    })
    .filter((kind) => kind !== '')
    .sort();
}

/** What a node that was given only 0, 1 and 2 opens for itself. */
function ownDescriptors(): string[] {
  const bare = 'use POSIX (); POSIX::close($_) for 3 .. 1023; exec @ARGV';
  const { stdout } = spawnSync('/usr/bin/perl', [
    '-e',
    bare,
    process.execPath,
    import.meta.filename,
    'descriptors',
  ]);
  return JSON.parse(stdout.toString()) as string[];
}

function report(name: string, wrong: string[]): void {
  const result: Result = { name, result: wrong.length === 0 ? 'blocked' : 'open', errno: wrong.join(' ') };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

const [what = '', file = ''] = process.argv.slice(2);
const found = descriptors();
if (what === 'descriptors') {
  process.stdout.write(JSON.stringify(found));
} else {
  const { scripts, targets, names, env } = JSON.parse(readFileSync(file, 'utf8')) as Order;
  const wanted = (name: string): boolean => names.length === 0 || names.includes(name);
  if (wanted('descriptors beyond 0, 1 and 2')) {
    const own = ownDescriptors();
    report(
      'descriptors beyond 0, 1 and 2',
      found.filter((kind, at) => found.indexOf(kind) === at && count(found, kind) > count(own, kind)),
    );
  }
  if (wanted('environment beyond the manifest')) {
    report(
      'environment beyond the manifest',
      Object.keys({ ...process.env, ...env }).filter((name) => process.env[name] !== env[name]),
    );
  }
  for (const script of scripts) {
    const folder = import.meta.dirname;
    const args = ['-I', folder, join(folder, script), ...targets, ...names];
    spawnSync('/usr/bin/perl', args, { stdio: ['ignore', 'inherit', 'inherit'] });
  }
}

function count(all: string[], kind: string): number {
  return all.filter((each) => each === kind).length;
}
