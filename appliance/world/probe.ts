/** Looks at the world from inside, as the guest would see it, and prints what it found as JSON. world/walls.ts runs it in the guest's own view and judges. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';

export type Seen = {
  interfaces: string[];
  rootEntries: string[];
  rootWritable: boolean;
  pids: number;
  pidNamespace: string;
  capabilities: Record<string, string>;
  noNewPrivs: boolean;
  seccomp: number;
  uid: number;
  userNamespaceAllowed: boolean;
  netlinkAllowed: boolean;
};

const status = Object.fromEntries(
  readFileSync('/proc/self/status', 'utf8')
    .split('\n')
    .map((line) => line.split(':\t'))
    .map(([key = '', value = '']) => [key, value.trim()]),
);

const succeeds = (program: string, args: string[]): boolean =>
  spawnSync(program, args, { stdio: 'ignore' }).status === 0;

function writable(path: string): boolean {
  try {
    writeFileSync(path, '');
    return true;
  } catch {
    return false;
  }
}

const seen: Seen = {
  interfaces: readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .slice(2)
    .map((line) => line.split(':')[0]?.trim() ?? '')
    .filter((name) => name !== ''),
  rootEntries: readdirSync('/').filter(
    (name) => statSync(`/${name}`, { throwIfNoEntry: false }) !== undefined,
  ),
  rootWritable: writable('/.probe') || writable('/usr/.probe') || writable('/opt/holdfast/appliance/.probe'),
  pids: readdirSync('/proc').filter((name) => /^\d+$/.test(name)).length,
  pidNamespace: readlinkSync('/proc/self/ns/pid'),
  capabilities: Object.fromEntries(
    ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((set) => [set, status[set] ?? '?']),
  ),
  noNewPrivs: status.NoNewPrivs === '1',
  seccomp: Number(status.Seccomp ?? 0),
  uid: process.getuid?.() ?? -1,
  userNamespaceAllowed: succeeds('/usr/bin/unshare', ['--user', 'true']),
  // AF_NETLINK ignores network namespaces; perl-base is on every Debian.
  netlinkAllowed: succeeds('/usr/bin/perl', ['-e', 'socket(my $s, 16, 3, 0) or exit 1']),
};
process.stdout.write(`${JSON.stringify(seen)}\n`);
