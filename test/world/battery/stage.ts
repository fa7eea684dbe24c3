/** The staged host around the battery: a mount namespace whose /run has every socket that a guest must not reach, and the controls, which run the same probes outside the walls. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { findTrees } from '../../../appliance/world/cgroup.ts';
import { checkout, ordinaryUid } from '../world.ts';
import type { Order, Result } from './battery.ts';
import type { Host } from './host.ts';

export const scripts = ['network.pl', 'kernel.pl', 'files.pl', 'processes.pl'];
export const batteryFiles = ['battery.ts', 'Battery.pm', ...scripts].map((file) =>
  join(import.meta.dirname, file),
);
const isRoot = process.getuid?.() === 0;

/** Sockets of services that speak for the host; in the staged /run each has a listener, mode 0777. */
export const serviceSockets = [
  '/run/dbus/system_bus_socket',
  '/run/systemd/resolve/io.systemd.Resolve',
  '/run/systemd/private',
  '/run/systemd/journal/socket',
  '/run/nscd/socket',
  '/run/docker.sock',
  '/var/run/docker.sock',
  '/run/containerd/containerd.sock',
  '/run/holdfast/decide/sock',
];

export type Stage = {
  /** Command prefix that enters the staged host's mount namespace. */
  behind: string[];
  targets: Record<string, string>;
  /** What reached which service of the staged host. */
  heard(): string[];
  /** A setuid and a file-capability program in this folder. */
  plant(folder: string): void;
  /** Runs probes on the host side of the walls: these names, or all but those that begin with `not:`. */
  control(where: Where, names: string[]): Result[];
};

export type Where =
  /** As root in throwaway namespaces with a far end: what needs an outside, or a kernel to be changed. */
  | 'outside'
  /** As root on the staged host itself. */
  | 'host'
  /** As an ordinary user of the host: what must not gain rights. */
  | 'person'
  /** On the staged host with a terminal. */
  | 'terminal';

export async function stage(t: TestContext): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-battery-'));
  chmodSync(folder, 0o755);
  const child = startHost(folder);
  const cgroups = makeCgroups(folder);
  t.after(() => {
    child.kill('SIGKILL');
    for (const made of cgroups) rmdirSync(made);
    rmSync(folder, { recursive: true, force: true });
  });
  let said = '';
  child.stdout?.on('data', (text: Buffer) => {
    said += text.toString();
  });
  const host = await firstLine<Host>(child);
  for (const file of batteryFiles) copyFileSync(file, join(folder, file.split('/').at(-1) ?? ''));
  for (const made of ['home/secrets/llm', 'other', 'scratch'])
    mkdirSync(join(folder, made), { recursive: true });
  for (const made of ['marker', 'home/secrets/llm/probe', 'home/latch', 'other/private'])
    writeFileSync(join(folder, made), 'seen\n');
  plant(join(folder, 'planted'));
  const behind = isRoot ? ['/usr/bin/nsenter', `--mount=/proc/${child.pid}/ns/mnt`, '--'] : [];
  const targets = {
    ...{ far4: '8.8.8.8', far6: '2001:4860:4860::8888', resolver: resolver() },
    ...{ tcp: String(host.tcp), udp: String(host.udp), other: '0', pid: String(host.pid) },
    ...{ abstract: folder, folder, sockets: serviceSockets.join(' '), disk: disk() },
    ...{
      launch: join(folder, 'launch/sock'),
      home: join(folder, 'home'),
      otherworkspace: join(folder, 'other'),
    },
    ...{
      code: checkout,
      cache: folder,
      planted: join(folder, 'planted'),
      cgroups: cgroups.join(' ') || '/sys/fs/cgroup',
    },
    ...{ manyprocesses: '300', muchmemory: '400' },
  };
  return {
    behind,
    targets,
    heard: () => [...said.matchAll(/heard (.*)/g)].map(([, what = '']) => what),
    plant,
    control(where, names) {
      const order = pairs(targets);
      const cwd = join(folder, 'scratch');
      const perl = scripts.flatMap((script) => {
        const probe = ['perl', '-I', folder, join(folder, script), ...order, ...names];
        return run([...behind, ...wrap(where, folder, targets.resolver, probe)], cwd);
      });
      return where === 'host' ? [...perl, ...nodeControl(folder, names)] : perl;
    },
  };
}

export const pairs = (targets: Record<string, string>): string[] =>
  Object.entries(targets).map(([name, value]) => `${name}=${value}`);

function wrap(where: Where, folder: string, resolver: string, probe: string[]): string[] {
  if (where === 'person' && isRoot)
    return [
      'setpriv',
      '--reuid',
      `${ordinaryUid}`,
      '--regid',
      `${ordinaryUid}`,
      '--clear-groups',
      '--',
      ...probe,
    ];
  if (where === 'terminal')
    return ['script', '-qec', probe.map((part) => `'${part}'`).join(' '), '/dev/null'];
  if (where !== 'outside') return probe;
  const ready = join(mkdtempSync(join(folder, 'far-')), 'ready');
  // An ordinary user is root of namespaces of its own, which is enough for the wire and the far end.
  const own = [
    ...(isRoot ? [] : ['--user', '--map-root-user']),
    '--mount',
    '--net',
    '--uts',
    '--ipc',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ];
  return [
    'unshare',
    ...own,
    'sh',
    join(import.meta.dirname, 'outside.sh'),
    ready,
    resolver,
    '61235',
    ...probe,
  ];
}

const path = '/usr/sbin:/usr/bin:/sbin:/bin';

function run(command: string[], cwd: string): Result[] {
  const { stdout, stderr } = spawnSync(command[0] ?? '', command.slice(1), {
    cwd,
    env: { PATH: path, LEAKED: '1' },
  });
  const lines = stdout
    .toString()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('{'));
  if (lines.length === 0 && stderr.length > 0) throw new Error(`${command.join(' ')}: ${stderr}`);
  return lines.map((line) => JSON.parse(line) as Result);
}

/** A folder handed down by mistake and a variable that nobody listed: what the node probes are to notice. */
function nodeControl(folder: string, names: string[]): Result[] {
  const file = join(folder, 'order.json');
  writeFileSync(
    file,
    JSON.stringify({ scripts: [], targets: [], names, env: { PATH: path } } satisfies Order),
  );
  return run(
    ['bash', '-c', 'exec "$@" 20</', 'bash', process.execPath, join(folder, 'battery.ts'), 'all', file],
    folder,
  );
}

/** As root in a mount namespace with a /run of its own: the machine's real sockets are neither touched nor asked. */
function startHost(folder: string): ChildProcess {
  const own = [join(folder, 'sock'), join(folder, 'launch/sock')];
  const paths = isRoot ? [...own, ...serviceSockets.filter((each) => !each.startsWith('/var/'))] : own;
  const serve = [process.execPath, join(import.meta.dirname, 'host.ts'), folder, ...paths];
  const inside = 'mount -t tmpfs -o mode=755 none /run && exec "$@"';
  const command = isRoot ? ['unshare', '--mount', 'sh', '-c', inside, 'sh', ...serve] : serve;
  return spawn(command[0] ?? '', command.slice(1), {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: path },
  });
}

function firstLine<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (part: Buffer) => {
      text += part.toString();
      if (text.includes('\n')) resolve(JSON.parse(text.split('\n')[0] ?? '') as T);
    });
    child.once('exit', (code) => reject(new Error(`the staged host ended with ${code}`)));
  });
}

function plant(folder: string): void {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  for (const name of ['setuid', 'capable']) copyFileSync('/usr/bin/sleep', join(folder, name));
  chmodSync(join(folder, 'setuid'), 0o6755);
  chmodSync(join(folder, 'capable'), 0o755);
  // struct vfs_cap_data, revision 2, effective: CAP_NET_ADMIN and CAP_NET_RAW permitted.
  const capable =
    'my ($path, $name, $value) = ($ARGV[0], "security.capability", pack("L5", 0x02000001, 3 << 12, 0, 0, 0));' +
    'Battery::sys("setxattr", $path, $name, $value, 20, 0) or die "setxattr: $!"';
  if (!isRoot) return;
  const args = ['-I', import.meta.dirname, '-MBattery', '-e', capable, join(folder, 'capable')];
  const { status, stderr } = spawnSync('perl', args);
  if (status !== 0) throw new Error(stderr.toString());
}

/** One of our own in each tree: whoever can enter it has left the cgroup it was in. */
function makeCgroups(folder: string): string[] {
  const trees = isRoot ? findTrees() : null;
  const roots = new Set(
    [trees?.unified, trees?.memory?.path, trees?.pids?.path].filter((root) => root !== undefined),
  );
  const made = [...roots].map((root) => join(root, folder.split('/').at(-1) ?? ''));
  for (const each of made) mkdirSync(each);
  return made;
}

/** The host's first resolver; one on loopback is what the probes of loopback services are for. */
function resolver(): string {
  const found = /^nameserver (\d+\.\d+\.\d+\.\d+)/m.exec(readFileSync('/etc/resolv.conf', 'utf8'))?.[1];
  return found && !found.startsWith('127.') ? found : '192.0.2.53';
}

const disk = (): string => globSync('/dev/{vda,sda,nvme0n1,mmcblk0,xvda}')[0] ?? '/dev/vda';
