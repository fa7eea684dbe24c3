/** `holdfast ask "text"`: one turn with an agent, its answer on the terminal as it comes. */
import type { Command } from 'commander';
import { visible } from '../view/visible.ts';
import { exit } from './exit.ts';
import { facts, list, words } from './facts.ts';
import { approveLine, note } from './print.ts';
import { reach } from './reach.ts';
import { verb } from './verb.ts';

export function askVerb(program: Command): void {
  verb<{ agent: string }>(
    program,
    'ask',
    'one turn with an agent; Ctrl-C ends it',
    { json: true },
    (command) =>
      command
        .argument('<text...>', 'what you say; /help lists the commands')
        .option('--agent <name>', 'whom', 'main'),
    async ({ home, agent, json: asJson }, args) => {
      const body = { agent, text: args.join(' '), by: 'operator (cli)' };
      let open = false; // is the last line of the answer unfinished?
      for await (const line of reach(home).stream('turn', 'POST /turn', body)) {
        const event = facts(line);
        if (asJson) process.stdout.write(`${JSON.stringify(event)}\n`);
        if (event.event === 'delta' && !asJson) {
          const text = words(event.text);
          process.stdout.write(visible(text));
          open = !text.endsWith('\n');
        }
        if (event.event !== 'delta' && open) {
          process.stdout.write('\n');
          open = false;
        }
        if (event.event === 'note' && !asJson) process.stdout.write(`${visible(words(event.text))}\n`);
        if (event.event === 'waiting' && !asJson) {
          for (const each of list(event.approvals))
            note(`waits for your yes: ${words(each.script)}\n  ${approveLine(home, words(each.id))}`);
        }
        if (event.event === 'done') return exit.ok;
        if (event.event === 'failed') {
          if (!asJson) note(`${named(words(event.reason))}\n${words(event.hint)}`.trimEnd());
          return event.refused === true ? exit.refused : exit.fault;
        }
      }
      note('holdfast: the turn was cut off before its end');
      return exit.fault;
    },
  );
}

/** A refusal of a door names Holdfast itself (proxies/llm/denial.ts). */
const named = (reason: string): string => (/^holdfast\b/i.test(reason) ? reason : `holdfast: ${reason}`);
