/** `holdfast approvals`: what waits for the operator's yes, and the yes or no. */
import type { Command } from 'commander';
import { visible } from '../view/visible.ts';
import { exit } from './exit.ts';
import { facts, list, words } from './facts.ts';
import { json, note, say, table } from './print.ts';
import { reach } from './reach.ts';
import { verb } from './verb.ts';

export function approvalsVerb(program: Command): void {
  const group = program.command('approvals').description('what waits for your yes');
  verb(
    group,
    'list',
    'pending approvals, with what each would run',
    { json: true },
    (command) => command,
    async (options) => {
      const pending = list(await reach(options.home).call('decide', 'GET /approvals'));
      if (options.json) json(pending);
      else if (pending.length === 0) note('Nothing waits for you.');
      else {
        const rows = pending.map((each) => [
          each.id,
          each.agent,
          each.tool,
          each.by,
          each.expiresAt,
          each.script,
        ]);
        say(table(['ID', 'AGENT', 'TOOL', 'ASKED BY', 'UNTIL', 'WHAT'], rows));
      }
      return exit.ok;
    },
  );
  for (const [name, decision, summary] of [
    ['approve', 'yes', 'say yes: what was shown runs, once'],
    ['deny', 'no', 'say no'],
  ] as const) {
    verb(
      group,
      name,
      summary,
      { json: true },
      (command) => command.argument('<id>', 'as `approvals list` shows it'),
      async (options, [id = '']) => {
        const route = `POST /approvals/${encodeURIComponent(id)}`;
        const answer = facts(await reach(options.home).call('decide', route, { decision }));
        if (options.json) json(answer);
        else say(`${visible(id)} ${words(answer.state)}`);
        return exit.ok;
      },
    );
  }
}
