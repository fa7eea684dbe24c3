/** `holdfast run COMMAND`: one tool call in an agent's sandbox, after the operator's yes. Ends with the command's own exit code. */
import type { Command } from 'commander';
import { visible } from '../view/visible.ts';
import { exit, timedOut } from './exit.ts';
import { facts, number, words } from './facts.ts';
import { approveLine, note } from './print.ts';
import { reach } from './reach.ts';
import { verb, whole } from './verb.ts';

type Options = { agent: string; timeout?: number };

export function runVerb(program: Command): void {
  verb<Options>(
    program,
    'run',
    "run a command in an agent's sandbox, after your yes",
    { json: true },
    (command) =>
      command
        .argument('<command...>', 'one shell text, or a program and its arguments')
        .option('--agent <name>', 'whose workspace it sees', 'main')
        .option('--timeout <seconds>', 'end it after so long', whole(1, 86_400))
        .passThroughOptions()
        .addHelpText(
          'after',
          "\nOptions go before the command; what follows it is the command's.\nExit code: that of the command; 3 refused, 124 timed out, 4 not running.",
        ),
    async ({ home, agent, timeout, json: asJson }, args) => {
      const body = {
        agent,
        command: args.length === 1 ? (args[0] ?? '') : args.map(quoted).join(' '),
        ...(timeout === undefined ? {} : { timeoutSeconds: timeout }),
        by: 'operator (cli)',
      };
      for await (const line of reach(home).stream('run', 'POST /run', body)) {
        const event = facts(line);
        if (asJson) process.stdout.write(`${JSON.stringify(event)}\n`);
        const code = hear(event, home, asJson === true);
        if (code !== undefined) return code;
      }
      note('holdfast: the run was cut off before its end');
      return exit.fault;
    },
  );
}

function hear(event: Record<string, unknown>, home: string, quiet: boolean): number | undefined {
  switch (event.event) {
    case 'waiting':
      if (!quiet)
        note(`waits for your yes until ${words(event.expiresAt)}: ${approveLine(home, words(event.id))}`);
      return undefined;
    case 'output':
      if (!quiet)
        (event.stream === 'stderr' ? process.stderr : process.stdout).write(visible(words(event.text)));
      return undefined;
    case 'refused':
      if (!quiet) note(`holdfast: refused: ${words(event.reason)}\n${words(event.hint)}`.trimEnd());
      return exit.refused;
    case 'exit':
      if (event.timedOut === true) return timedOut;
      // 128 + SIGKILL, as a shell says it: the engine names no code for what it killed.
      return typeof event.code === 'number' ? number(event.code) : 137;
    default:
      return undefined;
  }
}

/** For a shell: a word that is not plain goes into single quotes. */
const quoted = (word: string): string =>
  /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
