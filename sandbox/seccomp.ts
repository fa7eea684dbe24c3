/** The system-call wall, rendered twice from syscalls.ts: BPF bytes for bubblewrap (the launcher), JSON for Docker (the broker). Default deny. */
import { groups } from './syscalls.ts';

export type Arch = 'x86_64' | 'aarch64';

/** Throws on a machine for which there is no table: no filter means no guest. */
export function machineArch(nodeArch: string = process.arch): Arch {
  if (nodeArch === 'x64') return 'x86_64';
  if (nodeArch === 'arm64') return 'aarch64';
  throw new Error(`no system-call table for ${nodeArch}; Holdfast runs on x86_64 and aarch64`);
}

/** What a judged argument must be. Only its low 32 bits are read: so does the kernel (an `int`, or flags that fit). */
type ArgRule = { arg: number } & ({ oneOf: number[] } | { noneOf: number[] } | { noBits: number });

// AF_NETLINK, AF_PACKET, AF_ALG and AF_VSOCK ignore network namespaces or open kernel surface: an allow-list, not a deny-list.
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
// CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET; CLONE_NEWTIME is read by clone3 and unshare only.
const CLONE_NEW = 0x7e020000;
// TIOCSTI types into the terminal's input (CVE-2017-5226), TIOCLINUX pastes into a console (bwrap(1), --new-session).
const TIOCSTI = 0x5412;
const TIOCLINUX = 0x541c;
// PER_LINUX, PER_LINUX32, UNAME26 with each, and the query: what moby's default profile allows.
const personalities = [0, 0x8, 0x20000, 0x20008, 0xffffffff];

const argRules: Record<string, ArgRule> = {
  socket: { arg: 0, oneOf: [AF_UNIX, AF_INET, AF_INET6] },
  socketpair: { arg: 0, oneOf: [AF_UNIX] },
  clone: { arg: 0, noBits: CLONE_NEW },
  ioctl: { arg: 1, noneOf: [TIOCSTI, TIOCLINUX] },
  personality: { arg: 0, oneOf: personalities },
};

const EPERM = 1;
const ENOSYS = 38;

// linux/seccomp.h, linux/audit.h
const RET_KILL_PROCESS = 0x80000000;
const RET_ERRNO = 0x00050000;
const RET_ALLOW = 0x7fff0000;
const auditArch: Record<Arch, number> = { x86_64: 0xc000003e, aarch64: 0xc00000b7 };
const X32_BIT = 0x40000000; // x32 calls have the arch of x86_64 and numbers from here up

// linux/bpf_common.h: the five instructions that we need. Jumps count from the next instruction and fit one byte.
type Instruction = readonly [code: number, whenTrue: number, whenFalse: number, k: number];
const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const ifEqual = (k: number, whenTrue: number, whenFalse: number): Instruction => [
  0x15,
  whenTrue,
  whenFalse,
  k,
];
const ifAtLeast = (k: number, whenTrue: number, whenFalse: number): Instruction => [
  0x35,
  whenTrue,
  whenFalse,
  k,
];
const ifAnyBit = (k: number, whenTrue: number, whenFalse: number): Instruction => [
  0x45,
  whenTrue,
  whenFalse,
  k,
];
const done = (action: number): Instruction => [0x06, 0, 0, action];

// struct seccomp_data { int nr; u32 arch; u64 ip; u64 args[6]; }, little-endian on both machines
const offsetOfNumber = 0;
const offsetOfArch = 4;
const offsetOfArg = (at: number): number => 16 + 8 * at;

/** The program as `bwrap --seccomp FD` reads it: struct sock_filter[], nothing before or after. */
export function compileFilter(arch: Arch): Buffer {
  const program = [
    load(offsetOfArch),
    ifEqual(auditArch[arch], 1, 0),
    done(RET_KILL_PROCESS),
    load(offsetOfNumber),
    ...(arch === 'x86_64' ? [ifAtLeast(X32_BIT, 0, 1), done(RET_ERRNO | EPERM)] : []),
    ...tree(stretches(arch)),
  ];
  const bytes = Buffer.alloc(program.length * 8);
  for (const [at, [code, whenTrue, whenFalse, k]] of program.entries()) {
    if (whenTrue > 255 || whenFalse > 255) throw new Error('a jump of the filter is too long for BPF');
    bytes.writeUInt16LE(code, at * 8);
    bytes.writeUInt8(whenTrue, at * 8 + 2);
    bytes.writeUInt8(whenFalse, at * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, at * 8 + 4);
  }
  return bytes;
}

/** Calls from this number up to the next stretch share one fate: a verdict, or the rule of one call. */
type Stretch = { from: number; fate: 'allow' | 'refuse' | 'absent' | ArgRule };

function stretches(arch: Arch): Stretch[] {
  const fates = new Map<number, Stretch['fate']>();
  for (const { verdict, name, number } of calls(arch)) {
    fates.set(number, verdict === 'args' ? ruleOf(name) : verdict);
  }
  const found: Stretch[] = [];
  const newest = Math.max(...fates.keys());
  for (let number = 0; number <= newest + 1; number++) {
    const fate = fates.get(number) ?? 'absent';
    if (found.at(-1)?.fate !== fate) found.push({ from: number, fate });
  }
  return found;
}

/** A binary tree over the stretches: seven comparisons at most, where a list would take a hundred. */
function tree(part: Stretch[]): Instruction[] {
  const [only] = part;
  if (part.length <= 1) return only ? leaf(only.fate) : leaf('absent');
  const middle = part.length >> 1;
  const below = tree(part.slice(0, middle));
  const above = tree(part.slice(middle));
  return [ifAtLeast(part[middle]?.from ?? 0, below.length, 0), ...below, ...above];
}

function leaf(fate: Stretch['fate']): Instruction[] {
  if (fate === 'allow') return [done(RET_ALLOW)];
  if (fate === 'refuse') return [done(RET_ERRNO | EPERM)];
  if (fate === 'absent') return [done(RET_ERRNO | ENOSYS)];
  const ends = [done(RET_ERRNO | EPERM), done(RET_ALLOW)];
  if ('noBits' in fate) return [load(offsetOfArg(fate.arg)), ifAnyBit(fate.noBits, 0, 1), ...ends];
  // Each comparison jumps over those that are left to one of the two ends: refuse first, allow behind it.
  const values = 'oneOf' in fate ? fate.oneOf : fate.noneOf;
  const [matched, missed] = 'oneOf' in fate ? [1, 0] : [0, 1];
  return [
    load(offsetOfArg(fate.arg)),
    ...values.map((value, at) => {
      const left = values.length - 1 - at;
      return ifEqual(value, left + matched, left === 0 ? missed : 0);
    }),
    ...ends,
  ];
}

type DockerRule = {
  names: string[];
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  errnoRet?: number;
  args?: { index: number; value: number; valueTwo?: number; op: 'SCMP_CMP_MASKED_EQ' }[];
};

/** The same wall as `SecurityOpt: ['seccomp=' + JSON]`. libseccomp kills on a foreign architecture by itself, x32 included. */
export function dockerProfile(arch: Arch = machineArch()): object {
  const named = (verdict: string): string[] =>
    calls(arch)
      .filter((call) => call.verdict === verdict)
      .map((call) => call.name);
  const rules: DockerRule[] = [
    { names: named('allow'), action: 'SCMP_ACT_ALLOW' },
    { names: named('refuse'), action: 'SCMP_ACT_ERRNO', errnoRet: EPERM },
    { names: named('absent'), action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS },
    ...named('args').flatMap((name) => dockerRules(name, ruleOf(name))),
  ];
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    // Engines before 22.06 do not know this field and say EPERM to what is in no table.
    defaultErrnoRet: ENOSYS,
    architectures: [arch === 'x86_64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64'],
    syscalls: rules,
  };
}

/** Rules for one call are alternatives. libseccomp compares 64 bits, so every comparison is masked to the 32 that the kernel reads. */
function dockerRules(name: string, rule: ArgRule): DockerRule[] {
  const allowWhen = (mask: number, value: number): DockerRule => ({
    names: [name],
    action: 'SCMP_ACT_ALLOW',
    args: [{ index: rule.arg, value: mask, valueTwo: value, op: 'SCMP_CMP_MASKED_EQ' }],
  });
  if ('noBits' in rule) return [allowWhen(rule.noBits, 0)];
  if ('oneOf' in rule) return rule.oneOf.map((value) => allowWhen(0xffffffff, value));
  return noneOf(rule.noneOf, allowWhen);
}

/** Splits "differs from every value" into alternatives "these bits are so", walking the 32 bits from the top as a trie. */
function noneOf(values: number[], allowWhen: (mask: number, value: number) => DockerRule): DockerRule[] {
  const walk = (bit: number, mask: number, prefix: number, left: number[]): DockerRule[] => {
    if (left.length === 0) return [allowWhen(mask, prefix)];
    if (bit < 0) return [];
    const weight = 2 ** bit;
    const withBit = left.filter((value) => Math.floor(value / weight) % 2 === 1);
    const without = left.filter((value) => Math.floor(value / weight) % 2 === 0);
    return [
      ...walk(bit - 1, mask + weight, prefix, without),
      ...walk(bit - 1, mask + weight, prefix + weight, withBit),
    ];
  };
  return walk(31, 0, 0, values);
}

type Call = { name: string; number: number; verdict: 'allow' | 'args' | 'refuse' | 'absent' };

function calls(arch: Arch): Call[] {
  return groups.flatMap(({ verdict, calls }) =>
    Object.entries(calls).flatMap(([name, numbers]) => {
      const number = arch === 'x86_64' ? numbers[0] : numbers[1];
      return number === null ? [] : [{ name, number, verdict }];
    }),
  );
}

function ruleOf(name: string): ArgRule {
  const rule = argRules[name];
  if (!rule)
    throw new Error(`syscalls.ts judges ${name} by its arguments, and seccomp.ts has no rule for it`);
  return rule;
}
