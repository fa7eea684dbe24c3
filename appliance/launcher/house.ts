/** The running appliance, kept in line with the manifest: which worlds stand and which processes run. up.ts makes one; the launch socket speaks to it. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Trail } from '../log.ts';
import { manifest } from '../manifest.ts';
import { auditGroup, socketGroup } from '../numbers.ts';
import { socketPath } from '../paths.ts';
import type { Circumstances, Manifest, Process } from '../row.ts';
import { type Config, canonical } from '../settings.ts';
import { call } from '../socket.ts';
import { ownFolder } from '../world/entry.ts';
import { type Ground, type Launched, launch, launchPage } from '../world/launch.ts';
import type { Wall } from '../world/walls.ts';
import { nameCache } from './cache.ts';
import { openDoorsOf } from './doors.ts';
import { agentNumbers, giveCredentials, keyFiles, prepareEntries, replaceFile } from './home.ts';
import { elapsed, type ProcessStatus, type Supervised, supervise } from './supervised.ts';
import { createWorlds } from './worlds.ts';

export type WorldStatus = {
  agent: string;
  state: 'starting' | 'running' | 'refused' | 'backing-off' | 'stopped';
  why?: string | undefined;
  walls: Wall[];
};

export type HouseParts = {
  ground: Ground;
  instance: string;
  /** False where namespaces are forbidden: then the pages run, and nothing else. */
  walled: boolean;
  docker(): Circumstances['docker'];
  trail(where: Trail, sentence: string): void;
  setupCode(code: string): void;
  /** Progress for the terminal. */
  say(text: string): void;
};

export type ApplyOptions = { killed: boolean; awaitGuests?: boolean };
export type Applied = { version: string; live: string[]; restarted: string[] };

export type House = {
  /** Brings what runs into line with this configuration: starts, stops, restarts, or tells a process of its new part. One at a time. */
  apply(config: Config, options: ApplyOptions): Promise<Applied>;
  /** At once: SIGKILL to every world and to whoever holds secrets; the rest follows by apply({ killed: true }). Returns what names those that still live. */
  strike(): () => string[];
  processes(): ProcessStatus[];
  worlds(): WorldStatus[];
  version(): string;
  /** Ends all in order; the house cannot be used afterwards. */
  close(): Promise<void>;
};

const pages = ['keeper', 'controller', 'gateway']; // what may run without walls
const guestsWithinMs = 30_000;
/** Where something of ours does not come up, its guests may never do: whoever waits is told soon. */
const guestsWithoutNeedsMs = 5000;

export function createHouse(parts: HouseParts): House {
  const { ground } = parts;
  const running = new Map<string, Supervised>();
  const worlds = createWorlds(ground, parts.walled, (agent, why) =>
    parts.trail('error', `agent ${agent} was not started: ${why}`),
  );
  let table: Manifest | undefined;
  let config: Config | undefined;
  let queue: Promise<unknown> = Promise.resolve();
  let closed = false;
  /** Since the last press no re-arm was asked for: what a press ends must not be begun by an apply that it overtook. */
  let pressed = false;
  let heardStrike: () => void = () => {};

  function derive(next: Config, killed: boolean): Manifest {
    return manifest(next, {
      instance: parts.instance,
      mode: ground.mode,
      owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
      agentNumbers: agentNumbers(ground.home, Object.keys(next.agents)),
      keys: keyFiles(ground.home),
      killed,
      home: ground.home,
      docker: parts.docker(),
    });
  }

  async function applyNow(next: Config, options: ApplyOptions): Promise<Applied> {
    const before = table;
    const whole = derive(next, options.killed);
    const after = parts.walled ? whole : pagesOf(whole);
    table = after;
    config = next;
    prepareEntries(ground.home, ground.mode, whole, auditGroup(next, parts.instance));
    preparePlaces(ground.run, after);
    nameCache(
      ground,
      whole.processes.map((row) => row.uid),
    );
    const stale = [...running.values()].filter(({ row, status }) => {
      const now = after.processes.find((each) => each.name === row.name);
      return !now || !before || shape(before, row) !== shape(after, now) || status().state === 'failed';
    });
    await Promise.all(stale.map((each) => each.stop()));
    for (const { row } of stale) running.delete(row.name);
    await worlds.change(after, (agent) => whole.processes.find((row) => row.guest === agent));
    for (const row of after.processes) writePart(ground, after, row);

    const applied: Applied = { version: after.version, live: [], restarted: [] };
    const guests: Promise<void>[] = [];
    await Promise.all(
      after.processes.map(async (row) => {
        const found = running.get(row.name);
        if (found) {
          const given = row.secrets !== null && giveCredentials(ground, row.name, row.secrets, row.uid);
          const changed =
            given || before?.version !== after.version || canonical(found.row.part) !== canonical(row.part);
          found.row = row;
          if (row.guest === null && changed) await tell(found, after.version, applied);
          return;
        }
        applied.restarted.push(row.name);
        const fresh = supervise(row, { ...parts, begin });
        running.set(row.name, fresh);
        // A guest waits for what it needs; the pages do not wait for the guest.
        if (row.guest === null) await fresh.start(row);
        else guests.push(fresh.start(row));
      }),
    );
    if (options.awaitGuests && !pressed) {
      const strike = new Promise<void>((resolve) => {
        heardStrike = resolve;
      });
      const lame = [...running.values()].some(
        ({ row, status }) => row.guest === null && status().state !== 'running',
      );
      const withinMs = lame ? guestsWithoutNeedsMs : guestsWithinMs;
      await Promise.race([Promise.all(guests), elapsed(withinMs), strike]);
    }
    return { ...applied, live: applied.live.sort(), restarted: applied.restarted.sort() };
  }

  /** A live change; a process that refuses it is started anew instead. */
  async function tell(to: Supervised, version: string, applied: Applied): Promise<void> {
    const { row } = to;
    try {
      await call(
        socketPath(ground.run, `control.${row.name}`),
        'POST /config',
        { sha256: version },
        { timeoutMs: 5000 },
      );
      applied.live.push(row.name);
    } catch {
      applied.restarted.push(row.name);
      await to.stop();
      await to.start(row);
    }
  }

  const overtaken = (row: Process): boolean => pressed && endsWithAPress(row);

  /** All that stands between a row and its process. The launcher keeps no copy of a door. */
  async function begin(row: Process, current: () => boolean): Promise<Launched | { refused: string } | null> {
    if (row.guest !== null) {
      await Promise.all(row.needs.map((need) => running.get(need)?.untilRunning()));
      if (!current()) return null;
      const refused = await worlds.seal(row.guest, row);
      if (refused !== undefined) return { refused };
    }
    if (overtaken(row)) return { refused: 'the box was killed' };
    if (!current() || !table || !config) return null;
    const agent = row.network.startsWith('world:') ? row.network.slice('world:'.length) : null;
    const namespace = agent === null ? null : worlds.get(agent)?.namespace;
    if (agent !== null && !namespace)
      return { refused: worlds.get(agent)?.refused ?? 'its world does not stand' };
    if (row.secrets !== null) giveCredentials(ground, row.name, row.secrets, row.uid);
    const given = config;
    // The owner may have moved a ledger that did not verify: the view wants a file in its place.
    if (row.guest === null)
      prepareEntries(
        ground.home,
        ground.mode,
        { ...table, processes: [row], worlds: [] },
        auditGroup(given, parts.instance),
      );
    const groupOf = (door: string): number => socketGroup(given, parts.instance, door);
    const doors = await openDoorsOf(ground, table, row, worlds, groupOf, freeWorld);
    try {
      if (!current()) return null;
      if (overtaken(row)) return { refused: 'the box was killed' };
      return parts.walled
        ? launch(ground, row, doors, namespace?.pid ?? null)
        : launchPage(ground, row, doors);
    } finally {
      for (const door of doors) door.close();
    }
  }

  /** A guest that sits on the place of one of its doors is ended, whole, and started again after the door stands. */
  async function freeWorld(agent: string, why: string): Promise<void> {
    const guest = running.get(`agent@${agent}`);
    if (!guest) return;
    parts.trail('error', `agent ${agent} sat on the place of a door and is started again: ${why}`);
    await guest.stop();
    void guest.start(guest.row);
  }

  const statusOf = (each: Supervised): ProcessStatus => {
    const status = each.status();
    if (each.row.guest === null || status.state !== 'starting') return status;
    const missing = each.row.needs.filter((need) => running.get(need)?.status().state !== 'running');
    return missing.length === 0 ? status : { ...status, why: `waits for ${missing.join(', ')}` };
  };
  const whyOf = (each: Supervised | undefined): string | undefined => each && statusOf(each).why;

  const worldState = (agent: string): WorldStatus['state'] => {
    if (worlds.get(agent)?.refused !== undefined) return 'refused';
    const state = running.get(`agent@${agent}`)?.status().state ?? 'stopped';
    return state === 'failed' ? 'refused' : state;
  };

  const inOrder = <T>(act: () => Promise<T>): Promise<T> => {
    const done = queue.then(act, act);
    queue = done.catch(() => {}); // the caller has `done`; the next in line must run all the same
    return done;
  };

  return {
    apply(next, options) {
      if (!options.killed) pressed = false;
      return inOrder(() =>
        closed ? Promise.reject(new Error('the house is closed')) : applyNow(next, options),
      );
    },
    strike() {
      pressed = true;
      heardStrike();
      const ended = [...running.values()]
        .filter(({ row }) => endsWithAPress(row))
        .map((each) => ({ name: each.row.name, lives: each.kill() }));
      worlds.closeAll();
      return () => ended.filter((each) => each.lives()).map((each) => each.name);
    },
    processes: () => [...running.values()].map(statusOf),
    worlds: () =>
      Object.keys(config?.agents ?? {}).map((agent) => ({
        agent,
        state: worldState(agent),
        why: worlds.get(agent)?.refused ?? whyOf(running.get(`agent@${agent}`)),
        walls: worlds.get(agent)?.walls ?? [],
      })),
    version: () => table?.version ?? '',
    close: () =>
      inOrder(async () => {
        closed = true;
        for (const rank of [0, 1, 2, 3]) {
          await Promise.all(
            [...running.values()].filter(({ row }) => endRank(row) === rank).map((each) => each.stop()),
          );
        }
        worlds.closeAll();
        ground.cgroups?.close();
      }),
  };
}

/** The worlds, and whoever holds secrets. */
const endsWithAPress = (row: Process): boolean => row.network.startsWith('world:') || row.secrets !== null;

/** Guests first, the keeper last. */
const endRank = (row: Process): number => {
  if (row.guest !== null) return 0;
  if (row.network.startsWith('world:')) return 1;
  return row.name === 'keeper' ? 3 : 2;
};

/** Row and doors without the part: when these differ, the process is started anew. */
const shape = (from: Manifest, row: Process): string =>
  canonical({ ...row, part: null, doors: from.doors.filter((door) => door.servedBy === row.name) });

const pagesOf = (whole: Manifest): Manifest => ({
  ...whole,
  doors: whole.doors.filter((door) => pages.includes(door.servedBy)),
  processes: whole.processes
    .filter((row) => pages.includes(row.name))
    .map((row) => (row.name === 'gateway' ? { ...row, part: { ...row.part, pagesOnly: true } } : row)),
});

/** The folder of each socket exists before any view shows it. */
function preparePlaces(run: string, table: Manifest): void {
  const sockets = table.doors.filter((door) => door.listen === 'path').map((door) => door.name);
  for (const name of [...sockets, ...table.processes.flatMap((row) => row.controls)]) {
    mkdirSync(join(run, name), { recursive: true, mode: 0o755 });
  }
}

function writePart(ground: Ground, table: Manifest, row: Process): void {
  if (row.guest !== null) return;
  const folder = join(ground.run, 'part', row.name);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const part = { ...row.part, version: table.version };
  replaceFile(
    join(folder, 'part.json'),
    JSON.stringify({ version: table.version, part }),
    ground.mode === 'root' ? 0o644 : 0o600,
  );
}

/** The folder above: an ordinary user's may be below /tmp, where anybody could have made it first. Throws then. Once it is ours alone, so is all below it. */
export function ownRunRoot(run: string): void {
  mkdirSync(dirname(run), { recursive: true, mode: 0o700 });
  ownFolder(dirname(run));
}

/** Nobody but us passes its top folder; the views show single folders out of it. */
export function openRunFolder(run: string): void {
  ownRunRoot(run);
  mkdirSync(run, { recursive: true, mode: 0o700 });
  ownFolder(run);
  mkdirSync(join(run, 'part'), { recursive: true, mode: 0o755 });
  mkdirSync(join(run, 'credentials'), { recursive: true, mode: 0o700 });
}
