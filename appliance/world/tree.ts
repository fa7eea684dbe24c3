/** The processes below one of ours, from /proc: what is killed, and then looked for, where no cgroup knows them. launch.ts asks for an ordinary user. */
import { readdirSync, readFileSync } from 'node:fs';

/** A pid is given again, the moment of its start with it is not. */
export type Member = { pid: number; startedAt: string };

type Seen = Member & { parent: number; state: string };

/** All below `pid`, the ones deep in another pid namespace too. */
export function below(pid: number): Member[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => look(Number(name)))
    .filter((seen) => seen !== null);
  const found: Member[] = [];
  for (let parents = [pid]; parents.length > 0; ) {
    const children = all.filter((seen) => parents.includes(seen.parent));
    found.push(...children);
    parents = children.map((child) => child.pid);
  }
  return found;
}

/** A zombie has ended: the first process of a pid namespace becomes one only after all others in there are gone (pid_namespaces(7)). */
export function lives({ pid, startedAt }: Member): boolean {
  const now = look(pid);
  return now !== null && now.startedAt === startedAt && now.state !== 'Z' && now.state !== 'X';
}

/** proc_pid_stat(5): the name in parentheses may hold anything, so fields count from its end: state, parent, ..., start time as the 22nd. */
function look(pid: number): Seen | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid, state: fields[0] ?? '', parent: Number(fields[1]), startedAt: fields[19] ?? '' };
  } catch {
    return null; // it has ended
  }
}
