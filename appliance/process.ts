/** What every process of the table finds when it starts: its doors, its part of the configuration, its secrets, its log, the lease. Composition roots in processes/ call `attend()`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LedgerFault } from '../proxies/ledger/fault.ts';
import { Secret } from '../proxies/secret.ts';
import { createLease } from './keeper/lease.ts';
import { createLog, type Log } from './log.ts';
import { socketPath } from './paths.ts';
import { Problem } from './problem.ts';
import { serve } from './socket.ts';

export type Door = { name: string; fd: number };

export type Here = {
  name: string;
  /** This process's part of the configuration, as it stands now. Parse it strictly. */
  part(): unknown;
  door(name: string): Door;
  /** All doors that begin so, e.g. `llm.` -> one per agent, with the agent as `rest`. */
  doors(prefix: string): (Door & { rest: string })[];
  home(path: string): string;
  socket(name: string): string;
  secret(name: string): Secret | undefined;
  log: Log;
  trail: Log['trail'];
  lease(): ReturnType<typeof createLease>;
  /** A live change. Throw a Problem to refuse it: the last good part then stands. */
  onConfig(apply: (part: unknown) => void | Promise<void>): void;
  /** Opens the control socket and says that this process serves. */
  ready(): Promise<void>;
};

/** sd_listen_fds(3): descriptors begin at 3; order is not promised, so doors go by name. */
const firstFd = 3;

export function attend(env: NodeJS.ProcessEnv = process.env): Here {
  const name = env.HOLDFAST_PROCESS ?? 'unnamed';
  const names = (env.LISTEN_FDNAMES ?? '').split(':').filter((door) => door !== '');
  const doors = new Map(names.map((door, at): [string, Door] => [door, { name: door, fd: firstFd + at }]));
  const log = createLog(name);
  const home = env.HOLDFAST_HOME ?? '';
  const run = env.HOLDFAST_RUN ?? '';
  const partFile = env.HOLDFAST_PART ?? '';
  const readPart = (): { version: string; part: unknown } =>
    JSON.parse(readFileSync(partFile, 'utf8')) as { version: string; part: unknown };
  let current = readPart();
  let apply: ((part: unknown) => void | Promise<void>) | undefined;

  process.on('uncaughtException', (error) => {
    log.error('ends on an uncaught fault', { error: inWords(error, home), stack: error.stack });
    process.exit(70); // EX_SOFTWARE: the launcher remakes the doors and starts us anew
  });

  if (env.HOLDFAST_ENDS_WITH_STDIN) {
    // Without bubblewrap nobody ends us with the launcher, so its pipe does.
    process.stdin.resume().once('end', () => process.exit(0));
  }

  const door = (wanted: string): Door => {
    const found = doors.get(wanted);
    if (!found)
      throw new Problem('no-door', 500, `${name} was given no door ${wanted}`, `It has: ${names.join(', ')}`);
    return found;
  };

  return {
    name,
    part: () => current.part,
    door,
    doors: (prefix) =>
      [...doors.values()]
        .filter((each) => each.name.startsWith(prefix))
        .map((each) => ({ ...each, rest: each.name.slice(prefix.length) })),
    home: (path) => join(home, path),
    socket: (socket) => socketPath(run, socket),
    secret(wanted) {
      const folder = env.CREDENTIALS_DIRECTORY;
      if (!folder || !/^[a-z0-9][a-z0-9._-]*$/i.test(wanted)) return undefined;
      try {
        const value = readFileSync(join(folder, wanted), 'utf8').trim();
        return value === '' ? undefined : new Secret(wanted, value);
      } catch {
        return undefined;
      }
    },
    log,
    trail: log.trail,
    lease: () => createLease(socketPath(run, 'lease')),
    onConfig(given) {
      apply = given;
    },
    async ready() {
      await serve(door(`control.${name}`), {
        'GET /health': () => ({
          process: name,
          version: current.version,
          rssBytes: process.memoryUsage.rss(),
        }),
        'POST /config': async ({ body }) => {
          const next = readPart();
          if (next.version !== (body as { sha256?: string } | undefined)?.sha256) {
            throw new Problem(
              'other-digest',
              409,
              'the part on disk has another digest than the one named',
              'Apply the configuration again.',
            );
          }
          await apply?.(next.part);
          current = next;
          return { version: current.version };
        },
      });
      log.info('ready', { ready: true });
    },
  };
}

/** What is wrong and what to do, in one sentence or two: it stands in the error log, and as the reason in `holdfast status`. */
function inWords(error: Error, home: string): string {
  // The home has another name in our view than on the owner's disk.
  const message = home === '' ? error.message : error.message.replaceAll(`${home}/`, '');
  if (error instanceof Problem && error.hint !== '') return `${message}. ${error.hint}`;
  if (!(error instanceof LedgerFault) || error.code !== 'broken-chain') return message;
  const name = /^audit\/([a-z0-9-]+)(?:\.jsonl|\/)/.exec(message)?.[1] ?? 'NAME';
  const lost = name === 'traffic' ? ' (what was spent this month is then forgotten)' : '';
  return `${message}. \`holdfast audit verify\` names it; to go on, move audit/${name}.jsonl and audit/${name}/ elsewhere${lost}`;
}
