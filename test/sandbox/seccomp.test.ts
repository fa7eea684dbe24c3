/** The system-call wall under bubblewrap: what it refuses, what runs behind it, and that the same probes pass without it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { compileFilter, dockerProfile, machineArch } from '../../sandbox/seccomp.ts';
import { groups } from '../../sandbox/syscalls.ts';
import { allowances, ENOSYS, EPERM, numberOf, parseProbes, perlFor, refusals } from './probes.ts';

const arch = machineArch();
const folder = mkdtempSync(join(tmpdir(), 'hf-seccomp-'));
after(() => rmSync(folder, { recursive: true }));
const filterFile = join(folder, 'filter.bpf');
writeFileSync(filterFile, compileFilter(arch));

/** Behind bubblewrap, with the filter or (the control) without. */
function inside(
  filtered: boolean,
  command: string[],
): { status: number | null; stdout: string; stderr: string } {
  const fd = openSync(filterFile, 'r');
  const wall = filtered ? ['--seccomp', '3'] : [];
  const view = [
    '--ro-bind',
    '/',
    '/',
    '--dev',
    '/dev',
    '--proc',
    '/proc',
    '--tmpfs',
    '/run',
    '--bind',
    folder,
    folder,
  ];
  try {
    return spawnSync('bwrap', [...view, '--unshare-pid', ...wall, '--', ...command], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe', fd],
    });
  } finally {
    closeSync(fd);
  }
}

describe('the table', () => {
  test('names every call once, with a number that no other call has', () => {
    const names = groups.flatMap(({ calls }) => Object.keys(calls));
    assert.equal(new Set(names).size, names.length);
    for (const at of [0, 1]) {
      const numbers = groups.flatMap(({ calls }) => Object.values(calls).flatMap((pair) => pair[at] ?? []));
      assert.equal(new Set(numbers).size, numbers.length);
      assert.ok(numbers.length >= 300);
    }
  });

  test('has the numbers of the header on this machine, where there is one', (t) => {
    const header = '/usr/include/x86_64-linux-gnu/asm/unistd_64.h';
    if (!existsSync(header)) return t.diagnostic(`no ${header}: the numbers were compared where it is`);
    const theirs = readFileSync(header, 'utf8').matchAll(/#define __NR_(\w+) (\d+)/g);
    const ours = new Map(groups.flatMap(({ calls }) => Object.entries(calls)));
    for (const [, name = '', number] of theirs) {
      // A newer header knows more: those are ENOSYS.
      if (Number(number) <= 450) assert.equal(ours.get(name)?.[0], Number(number), name);
    }
  });
});

describe('the filter', () => {
  test('stays far below the kernel’s 4096 instructions on both machines', () => {
    for (const each of ['x86_64', 'aarch64'] as const) {
      const bytes = compileFilter(each);
      assert.equal(bytes.length % 8, 0);
      assert.ok(bytes.length / 8 < 256, `${each}: ${bytes.length / 8}`);
    }
  });

  test('refuses what reaches past the walls, and the same probes are not refused without it', () => {
    const program = perlFor(refusals);
    const walled = parseProbes(inside(true, ['perl', '-e', program]).stdout);
    const open = parseProbes(inside(false, ['perl', '-e', program]).stdout);
    const wanted = refusals.filter(({ call }) => numberOf(call) !== null);
    assert.equal(walled.size, wanted.length);
    assert.equal(open.size, wanted.length, 'the control ran to its end');
    for (const { name, errno, privileged } of wanted) {
      assert.equal(walled.get(name), errno, name);
      if (!privileged || process.getuid?.() === 0) assert.notEqual(open.get(name), EPERM, `control: ${name}`);
    }
  });

  test('refuses every call of the table that is marked so', () => {
    const refused = groups
      .filter(({ verdict }) => verdict === 'refuse')
      .flatMap(({ calls }) => Object.keys(calls))
      .map((call) => ({ name: call, call, args: [-1, -1, -1, -1, -1, -1] }));
    const seen = parseProbes(inside(true, ['perl', '-e', perlFor(refused)]).stdout);
    assert.ok(seen.size > 50);
    for (const [name, errno] of seen) assert.equal(errno, EPERM, name);
  });

  test('lets through what programs need', () => {
    const seen = parseProbes(inside(true, ['perl', '-e', perlFor(allowances)]).stdout);
    assert.equal(seen.size, allowances.length);
    for (const [name, errno] of seen) assert.ok(errno !== EPERM && errno !== ENOSYS, `${name}: ${errno}`);
  });

  test('says ENOSYS to clone3 and to calls newer than the table, EPERM to clone with a new namespace', () => {
    const numbers = [numberOf('clone3'), 451, 452, 467, 470, 999, 100_000];
    const calls = numbers.map(
      (number) => `print "${number}\\t", (syscall(${number}, -1) == -1 ? $!+0 : 0), "\\n";`,
    );
    const newNamespaces = [
      0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
    ];
    const clones = newNamespaces.map(
      (flag) =>
        `print "clone ${flag}\\t", (syscall(${numberOf('clone')}, ${flag + 17}, 0, 0, 0, 0) == -1 ? $!+0 : 0), "\\n";`,
    );
    const seen = parseProbes(
      inside(true, ['perl', '-e', `$| = 1; ${[...calls, ...clones].join(' ')}`]).stdout,
    );
    assert.equal(seen.size, numbers.length + newNamespaces.length);
    for (const [name, errno] of seen) assert.equal(errno, name.startsWith('clone') ? EPERM : ENOSYS, name);
  });

  test('kills a program of another architecture, and refuses x32', (t) => {
    if (arch !== 'x86_64')
      return t.diagnostic('aarch64 has no second table here; the filter’s first test is the same');
    const x32 = `print "x32\\t", (syscall(0x40000000 + 39) == -1 ? $!+0 : 0), "\\n";`;
    assert.equal(parseProbes(inside(true, ['perl', '-e', x32]).stdout).get('x32'), EPERM);
    const program = join(folder, 'i386');
    writeFileSync(program, exit42OfI386());
    chmodSync(program, 0o755);
    const open = inside(false, [program]);
    assert.ok(
      open.status === 42 || /format|exec/i.test(open.stderr),
      `control: ${open.status} ${open.stderr}`,
    );
    assert.equal(inside(true, [program]).status, open.status === 42 ? 128 + 31 : open.status); // 31: SIGSYS
  });

  test('lets bash, git, perl, node and setpriv work', () => {
    const node = process.execPath;
    const programs: [string[], RegExp][] = [
      [['bash', '-c', 'echo a | cat; (sleep 0.01 &) ; wait; cat <<X\nb\nX'], /^a\nb\n$/],
      [['git', '-C', '/', '--version'], /^git version/],
      [['perl', '-MSocket', '-e', 'fork // die; wait; print "p\\n"'], /p\n/],
      [
        [node, '-e', 'console.log(require("child_process").execSync("echo n") + new Date(0).getTime())'],
        /^n\n0\n$/,
      ],
      [
        [node, '-e', 'require("net").connect(1, "127.0.0.1").on("error", (e) => console.log(e.code))'],
        /ECONNREFUSED/,
      ],
      [
        ['setpriv', '--no-new-privs', '--inh-caps=-all', 'sh', '-c', 'grep NoNewPrivs /proc/self/status'],
        /1$/m,
      ],
    ];
    for (const [command, wanted] of programs) {
      const { stdout, stderr } = inside(true, command);
      assert.match(stdout, wanted, `${command.join(' ')}: ${stderr}`);
    }
  });
});

test('the profile for Docker names every call that the table allows, and no other', () => {
  type Rule = { names: string[]; action: string; args?: unknown[] };
  const { defaultAction, syscalls } = dockerProfile(arch) as { defaultAction: string; syscalls: Rule[] };
  assert.equal(defaultAction, 'SCMP_ACT_ERRNO');
  const at = arch === 'x86_64' ? 0 : 1;
  const wanted = groups
    .filter(({ verdict }) => verdict === 'allow' || verdict === 'args')
    .flatMap(({ calls }) => Object.entries(calls))
    .filter(([, numbers]) => numbers[at] !== null)
    .map(([name]) => name);
  const allowed = syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW').flatMap(({ names }) => names);
  assert.deepEqual([...new Set(allowed)].sort(), wanted.sort());
});

/** A 32-bit ELF program in 97 bytes: `mov ebx, 42; mov eax, 1; int 0x80`. */
function exit42OfI386(): Buffer {
  const code = Buffer.from([0xbb, 42, 0, 0, 0, 0xb8, 1, 0, 0, 0, 0xcd, 0x80]);
  const head = Buffer.alloc(84);
  head.write('\x7fELF\x01\x01\x01', 'latin1');
  head.writeUInt16LE(2, 16); // executable
  head.writeUInt16LE(3, 18); // i386
  head.writeUInt32LE(1, 20);
  head.writeUInt32LE(0x08048000 + 84, 24); // entry
  head.writeUInt32LE(52, 28); // program headers begin here
  head.writeUInt16LE(52, 40);
  head.writeUInt16LE(32, 42);
  head.writeUInt16LE(1, 44);
  const size = head.length + code.length;
  for (const [at, value] of [1, 0, 0x08048000, 0x08048000, size, size, 5, 0x1000].entries())
    head.writeUInt32LE(value, 52 + at * 4);
  return Buffer.concat([head, code]);
}
