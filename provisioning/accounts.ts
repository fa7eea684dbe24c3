/** The accounts that the units need, as sysusers.d(5). units.ts renders them beside the units. */
import type { Manifest } from '../appliance/row.ts';
import { plain } from './unit.ts';

/** systemd refuses a number that has no account, so each number gets one: without password, shell or home. */
export function accounts(manifest: Manifest, groupOf: (door: string) => number): string {
  const users = new Map(
    manifest.processes.filter((row) => row.uid !== 0).map((row) => [row.uid, plain(row.name).split('-')[0]]),
  );
  for (const { agent, uid } of manifest.worlds) users.set(uid, `a-${agent}`);
  const groups = new Map(manifest.doors.map((door) => [groupOf(door.name), plain(door.name).split('.')[0]]));
  groups.set(groupOf('audit'), 'audit');
  groups.set(groupOf('launch'), 'launch');
  groups.delete(0);
  return [
    '# Accounts for the numbers of the manifest.',
    ...[...users].map(([uid, name]) => `u hf-${name} ${uid} "Holdfast ${name}" - -`),
    ...[...groups].map(([gid, name]) => `g hfg-${name} ${gid}`),
    '',
  ].join('\n');
}
