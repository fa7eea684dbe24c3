/** Programs as an ordinary user, started by a test that is root; and as one on a machine that forbids namespaces. The rung `appliance(t)` starts the product through it. */
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '../..');

export type User = {
  uid: number;
  /** Supplementary groups; none without it. */
  groups?: number[];
  /** In a user namespace that allows no further namespace of any kind; uid 0 keeps there what a container's root has. */
  forbidden?: boolean;
};

/** The same command as that user. Every exec keeps the pid, so a signal to it reaches the program. */
export function asUser({ uid, groups = [], forbidden = false }: User, command: string[]): string[] {
  const id = String(uid);
  const list = groups.length === 0 ? ['--clear-groups'] : ['--groups', groups.join(',')];
  const without = forbidden ? [`--bounding-set=${uid === 0 ? '-sys_admin' : '-all'}`, '--inh-caps=-all'] : [];
  const become = ['setpriv', '--reuid', id, '--regid', id, ...list, ...without, '--'];
  const there = forbidden ? ['sh', join(import.meta.dirname, 'forbidden.sh'), ...become] : become;
  return passable(root) ? [...there, ...command] : bound(there, command);
}

/** May anybody read below it? A clone under /root may not be. */
function passable(path: string): boolean {
  return (statSync(path).mode & 0o005) === 0o005 && (path === '/' || passable(dirname(path)));
}

let place: string | undefined;

/** The checkout bound to where that user can read it, in a mount namespace of the command's own. */
function bound(there: string[], command: string[]): string[] {
  if (place === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'holdfast-checkout-'));
    chmodSync(made, 0o755);
    process.once('exit', () => rmdirSync(made));
    place = made;
  }
  const at = place;
  const moved = command.map((each) =>
    each.startsWith(`${root}/`) ? join(at, each.slice(root.length)) : each,
  );
  const bind = 'mount --bind "$1" "$2" && shift 2 && exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', bind, 'sh', root, at, ...there, ...moved];
}

/** A folder of that user's own. */
export function folderOf(uid: number): string {
  const made = mkdtempSync(join(tmpdir(), 'holdfast-user-'));
  chownSync(made, uid, uid);
  return made;
}

/** Every process of that uid, in whatever namespace, that has not ended. */
export function processesOf(uid: number): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        if (!status.includes(`\nUid:\t${uid}\t`) || /^State:\t[ZX]/m.test(status)) return null;
        return {
          pid: Number(pid),
          command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '),
        };
      } catch {
        return null; // it ended meanwhile
      }
    })
    .filter((each) => each !== null);
}
