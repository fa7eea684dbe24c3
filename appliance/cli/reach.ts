/** The sockets of the Holdfast that runs in a home folder, as the verbs call them. Nobody there is an answer of its own: not running. */
import { existsSync } from 'node:fs';
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
  if (!existsSync(resolve(folder))) throw notRunning(folder);
  const home = homePaths(folder);
  return {
    home,
    call: (socket, route, body, options) =>
      call(home.socket(socket), route, body, options).catch((error: unknown) => {
        throw silent(error) ? notRunning(home.home, error) : error;
      }),
    async *stream(socket, route, body) {
      try {
        yield* stream(home.socket(socket), route, body);
      } catch (error) {
        throw silent(error) ? notRunning(home.home, error) : error;
      }
    },
  };
}

/** No socket or nobody behind it. A time-out or a permission is something else, and keeps its words. */
function silent(error: unknown): boolean {
  const cause = error instanceof Problem && error.code === 'unreachable' ? error.cause : undefined;
  return ['ENOENT', 'ECONNREFUSED'].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? '');
}

const notRunning = (home: string, cause?: unknown): Problem =>
  new Problem(
    'not-running',
    503,
    `no Holdfast runs at ${home}`,
    'Start it with `npm start`, or name its folder: --home DIR.',
    cause,
  );
