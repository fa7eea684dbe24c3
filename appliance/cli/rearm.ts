/** `holdfast rearm`: the way back after a kill, by the controller, which puts it on record first. */
import type { Command } from 'commander';
import { exit } from './exit.ts';
import { facts, list, words } from './facts.ts';
import { json, note, say, table } from './print.ts';
import { reach } from './reach.ts';
import { verb } from './verb.ts';

/** Worlds are made anew. */
const rearmMs = 120_000;

export function rearmVerb(program: Command): void {
  verb<{ reason: string }>(
    program,
    'rearm',
    'open the doors again after a kill',
    { json: true },
    (command) => command.requiredOption('--reason <text>', 'why it is safe now, for the record'),
    async ({ home, reason, json: asJson }) => {
      if (reason.trim().length < 3) {
        note('holdfast: a reason has at least 3 characters: it is put on record');
        return exit.usage;
      }
      const answer = facts(
        await reach(home).call('decide', 'POST /rearm', { reason }, { timeoutMs: rearmMs }),
      );
      if (asJson) json(answer);
      else {
        say(words(answer.state).toUpperCase());
        say(
          table(
            ['STEP', 'MS', 'DONE', 'DETAIL'],
            list(answer.steps).map((each) => [each.name, each.ms, each.ok ? 'yes' : 'NO', each.detail]),
          ),
        );
      }
      return exit.ok;
    },
  );
}
