/** The worlds of the running appliance: a namespace for each agent, or the reason why there is none. The house opens and closes them. */
import type { Manifest, Process } from '../row.ts';
import type { Ground } from '../world/launch.ts';
import { type Namespace, openNamespace } from '../world/namespace.ts';
import { checkWalls, sealed, type Wall } from '../world/walls.ts';

export type World = {
  agent: string;
  namespace: Namespace | null;
  walls: Wall[];
  /** Why no guest starts in it. */
  refused?: string | undefined;
};

export type Worlds = {
  get(agent: string): World | undefined;
  /** Closes what the manifest no longer has and opens what it has anew. `walled` is false where no view can be built at all. */
  change(to: Manifest, guestOf: (agent: string) => Process | undefined): Promise<void>;
  /** Proves the walls from inside, in the world's own namespace; returns the reason to refuse, or nothing. */
  seal(agent: string, guest: Process): Promise<string | undefined>;
  closeAll(): void;
};

export function createWorlds(
  ground: Ground,
  walled: boolean,
  refused: (agent: string, why: string) => void,
): Worlds {
  const worlds = new Map<string, World>();

  async function open(agent: string, guest: Process | undefined): Promise<void> {
    const world: World = { agent, namespace: null, walls: [] };
    worlds.set(agent, world);
    try {
      if (walled) world.namespace = await openNamespace(ground.mode);
    } catch (error) {
      world.refused = error instanceof Error ? error.message : String(error);
    }
    if (world.namespace) return;
    // The walls say which one, why and what to do, also where no guest may run.
    if (guest) world.walls = await checkWalls(ground, guest, null);
    world.refused ??= missing(world.walls) || 'its world cannot be built';
    refused(agent, world.refused);
  }

  return {
    get: (agent) => worlds.get(agent),
    async change(to, guestOf) {
      for (const [agent, world] of worlds) {
        if (to.worlds.some((each) => each.agent === agent)) continue;
        world.namespace?.close();
        worlds.delete(agent);
      }
      const fresh = to.worlds.filter(({ agent }) => !worlds.has(agent));
      await Promise.all(fresh.map(({ agent }) => open(agent, guestOf(agent))));
    },
    async seal(agent, guest) {
      const world = worlds.get(agent);
      if (!world?.namespace) return world?.refused ?? 'its world does not stand';
      world.walls = await checkWalls(ground, guest, world.namespace.pid);
      world.refused = sealed(world.walls) ? undefined : missing(world.walls);
      if (world.refused !== undefined) refused(agent, world.refused);
      return world.refused;
    },
    closeAll() {
      for (const world of worlds.values()) world.namespace?.close();
      worlds.clear();
    },
  };
}

/** One reason can be that of all walls: it is said once. */
function missing(walls: Wall[]): string {
  const found = walls.filter((wall) => wall.state === 'missing');
  return [...Map.groupBy(found, (wall) => wall.detail)]
    .map(([detail, same]) => `${same.map((each) => each.wall).join(', ')}: ${detail}`)
    .join('; ');
}
