/** The cgroup of a process: memory, pids, freeze, kill. Under systemd's cgroup v2, and on machines where the controllers still live in v1 trees beside it. Root only. */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

export type CgroupTrees = {
  /** Where cgroup.kill and cgroup.freeze are. */
  unified: string;
  memory: { kind: 'v2' | 'v1'; path: string } | null;
  pids: { kind: 'v2' | 'v1'; path: string } | null;
};

/** null where this machine has no unified hierarchy that we may write to. */
export function findTrees(mounts = readFileSync('/proc/mounts', 'utf8')): CgroupTrees | null {
  const rows = mounts.split('\n').map((line) => line.split(' '));
  const unified = rows.find((row) => row[2] === 'cgroup2')?.[1];
  if (!unified || !writable(unified)) return null;
  const v2 = readFileSync(join(unified, 'cgroup.controllers'), 'utf8').split(/\s+/);
  const tree = (controller: 'memory' | 'pids'): CgroupTrees['memory'] => {
    if (v2.includes(controller)) return { kind: 'v2', path: unified };
    const row = rows.find((each) => each[2] === 'cgroup' && each[3]?.split(',').includes(controller));
    return row?.[1] ? { kind: 'v1', path: row[1] } : null;
  };
  return { unified, memory: tree('memory'), pids: tree('pids') };
}

/** In a container it is there, and read-only. */
function writable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export type Cgroups = {
  /** Folder of the instance in the unified tree; the keeper's view has it writable. */
  folder: string;
  /** Makes the process's cgroup with its limits; returns the cgroup.procs files to enter. */
  make(name: string, limits: { memoryMb: number; pids: number }): string[];
  kill(name: string): void;
  freeze(name: string, frozen: boolean): void;
  populated(name: string): boolean;
  remove(name: string): void;
  close(): void;
};

export function openCgroups(trees: CgroupTrees, instance: string): Cgroups {
  const top = `holdfast-${instance}`;
  const folder = join(trees.unified, top);
  const roots = [...new Set([trees.unified, trees.memory?.path, trees.pids?.path])].filter(
    (root) => root !== undefined,
  );
  for (const root of roots) mkdirSync(join(root, top), { recursive: true });
  const v2Controllers = [
    trees.memory?.kind === 'v2' ? '+memory' : '',
    trees.pids?.kind === 'v2' ? '+pids' : '',
  ].filter((each) => each !== '');
  if (v2Controllers.length > 0) {
    for (const at of [trees.unified, folder])
      writeFileSync(join(at, 'cgroup.subtree_control'), v2Controllers.join(' '));
  }
  const set = (tree: CgroupTrees['memory'], name: string, v2: string, v1: string, value: number): void => {
    if (tree) writeFileSync(join(tree.path, top, name, tree.kind === 'v2' ? v2 : v1), String(value));
  };
  const file = (name: string, leaf: string): string => join(folder, name, leaf);
  return {
    folder,
    make(name, limits) {
      for (const root of roots) mkdirSync(join(root, top, name), { recursive: true });
      set(trees.memory, name, 'memory.max', 'memory.limit_in_bytes', limits.memoryMb * 1024 * 1024);
      set(trees.pids, name, 'pids.max', 'pids.max', limits.pids);
      // A press froze it; whoever starts in it now must run.
      writeFileSync(file(name, 'cgroup.freeze'), '0');
      return roots.map((root) => join(root, top, name, 'cgroup.procs'));
    },
    kill: (name) => {
      if (existsSync(file(name, 'cgroup.kill'))) writeFileSync(file(name, 'cgroup.kill'), '1');
    },
    freeze: (name, frozen) => {
      if (existsSync(file(name, 'cgroup.freeze')))
        writeFileSync(file(name, 'cgroup.freeze'), frozen ? '1' : '0');
    },
    populated(name) {
      try {
        return /populated 1/.test(readFileSync(file(name, 'cgroup.events'), 'utf8'));
      } catch {
        return false;
      }
    },
    remove(name) {
      for (const root of roots) removeFolder(join(root, top, name));
    },
    close() {
      for (const root of roots) {
        const at = join(root, top);
        if (!existsSync(at)) continue;
        for (const entry of readdirSync(at, { withFileTypes: true })) {
          if (entry.isDirectory()) removeFolder(join(at, entry.name));
        }
        removeFolder(at);
      }
    },
  };
}

/** A cgroup folder that still holds a process stays (EBUSY); the reaper comes again after the last has died. */
function removeFolder(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // gone already, or still populated
  }
}
