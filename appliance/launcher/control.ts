/** The launch socket: start and stop, asked by the controller and the keeper alone. */
import { chmodSync, chownSync } from 'node:fs';
import type { Server } from 'node:http';
import { createSteps } from '../keeper/steps.ts';
import { Problem } from '../problem.ts';
import type { Config } from '../settings.ts';
import { serve } from '../socket.ts';
import { removeContainers } from '../world/containers.ts';
import { clearSocketPlace } from '../world/door.ts';
import type { House } from './house.ts';

export type LaunchControl = {
  path: string;
  gid: number;
  root: boolean;
  instance: string;
  house: House;
  status(): Record<string, unknown>;
  config(): Config;
  /** The owner's file as it stands. */
  configText(): string;
  /** By the strict schema. Throws a Problem with one mistake a line. */
  parse(text: string): Promise<Config>;
  /** Remembers what was applied, and writes its text to the configuration file. */
  setConfig(config: Config, text: string): void;
  setKilled(killed: boolean): void;
  killed(): boolean;
};

export async function serveLaunch(with_: LaunchControl): Promise<Server> {
  const { house } = with_;
  clearSocketPlace(with_.path);
  const server = await serve(
    { path: with_.path },
    {
      'GET /status': () => with_.status(),
      'GET /config': () => ({ text: with_.configText() }),
      'POST /config': async ({ body }) => {
        const { text } = (body ?? {}) as { text?: unknown };
        if (typeof text !== 'string')
          throw new Problem('no-config', 400, 'text is missing', 'Send the text of the configuration.');
        // Its names become paths and its numbers uids here, as root: we take nobody's word for what the text says.
        const config = await with_.parse(text);
        const applied = await house.apply(config, { killed: with_.killed() });
        with_.setConfig(config, text);
        return applied;
      },
      'POST /kill': async () => {
        const { take, taken } = createSteps();
        with_.setKilled(true);
        let living = (): string[] => [];
        await take('worlds and llm ended', () => {
          living = house.strike();
        });
        await Promise.all([
          // As root the keeper asks the cgroups; where there are none, only the launcher knows whom it started.
          ...(with_.root ? [] : [take('worlds verified empty', () => untilEmpty(living))]),
          take('containers ended', async () => `${await removeContainers(with_.instance)} removed`),
          take('doors closed, llm without keys', async () => {
            await house.apply(with_.config(), { killed: true });
          }),
        ]);
        return { steps: taken };
      },
      'POST /rearm': async () => {
        const { take, taken } = createSteps();
        with_.setKilled(false);
        await take('new doors, worlds started', async () => {
          const { restarted } = await house.apply(with_.config(), { killed: false, awaitGuests: true });
          return restarted.join(', ');
        });
        const failed = taken.find((each) => !each.ok);
        if (failed)
          throw new Problem('not-rearmed', 503, `${failed.name}: ${failed.detail}`, 'See `holdfast status`.');
        return { steps: taken };
      },
    },
  );
  if (with_.root) chownSync(with_.path, 0, with_.gid);
  chmodSync(with_.path, with_.root ? 0o660 : 0o600);
  return server;
}

const emptyWithinMs = 5000;

async function untilEmpty(living: () => string[]): Promise<string> {
  const until = performance.now() + emptyWithinMs;
  for (let names = living(); names.length > 0; names = living()) {
    if (performance.now() > until) throw new Error(`still running: ${names.join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return 'by process id, as there is no cgroup';
}
