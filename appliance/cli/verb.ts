/** How a verb is declared: its name, `--home` and `--json` like every other, and one place where what it throws becomes a line and an exit code. */
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { defaultHome } from '../paths.ts';
import { Problem } from '../problem.ts';
import { visible } from '../view/visible.ts';
import { exitFor } from './exit.ts';

export type Common = { home: string; json?: true };

/** Returns the exit code. */
export type Act<O> = (options: O & Common, args: string[]) => Promise<number>;

export function verb<O extends object>(
  program: Command,
  name: string,
  summary: string,
  settings: { json: boolean },
  declare: (command: Command) => Command,
  act: Act<O>,
): Command {
  const command = program
    .command(name)
    .description(summary)
    .option('--home <folder>', 'where it keeps everything', path, defaultHome());
  if (settings.json) command.option('--json', 'print facts as JSON');
  declare(command).action(async () => {
    try {
      process.exitCode = await act({ ...command.opts<O & Common>(), home: homeOf(command) }, command.args);
    } catch (error) {
      complain(error);
      process.exitCode = exitFor(error);
    }
  });
  return command; // a verb may have verbs of its own
}

/** `holdfast traffic --home DIR show ID`: what was said to the verb above holds for the one below. */
function homeOf(command: Command): string {
  let from = command;
  while (from.getOptionValueSource('home') !== 'cli' && from.parent) from = from.parent;
  return (from.getOptionValueSource('home') === 'cli' ? from : command).opts<Common>().home;
}

export function complain(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof Problem ? error.hint : '';
  process.stderr.write(`holdfast: ${visible(message)}\n${hint === '' ? '' : `${visible(hint)}\n`}`);
}

/** For numbers on the command line. */
export const whole =
  (least: number, most: number) =>
  (given: string): number => {
    const value = Number(given);
    if (/^\d+$/.test(given) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
  };

/** For files and folders on the command line: npm runs us in the checkout, and tells in INIT_CWD where the person is. */
export const path = (given: string): string => resolve(process.env.INIT_CWD ?? '', given);
