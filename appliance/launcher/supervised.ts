/** One process of the table as it runs: started, awaited, watched, started again with new doors after a pause that grows, and stopped. The house holds one for each row. */
import type { Trail } from '../log.ts';
import type { Process } from '../row.ts';
import { visibleLine } from '../view/visible.ts';
import type { Ground, Launched } from '../world/launch.ts';
import { collect } from './collect.ts';

export type ProcessState = 'starting' | 'running' | 'backing-off' | 'stopped' | 'failed';

export type ProcessStatus = {
  name: string;
  state: ProcessState;
  pid: number | null;
  uid: number;
  /** When it came into this state, ms since the epoch. */
  sinceMs: number;
  restarts: number;
  /** One printable line: how it ended, and the last that it said of a fault. */
  why?: string | undefined;
};

export type SupervisedParts = {
  ground: Ground;
  /** Seals, opens doors, spawns. `refused` is an outcome (a wall is missing); null means that the start was overtaken. */
  begin(row: Process, current: () => boolean): Promise<Launched | { refused: string } | null>;
  trail(where: Trail, sentence: string): void;
  setupCode(code: string): void;
  say(text: string): void;
};

export type Supervised = {
  row: Process;
  status(): ProcessStatus;
  /** Resolves when it serves, has failed, or has not said a word for 30 s. */
  start(row: Process): Promise<void>;
  untilRunning(): Promise<void>;
  /** SIGKILL to the tree, at once. What follows is the watcher's or stop()'s. Returns what tells whether some of it still lives. */
  kill(): () => boolean;
  stop(): Promise<void>;
};

const readyWithinMs = 30_000;
const firstBackoffMs = 250;
const longestBackoffMs = 30_000;
const stableAfterMs = 30_000; // a process that ran this long starts its back-off anew
const lastWordsMs = 500; // what it printed at its end is still in the pipe when it is gone
const faultBeforeEndMs = 2000; // an older fault is not why it ended
const maxWhy = 399; // what a cell of `holdfast status` shows

export const elapsed = (ms: number): Promise<unknown> =>
  new Promise((resolve) => setTimeout(resolve, ms).unref());

export function supervise(first: Process, parts: SupervisedParts): Supervised {
  const { ground } = parts;
  let row = first;
  let state: ProcessState = 'stopped';
  let sinceMs = Date.now();
  let restarts = 0;
  let why: string | undefined;
  let said: string | undefined; // on the terminal, of its last end
  let launched: Launched | undefined;
  let ended: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let generation = 0; // what an older start still awaits is void
  let waiting: (() => void)[] = [];

  function become(next: ProcessState, because?: string): void {
    state = next;
    sinceMs = Date.now();
    // While it is tried again, why it ended is still what is to be known of it.
    if (next !== 'starting' || restarts === 0) why = because;
    if (next === 'running') {
      for (const wake of waiting) wake();
      waiting = [];
    }
    const after =
      next === 'running' && restarts > 0
        ? ` after ${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`
        : '';
    const same = because !== undefined && because === said;
    parts.say(`${row.name} ${next}${after}${because ? `: ${same ? 'as before' : because}` : ''}`);
    if (next !== 'starting') said = because;
  }

  async function start(given: Process): Promise<void> {
    row = given;
    generation += 1;
    const mine = generation;
    const current = (): boolean => mine === generation;
    become('starting');
    try {
      const begun = await parts.begin(row, current);
      if (begun === null) return;
      if (!current()) return 'refused' in begun ? undefined : begun.kill();
      if ('refused' in begun) return become('failed', begun.refused);
      watch(begun, current);
      if (row.guest === null) await Promise.race([untilRunning(), elapsed(readyWithinMs), ended]);
      else {
        become('running');
        parts.trail('changelog', `${row.name} started`);
      }
    } catch (error) {
      if (current()) again(error instanceof Error ? error.message : String(error));
    }
  }

  function watch(begun: Launched, current: () => boolean): void {
    launched = begun;
    const heard = {
      ready: () => {
        if (!current()) return;
        become('running');
        if (row.name === 'gateway') parts.trail('changelog', 'gateway:start');
      },
      trail: parts.trail,
      fault: (sentence: string) => {
        fault = { sentence, atMs: performance.now() };
      },
      setupCode: parts.setupCode,
    };
    let printed = '';
    let fault: { sentence: string; atMs: number } | undefined;
    const { child } = begun;
    collect(ground.home, row.name, child.stdout, row.guest === null ? heard : null);
    collect(ground.home, row.name, child.stderr, null);
    child.stderr?.on('data', (text: string) => {
      printed = (printed + text).slice(-4000);
    });
    let endedMs = 0;
    ended = new Promise((resolve) => {
      child.once('error', (error) => {
        printed = error.message;
        resolve();
      });
      child.once('close', () => resolve());
      child.once('exit', () => {
        endedMs = performance.now();
        if (current()) begun.kill(); // what it left behind in its cgroup
        void elapsed(lastWordsMs).then(() => resolve());
      });
    });
    void ended.then(() => {
      if (!current()) return;
      const how = child.signalCode ? `signal ${child.signalCode}` : `exit ${child.exitCode}`;
      const last = lastLine(printed);
      const recent = fault && fault.atMs > endedMs - faultBeforeEndMs ? fault.sentence : undefined;
      // The error log has the fault already, as a line of its own.
      again(how, recent ?? last, recent === undefined ? last : '');
    });
  }

  /** Its doors died with it, every copy of them; the next start makes new ones. */
  function again(how: string, said = '', logged = said): void {
    const because = (what: string): string => visibleLine(what === '' ? how : `${how}: ${what}`, maxWhy);
    const stable = state === 'running' && Date.now() - sinceMs > stableAfterMs;
    restarts = stable ? 1 : restarts + 1;
    const waitMs = Math.min(longestBackoffMs, firstBackoffMs * 2 ** (restarts - 1));
    const what = row.guest === null ? 'its doors are closed and remade' : 'it is started again';
    parts.trail(
      'error',
      `${row.name} ended (${because(logged)}); ${what} in ${waitMs} ms (restart ${restarts})`,
    );
    launched = undefined;
    become(row.restart === 'always' ? 'backing-off' : 'failed', because(said));
    if (row.restart !== 'always') return;
    const mine = generation;
    timer = setTimeout(() => {
      if (mine === generation) void start(row);
    }, waitMs);
  }

  const untilRunning = (): Promise<void> =>
    state === 'running' ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve));

  return {
    get row() {
      return row;
    },
    set row(now) {
      row = now;
    },
    status: () => ({
      name: row.name,
      state,
      pid: launched?.child.pid ?? null,
      uid: ground.mode === 'root' ? row.uid : (process.getuid?.() ?? 0),
      sinceMs,
      restarts,
      why,
    }),
    start,
    untilRunning,
    kill() {
      const struck = launched;
      struck?.kill();
      return () => struck?.living() ?? false;
    },
    async stop() {
      generation += 1;
      clearTimeout(timer);
      const struck = launched;
      struck?.kill();
      launched = undefined;
      become('stopped');
      restarts = 0;
      await ended;
      // SIGKILL is sent; the kernel takes a moment to end all of them.
      const until = Date.now() + 2000;
      while (struck?.living() && Date.now() < until) await elapsed(5);
      ground.cgroups?.remove(row.name); // a receipt lists what is there, not what was
    },
  };
}

/** Of what a process that broke printed on stderr: the error, and neither the stack below it nor Node's version. */
function lastLine(said: string): string {
  const lines = said
    .split('\n')
    .filter((line) => line.trim() !== '' && !/^\s+at |^Node\.js v|^[\s{}^]*$/.test(line));
  return (
    lines.findLast((line) => /^\w*(?:Error|Fault|Problem)\b.*: /.test(line)) ??
    lines.at(-1) ??
    ''
  ).trim();
}
