/** All doors of one process, opened where each belongs: the host, or the worlds that stand. The house calls it before each start. */

import { socketPath } from '../paths.ts';
import { Problem } from '../problem.ts';
import type { Door, Manifest, Process } from '../row.ts';
import { clearSocketPlace, type OpenDoor, openDoors, permitSocket } from '../world/door.ts';
import type { Ground } from '../world/launch.ts';
import type { Worlds } from './worlds.ts';

/**
 * In the order of the row. All of them or a Problem; a world that was refused has none. `groupOf` names who may connect to a
 * socket. `free` ends the guest of a world that sits on the place of a door: while a proxy is down the port is anybody's.
 */
export async function openDoorsOf(
  ground: Ground,
  table: Manifest,
  row: Process,
  worlds: Worlds,
  groupOf: (door: string) => number,
  free: (agent: string, why: string) => Promise<void>,
): Promise<OpenDoor[]> {
  const doors = table.doors.filter((door) => door.servedBy === row.name);
  const sockets = doors.filter((door) => door.listen === 'path');
  const place = (door: Door): string =>
    door.listen === 'path' ? socketPath(ground.run, door.name) : door.listen;
  for (const door of sockets) clearSocketPlace(place(door));

  async function openIn(where: string, wanted: Door[]): Promise<OpenDoor[]> {
    const named = wanted.map((door) => ({ name: door.name, listen: place(door) }));
    if (where === 'host') return openDoors(ground.mode, null, named);
    const namespace = worlds.get(where)?.namespace;
    if (!namespace) return [];
    try {
      return await openDoors(ground.mode, namespace.pid, named);
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'door-taken') throw error;
      await free(where, error.message);
      return openDoors(ground.mode, namespace.pid, named);
    }
  }

  const groups = [...Map.groupBy(doors, (door) => door.in)];
  const opened = await Promise.allSettled(groups.map(([where, wanted]) => openIn(where, wanted)));
  const all = opened.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  const failed = opened.find((each) => each.status === 'rejected');
  if (failed) {
    for (const door of all) door.close();
    throw failed.reason;
  }
  for (const door of sockets) permitSocket(place(door), ground.mode, row.uid, groupOf(door.name));
  return row.doors.flatMap((name) => all.filter((door) => door.name === name));
}
