/** Renders the manifest as systemd units, with the accounts (sysusers.d) and folders (tmpfiles.d) that they need. `holdfast units` calls it; on the appliance systemd then is the launcher. */
import { join } from 'node:path';
import { socketPath, view } from '../appliance/paths.ts';
import type { Door, Entry, Manifest, Process } from '../appliance/row.ts';
import { accounts } from './accounts.ts';
import { folders } from './folders.ts';
import { emptyRoot, hardening } from './hardening.ts';
import { plain, quoted, type Section, serviceUnit, socketUnit, text, worldUnit } from './unit.ts';

export type UnitOptions = {
  /** Where the code is; `/opt/holdfast` on the appliance, a checkout when the units are only looked at. */
  prefix?: string;
  /** Names of the files in secrets/llm/ that exist: a credential that is missing keeps a unit from starting. */
  keys?: readonly string[];
  /** The group of a socket, by number: appliance/manifest.ts `socketGroup`. */
  groupOf(door: string): number;
};

/** File name -> text. */
export type Units = Record<string, string>;

export function renderUnits(manifest: Manifest, options: UnitOptions): Units {
  const code = options.prefix ?? view.code;
  const stopped = manifest.processes.filter(endsWithKill);
  const ended = [
    ...manifest.worlds.map(({ agent }) => worldUnit(agent)),
    ...stopped.flatMap((row) => [serviceUnit(row.name), ...row.doors.map(socketUnit)]),
  ];
  const all = [
    ...manifest.worlds.map(({ agent }) => worldUnit(agent)),
    ...manifest.doors.filter((door) => servedBy(manifest, door)).map((door) => socketUnit(door.name)),
    ...manifest.processes.map((row) => serviceUnit(row.name)),
  ];
  return {
    'holdfast.target': text({
      Unit: [['Description', 'Holdfast: everything'], ...all.map((unit) => ['Wants', unit] as const)],
      Install: [['WantedBy', 'multi-user.target']],
    }),
    'holdfast-killed.target': text({
      Unit: [
        ['Description', 'Holdfast, killed: no world, no model, no way out'],
        ...ended.map((unit) => ['Conflicts', unit] as const),
        // Without an order a stop and a start may overlap; the stops come first.
        ...ended.map((unit) => ['After', unit] as const),
      ],
    }),
    ...Object.fromEntries(
      manifest.worlds.map(({ agent }) => [worldUnit(agent), world(agent, dialerUid(manifest, agent))]),
    ),
    ...Object.fromEntries(
      manifest.doors.flatMap((door) => {
        const row = servedBy(manifest, door);
        return row ? [[socketUnit(door.name), socket(door, row, options)]] : [];
      }),
    ),
    ...Object.fromEntries(
      manifest.processes.map((row) => [serviceUnit(row.name), service(row, code, options)]),
    ),
    'holdfast.sysusers.conf': accounts(manifest, options.groupOf),
    'holdfast.tmpfiles.conf': folders(manifest, options.groupOf),
  };
}

/** Not the agent's own: what it could signal must not hold its world. */
const dialerUid = (manifest: Manifest, agent: string): number =>
  manifest.processes.find((row) => row.name === `dialer@${agent}`)?.uid ?? 65_534;

const servedBy = (manifest: Manifest, door: Door): Process | undefined =>
  manifest.processes.find((row) => row.name === door.servedBy);

/** A press ends whatever is in a world, and whatever lets bytes out or runs something. The keeper, the pages and the broker stay. */
const endsWithKill = (row: Process): boolean =>
  row.network.startsWith('world:') || ['llm', 'egress', 'tools'].includes(row.name);

const worldOf = (row: Process): string | null =>
  row.network.startsWith('world:') ? row.network.slice('world:'.length) : null;

/** systemd.exec(5): PrivateNetwork= with JoinsNamespaceOf= puts services and listening sockets into one namespace with only loopback. PID 1 makes it, so no unit of ours needs CAP_SYS_ADMIN. */
const inWorld = (agent: string): { unit: Section; exec: Section } => ({
  unit: [
    ['BindsTo', worldUnit(agent)],
    ['After', worldUnit(agent)],
    ['JoinsNamespaceOf', worldUnit(agent)],
  ],
  exec: [['PrivateNetwork', 'yes']],
});

/** Holds the namespace open, and adds the route that leads every dialled address of 198.18.0.0/15 to a door. */
const world = (agent: string, uid: number): string =>
  text({
    Unit: [
      ['Description', `Holdfast: the world of ${agent}`],
      ['PartOf', 'holdfast.target'],
      ['Conflicts', 'holdfast-killed.target'],
    ],
    Service: [
      ['Type', 'exec'],
      ['ExecStartPre', '/bin/ip route add local 198.18.0.0/15 dev lo'],
      ['ExecStart', '/bin/sleep infinity'],
      ['User', uid],
      ['Group', uid],
      ['PrivateNetwork', 'yes'],
      ['AmbientCapabilities', 'CAP_NET_ADMIN'],
      ...hardening('CAP_NET_ADMIN', 'AF_NETLINK', false),
      ...emptyRoot(`world-${agent}`, []),
      ['MemoryMax', '16M'],
      ['TasksMax', 4],
    ],
  });

function socket(door: Door, row: Process, options: UnitOptions): string {
  const [transport, address] = door.listen.startsWith('udp:')
    ? (['ListenDatagram', door.listen.slice('udp:'.length)] as const)
    : ([
        'ListenStream',
        door.listen === 'path' ? socketPath(view.run, plain(door.name)) : door.listen,
      ] as const);
  const place = door.in === 'host' ? { unit: [], exec: [] } : inWorld(door.in);
  return text({
    Unit: [
      ['Description', `Holdfast: door ${door.name}`],
      ['PartOf', 'holdfast.target'],
      ...place.unit,
      ...(endsWithKill(row) ? [['Conflicts', 'holdfast-killed.target'] as const] : []),
    ],
    Socket: [
      [transport, address],
      ['FileDescriptorName', door.name],
      ['Service', serviceUnit(row.name)],
      ...place.exec,
      // What waited at a server that died is reset, never served by its successor.
      ['FlushPending', 'yes'],
      ...(door.listen === 'path'
        ? ([
            ['SocketUser', row.uid],
            ['SocketGroup', options.groupOf(door.name)],
            ['SocketMode', '0660'],
            ['DirectoryMode', '0755'],
            ['RemoveOnStop', 'yes'],
          ] as const)
        : []),
    ],
  });
}

function service(row: Process, code: string, options: UnitOptions): string {
  const agent = worldOf(row);
  const place = agent === null ? { unit: [], exec: [] } : inWorld(agent);
  const sockets = row.doors.map(socketUnit);
  const needs = row.needs.map(serviceUnit);
  return text({
    Unit: [
      ['Description', `Holdfast: ${row.name}`],
      ['PartOf', 'holdfast.target'],
      ...place.unit,
      ...sockets.map((unit) => ['Requires', unit] as const),
      ...[...needs, ...sockets].map((unit) => ['After', unit] as const),
      ...needs.map((unit) => ['Wants', unit] as const),
      ...(endsWithKill(row) ? [['Conflicts', 'holdfast-killed.target'] as const] : []),
      ['StartLimitIntervalSec', 0],
    ],
    Service: [
      ['Type', 'exec'],
      ['ExecStart', [`${code}/node_modules/.bin/node`, ...program(row, code)].join(' ')],
      ...sockets.map((unit) => ['Sockets', unit] as const),
      ['Restart', row.restart === 'always' ? 'always' : 'no'],
      ['RestartSec', 1],
      ['User', row.uid],
      ['Group', row.uid],
      ...(row.groups.length > 0 ? [['SupplementaryGroups', row.groups.join(' ')] as const] : []),
      ...environment(row, code),
      ...credentials(row, options.keys ?? []),
      ...(row.network === 'none' ? ([['PrivateNetwork', 'yes']] as const) : place.exec),
      ...hardening('', row.network === 'none' ? 'AF_UNIX' : 'AF_UNIX AF_INET', row.guest === null),
      ...(row.guest === null ? ourView(row, code) : guestView(row.guest, code)),
      ['WorkingDirectory', row.guest === null ? '/' : '/workspace'],
      ['MemoryMax', `${row.memoryMb}M`],
      ['MemorySwapMax', 0],
      ['TasksMax', row.pids],
    ],
  });
}

/** As world/launch.ts starts it. */
const program = (row: Process, code: string): string[] => [
  '--max-semi-space-size=2',
  ...(row.guest === null ? [`--max-old-space-size=${Math.floor(row.memoryMb * 0.6)}`] : []),
  ...row.runs.map((part, at) => (at === 0 ? join(code, part) : part)),
];

function environment(row: Process, code: string): Section {
  const ours = {
    PATH: `${code}/node_modules/.bin:/usr/bin`,
    LANG: 'C.UTF-8',
    HOLDFAST_PROCESS: row.name,
    HOLDFAST_HOME: view.home,
    HOLDFAST_RUN: view.run,
    HOLDFAST_PART: `${view.run}/part/part.json`,
  };
  const env = row.guest === null ? { ...ours, ...row.env } : row.env;
  return Object.entries(env).map(([name, value]) => [
    'Environment',
    quoted(`${name}=${value.replaceAll(view.code, code)}`),
  ]);
}

const credentials = (row: Process, keys: readonly string[]): Section =>
  row.secrets === null
    ? []
    : keys.map((key) => ['LoadCredential', `${key}:${view.home}/secrets/${row.secrets}/${key}`]);

const ourView = (row: Process, code: string): Section => {
  const inHome = (entry: Entry): string => `${view.home}/${entry.path}`;
  return emptyRoot(row.name, [
    ['BindReadOnlyPaths', code],
    ['BindReadOnlyPaths', `${view.run}/part/${plain(row.name)}:${view.run}/part`],
    ...row.controls.map((name) => ['BindReadOnlyPaths', `-${view.run}/${plain(name)}`] as const),
    ...row.reads.map((entry) => ['BindReadOnlyPaths', inHome(entry)] as const),
    ...row.writes.map((entry) => ['BindPaths', inHome(entry)] as const),
    ...row.machine.map((path) =>
      path === 'cgroup'
        ? (['BindPaths', `-/sys/fs/cgroup/holdfast.slice:${view.cgroup}`] as const)
        : (['BindReadOnlyPaths', `-${path}`] as const),
    ),
  ]);
};

const guestView = (agent: string, code: string): Section =>
  emptyRoot(`agent@${agent}`, [
    ['BindReadOnlyPaths', code],
    ...['passwd', 'group', 'hosts', 'resolv.conf', 'nsswitch.conf'].map(
      (file) => ['BindReadOnlyPaths', `-${view.run}/etc/${file}:/etc/${file}`] as const,
    ),
    ['BindPaths', `${view.home}/agents/${agent}/workspace:/workspace`],
    ['BindPaths', `${view.home}/agents/${agent}/state:/home/agent`],
    ['TemporaryFileSystem', '/tmp:size=64M,mode=1777 /dev/shm:size=64M,mode=1777'],
  ]);
