/** The launch socket: start and stop, asked by the controller and the keeper alone. */
import { chmodSync, chownSync } from 'node:fs';
import { createSteps } from '../keeper/steps.ts';
import type { Config } from '../manifest.ts';
import { Problem } from '../problem.ts';
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
  /** Remembers what was applied; writes the owner's text back to the configuration file when one is given. */
  setConfig(config: Config, text: string | undefined): void;
  setKilled(killed: boolean): void;
  killed(): boolean;
};

export async function serveLaunch(with_: LaunchControl): Promise<void> {
  const { house } = with_;
  clearSocketPlace(with_.path);
  await serve(
    { path: with_.path },
    {
      'GET /status': () => with_.status(),
      'GET /config': () => ({ text: with_.configText() }),
      'POST /config': async ({ body }) => {
        const { config, text } = (body ?? {}) as { config?: Config; text?: string };
        if (!config)
          throw new Problem('no-config', 400, 'config is missing', 'Send the parsed configuration.');
        const applied = await house.apply(config, { killed: with_.killed() });
        with_.setConfig(config, text);
        return applied;
      },
      'POST /kill': async () => {
        const { take, taken } = createSteps();
        with_.setKilled(true);
        await take('worlds and llm ended', () => house.strike());
        await Promise.all([
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
}
