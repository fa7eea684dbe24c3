/** The sockets of the Holdfast that runs in a home folder, as the verbs call them. Nobody there is an answer of its own: not running. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Home, homePaths } from '../paths.ts';
import { Problem } from '../problem.ts';
import { type CallOptions, call, stream } from '../socket.ts';

export type Reach = {
  home: Home;
  call(socket: string, route: string, body?: unknown, options?: CallOptions): Promise<unknown>;
  stream(socket: string, route: string, body?: unknown): AsyncIterable<unknown>;
};

export function reach(folder: string): Reach {
  if (!isThere(resolve(folder))) throw notRunning(folder);
  const home = homePaths(folder);
  /** One process that is down is not the whole. */
  const explain = async (error: unknown, socket: string): Promise<unknown> => {
    if (code(error) === 'EACCES' || (silent(error) && ofAnother(home.home)))
      return notAllowed(home.home, error);
    if (!silent(error)) return error;
    const up = await call(home.socket('launch'), 'GET /status', undefined, { timeoutMs: 2000 }).catch(
      () => null,
    );
    return up === null ? notRunning(home.home, error) : notServed(socket, error);
  };
  return {
    home,
    call: (socket, route, body, options) =>
      call(home.socket(socket), route, body, options).catch(async (error: unknown) => {
        throw await explain(error, socket);
      }),
    async *stream(socket, route, body) {
      try {
        yield* stream(home.socket(socket), route, body);
      } catch (error) {
        throw await explain(error, socket);
      }
    },
  };
}

/** Not to be allowed to look is no answer. */
export function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') throw notAllowed(path, error);
    return false;
  }
}

/** The sockets of another user are in a folder of theirs, where nobody else finds them; root's are found and closed. */
const ofAnother = (home: string): boolean => ![0, statSync(home).uid].includes(process.getuid?.() ?? 0);

function code(error: unknown): string {
  const cause = error instanceof Problem && error.code === 'unreachable' ? error.cause : undefined;
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
}

/** No socket or nobody behind it. A time-out is something else, and keeps its words. */
const silent = (error: unknown): boolean => ['ENOENT', 'ECONNREFUSED'].includes(code(error));

const notAllowed = (what: string, cause: unknown): Problem =>
  new Problem(
    'not-allowed',
    403,
    `this account may not look at ${what}`,
    'Ask as root, or as the user who started it.',
    cause,
  );

const notServed = (socket: string, cause: unknown): Problem =>
  new Problem(
    'not-served',
    503,
    `Holdfast runs, and nobody serves its socket ${socket}`,
    '`holdfast status` says what runs and why the rest does not.',
    cause,
  );

const notRunning = (home: string, cause?: unknown): Problem =>
  new Problem(
    'not-running',
    503,
    `no Holdfast runs at ${home}`,
    'Start it with `npm start`, or name its folder: --home DIR.',
    cause,
  );
