/** The folders and files that the units bind, as tmpfiles.d(5). units.ts renders them beside the units. */

import { view } from '../appliance/paths.ts';
import type { Manifest } from '../appliance/row.ts';
import { rootFolder } from './hardening.ts';
import { plain } from './unit.ts';

/** Every folder and file that a unit binds, with the owner that its process has. */
export function folders(manifest: Manifest, groupOf: (door: string) => number): string {
  const octal = (mode: number): string => mode.toString(8).padStart(4, '0');
  const line = (kind: string, path: string, mode: number, uid: number, gid: number): string =>
    `${kind} ${path} ${octal(mode)} ${uid} ${gid} -`;
  const home = ['', '/audit', '/agents', '/shared', '/shared/logs', '/shared/reports'];
  return [
    '# The folders of the manifest. An f line makes an empty file and leaves one that is there.',
    ...home.map((path) => line('d', `${view.home}${path}`, 0o711, 0, 0)),
    ...['', '/llm'].map((path) => line('d', `${view.home}/secrets${path}`, 0o700, 0, 0)),
    line('d', view.run, 0o755, 0, 0),
    ...[
      ...manifest.worlds.map(({ agent }) => `world-${agent}`),
      ...manifest.processes.map((row) => row.name),
    ].map((name) => line('d', rootFolder(name), 0o755, 0, 0)),
    ...manifest.processes
      .filter((row) => row.guest === null)
      .map((row) => line('d', `${view.run}/part/${plain(row.name)}`, 0o755, 0, 0)),
    ...manifest.processes.flatMap((row) =>
      row.writes.map((entry) =>
        line(
          entry.kind === 'folder' ? 'd' : 'f',
          `${view.home}/${entry.path}`,
          entry.mode,
          row.uid,
          entry.path.startsWith('audit/') ? groupOf('audit') : row.uid,
        ),
      ),
    ),
    ...manifest.worlds.flatMap(({ agent, uid }) => [
      line('d', `${view.home}/agents/${agent}`, 0o711, 0, 0),
      ...['workspace', 'state'].map((own) =>
        line('d', `${view.home}/agents/${agent}/${own}`, 0o700, uid, uid),
      ),
    ]),
    '',
  ].join('\n');
}
