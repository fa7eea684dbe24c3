/** Removes what an ended launcher left: processes in its cgroups, its containers, a dockerd that it started, its run folder. Run by the reaper and by `up` before a start. */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Home } from '../paths.ts';
import { findTrees, openCgroups } from '../world/cgroup.ts';
import { removeContainers } from '../world/containers.ts';

/** By instance and run folder, not by home: that may be gone by now. */
export async function sweep({ instance, run }: Pick<Home, 'instance' | 'run'>): Promise<void> {
  await removeContainers(instance).catch(() => 0);
  stopOwnDockerd(run);
  if (process.getuid?.() === 0) {
    const trees = findTrees();
    if (trees) await emptyCgroups(trees, instance);
  }
  rmSync(run, { recursive: true, force: true });
}

async function emptyCgroups(
  trees: NonNullable<ReturnType<typeof findTrees>>,
  instance: string,
): Promise<void> {
  const folder = join(trees.unified, `holdfast-${instance}`);
  const names = (): string[] => {
    try {
      return readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name);
    } catch {
      return [];
    }
  };
  if (names().length === 0) {
    try {
      readdirSync(folder);
    } catch {
      return; // this instance has no cgroups
    }
  }
  const cgroups = openCgroups(trees, instance);
  for (const name of names()) {
    cgroups.freeze(name, false);
    cgroups.kill(name);
  }
  const until = Date.now() + 5000;
  while (names().some((name) => cgroups.populated(name)) && Date.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 20));
  cgroups.close();
}

/** Only one that our own tools job started: its pid is in our run folder, and it is still a dockerd. */
function stopOwnDockerd(run: string): void {
  try {
    const pid = Number(readFileSync(join(run, 'dockerd.pid'), 'utf8'));
    if (pid > 1 && /dockerd/.test(readFileSync(`/proc/${pid}/comm`, 'utf8'))) process.kill(pid, 'SIGTERM');
  } catch {
    // none was started, or it is gone
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , instance, run] = process.argv;
  if (instance && run) await sweep({ instance, run });
}
