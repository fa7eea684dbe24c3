/** The press: what happens between a trip and its receipt, as named steps with their milliseconds. The keeper runs it; any failure ends killed. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSteps, type Step } from './steps.ts';

export type Trip = {
  /** Says killed to every holder of the lease. */
  announce(): void;
  /** Folder of the instance's cgroups, or null where there are none. */
  cgroups: string | null;
  /** Overwrites the latch and waits for the disk. */
  latch(): void;
  /** The launcher's part: worlds, containers, llm without its keys. */
  launcher(): Promise<Step[]>;
  clock(): number;
};

/** The untrusted and what reaches it: frozen first, so that nothing runs while the rest is cleared. */
const isWorld = (name: string): boolean =>
  name.startsWith('agent@') || name.startsWith('dialer@') || name.startsWith('probe@');

export async function trip(parts: Trip): Promise<Step[]> {
  const began = parts.clock();
  const { take, taken } = createSteps(parts.clock);

  await take('lease dropped', parts.announce);
  if (parts.cgroups !== null) {
    const folder = parts.cgroups;
    const worlds = (): string[] => readdirSync(folder).filter(isWorld);
    await take('worlds frozen', () => write(folder, worlds(), 'cgroup.freeze'));
    await take('worlds killed', () => write(folder, worlds(), 'cgroup.kill'));
  }
  const latched = take('latch on disk', parts.latch);
  await take('launcher', async () => {
    const askedMs = parts.clock() - began; // the launcher counts from when it was asked, the receipt from the press
    const theirs = await parts.launcher();
    taken.push(...theirs.map((each) => ({ ...each, ms: Math.round((each.ms + askedMs) * 1000) / 1000 })));
    const failed = theirs.filter((each) => !each.ok);
    if (failed.length > 0)
      throw new Error(failed.map((each) => `${each.name}: ${each.detail ?? 'failed'}`).join('; '));
  });
  await latched;
  if (parts.cgroups !== null) {
    const folder = parts.cgroups;
    await take('worlds verified empty', () => verifyEmpty(folder, parts.clock));
  }
  return taken;
}

function write(folder: string, names: string[], leaf: string): string {
  for (const name of names) {
    const file = join(folder, name, leaf);
    if (existsSync(file)) writeFileSync(file, '1');
  }
  return names.join(', ');
}

const verifyWithinMs = 5000;

async function verifyEmpty(folder: string, clock: () => number): Promise<void> {
  const until = clock() + verifyWithinMs;
  for (;;) {
    const living = readdirSync(folder)
      .filter(isWorld)
      .filter((name) => /populated 1/.test(eventsOf(join(folder, name))));
    if (living.length === 0) return;
    if (clock() > until) throw new Error(`still running: ${living.join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function eventsOf(cgroup: string): string {
  try {
    return readFileSync(join(cgroup, 'cgroup.events'), 'utf8');
  } catch {
    return ''; // the cgroup is gone with its last process
  }
}
