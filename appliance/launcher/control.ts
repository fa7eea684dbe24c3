/** The launch socket: start and stop, asked by the controller and the keeper alone. */
import { chmodSync, chownSync } from 'node:fs';
import type { Config } from '../manifest.ts';
import { Problem } from '../problem.ts';
import { serve } from '../socket.ts';
import { removeContainers } from '../world/containers.ts';
import { clearSocketPlace } from '../world/door.ts';
import type { House } from './house.ts';

export type Step = { name: string; ms: number; ok: boolean; detail?: string };

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
        const step = steps();
        with_.setKilled(true);
        await step('worlds and llm ended', () => house.strike());
        await Promise.all([
          step('containers ended', async () => `${await removeContainers(with_.instance)} removed`),
          step('doors closed, llm without keys', async () => {
            await house.apply(with_.config(), { killed: true });
          }),
        ]);
        return { steps: step.taken };
      },
      'POST /rearm': async () => {
        const step = steps();
        with_.setKilled(false);
        await step('new doors, worlds started', async () => {
          const { restarted } = await house.apply(with_.config(), { killed: false, awaitGuests: true });
          return restarted.join(', ');
        });
        const failed = step.taken.find((each) => !each.ok);
        if (failed)
          throw new Problem('not-rearmed', 503, `${failed.name}: ${failed.detail}`, 'See `holdfast status`.');
        return { steps: step.taken };
      },
    },
  );
  if (with_.root) chownSync(with_.path, 0, with_.gid);
  chmodSync(with_.path, with_.root ? 0o660 : 0o600);
}

type StepTaker = ((name: string, act: () => unknown) => Promise<void>) & { taken: Step[] };

function steps(): StepTaker {
  const began = performance.now();
  const taken: Step[] = [];
  const step = async (name: string, act: () => unknown): Promise<void> => {
    const ms = (): number => Math.round((performance.now() - began) * 1000) / 1000;
    try {
      const detail = await act();
      taken.push({ name, ms: ms(), ok: true, ...(typeof detail === 'string' ? { detail } : {}) });
    } catch (error) {
      taken.push({
        name,
        ms: ms(),
        ok: false,
        detail: error instanceof Error ? error.message : String(error),
      });
    }
  };
  return Object.assign(step, { taken });
}
