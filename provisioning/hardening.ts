/** What every service of ours has in common: an empty root, and as few rights as it can live with. units.ts asks. */
import { view } from '../appliance/paths.ts';
import { plain, type Section } from './unit.ts';

/** No MemoryDenyWriteExecute=: V8 compiles to memory that it then executes, and aborts under it. */
export const hardening = (capabilities: string, families: string, ours: boolean): Section => [
  ['Slice', 'holdfast.slice'],
  ['CapabilityBoundingSet', capabilities],
  ...(capabilities === '' ? ([['AmbientCapabilities', '']] as const) : []),
  ['NoNewPrivileges', 'yes'],
  // Under a user namespace of its own a capability would not reach the network namespace.
  ...(capabilities === '' ? ([['PrivateUsers', 'yes']] as const) : []),
  ['PrivateDevices', 'yes'],
  ...(ours ? ([['PrivateTmp', 'yes']] as const) : []),
  ['PrivateIPC', 'yes'],
  ['ProtectSystem', 'strict'],
  ['ProtectHome', 'tmpfs'], // `yes` would cover /home/agent, too
  ['ProtectProc', 'invisible'],
  ['ProcSubset', 'pid'],
  ['ProtectKernelTunables', 'yes'],
  ['ProtectKernelModules', 'yes'],
  ['ProtectKernelLogs', 'yes'],
  ['ProtectControlGroups', 'yes'],
  ['ProtectClock', 'yes'],
  ['ProtectHostname', 'yes'],
  ['RestrictNamespaces', 'yes'],
  ['RestrictSUIDSGID', 'yes'],
  ['RestrictRealtime', 'yes'],
  ['LockPersonality', 'yes'],
  ['RestrictAddressFamilies', families],
  ['SystemCallArchitectures', 'native'],
  ['SystemCallFilter', '@system-service'],
  ['SystemCallFilter', '~@resources @privileged io_uring_setup io_uring_enter io_uring_register'],
  ['SystemCallErrorNumber', 'EPERM'],
  ['UMask', '0077'],
  ['KeyringMode', 'private'],
  ['RemoveIPC', 'yes'],
];

/** A root that begins empty, in a folder of its own below /run: there D-Bus, resolved, nscd and journald are not hidden but absent. */
export const emptyRoot = (name: string, binds: Section): Section => [
  ['RootDirectory', rootFolder(name)],
  ['MountAPIVFS', 'yes'],
  ['BindReadOnlyPaths', '/usr /bin /sbin /lib -/lib64'],
  ...binds,
  // /sys comes with the API file systems, and above systemd 252 the journal's sockets do; our stdout reaches the journal without them.
  ['InaccessiblePaths', '-+/sys -+/run/systemd/journal -+/run/dbus -+/run/nscd'],
];

/** systemd makes the mount points in it, so each unit has its own. */
export const rootFolder = (name: string): string => `${view.run}/root/${plain(name)}`;
