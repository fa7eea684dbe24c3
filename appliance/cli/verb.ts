/** How a verb is declared: its name, `--home` and `--json` like every other, and one place where what it throws becomes a line and an exit code. */
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
    .option('--home <folder>', 'where it keeps everything', defaultHome());
  if (settings.json) command.option('--json', 'print facts as JSON');
  declare(command).action(async () => {
    try {
      process.exitCode = await act(command.opts<O & Common>(), command.args);
    } catch (error) {
      complain(error);
      process.exitCode = exitFor(error);
    }
  });
  return command; // a verb may have verbs of its own
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
