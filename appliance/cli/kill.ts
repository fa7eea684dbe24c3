/** `holdfast kill`: the press, straight to the keeper's own socket, so that it works when the controller does not. */
import type { Command } from 'commander';
import { exit } from './exit.ts';
import { facts, list, words } from './facts.ts';
import { json, say, table } from './print.ts';
import { reach } from './reach.ts';
import { verb } from './verb.ts';

/** Worlds, containers and the latch on a slow card; the doors closed long before. */
const tripMs = 30_000;

export function killVerb(program: Command): void {
  verb<{ reason: string }>(
    program,
    'kill',
    'stop everything at once; only `rearm` starts it again',
    { json: true },
    (command) => command.option('--reason <text>', 'for the record', 'pressed on the command line'),
    async ({ home, reason, json: asJson }) => {
      const body = { reason, by: 'operator (cli)' };
      const receipt = facts(await reach(home).call('trip', 'POST /trip', body, { timeoutMs: tripMs }));
      const steps = list(receipt.steps);
      if (asJson) json(receipt);
      else {
        say(`${words(receipt.state).toUpperCase()} at ${words(receipt.at)}: ${words(receipt.reason)}`);
        say(
          table(
            ['STEP', 'MS', 'DONE', 'DETAIL'],
            steps.map((each) => [each.name, each.ms, each.ok ? 'yes' : 'NO', each.detail]),
          ),
        );
        say(`receipt: ${words(receipt.id)}`);
      }
      return receipt.state === 'killed' && steps.every((each) => each.ok === true) ? exit.ok : exit.fault;
    },
  );
}
