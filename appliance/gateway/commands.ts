/** The slash commands of the chat, which work without a model. say.ts looks here first. */
import { asProblemJson, Problem } from '../problem.ts';
import { clockTime, command, stepWords } from '../view/words.ts';
import type { KeeperState, Neighbours, World } from './neighbours.ts';
import type { AgentPart } from './part.ts';
import { plainLine, plaintext } from './plaintext.ts';
import type { Turns } from './turn.ts';

const list = `/help             this list
/status           state, world, model, what waits for you
/run COMMAND      run a shell command in the sandbox, after your yes in the controller
/kill [REASON]    stop everything, at once

Anything else is said to the agent.`;

/** `wrong` is what help says first. */
export type Command = { name: 'status' | 'kill' | 'run'; rest: string } | { name: 'help'; wrong?: string };

/** Undefined when it is no command. An unknown one gives help, because a typed-wrong /kill must not go to a model. */
export function parseCommand(text: string): Command | undefined {
  const found = /^\/(\S*)\s*([\s\S]*)$/.exec(text);
  if (!found) return undefined;
  const [, name = '', rest = ''] = found;
  if (name === 'status' || name === 'kill') return { name, rest };
  if (name === 'run' && rest !== '') return { name, rest };
  if (name === 'run') return { name: 'help', wrong: '/run needs a command to run.' };
  if (name === '' || name === 'help') return { name: 'help' };
  return { name: 'help', wrong: `unknown command /${plainLine(name, 40)}` };
}

export const help = (wrong: string | undefined): string =>
  wrong === undefined ? list : `${wrong}\n\n${list}`;

export async function kill(
  neighbours: Neighbours,
  turns: Turns,
  reason: string,
  by: string,
): Promise<string> {
  const why = reason === '' ? 'pressed in the chat' : plaintext(reason);
  const receipt = await neighbours.trip(why, by).catch((error: unknown) => {
    throw new Problem(
      'not-killed',
      502,
      `the press did not get through: ${asProblemJson(error).title}`,
      `Without a keeper every door closes within a second. To be sure, press Ctrl-C where Holdfast was started, or run \`${command('kill')}\`.`,
      error,
    );
  });
  for (const turn of turns.all()) turn.stop(`everything was stopped: ${why}`);
  const steps = receipt.steps
    .toSorted((one, other) => one.ms - other.ms)
    .map(
      (step) =>
        `  ${step.ok ? 'done  ' : 'FAILED'}  ${stepWords(step.name)} (${Math.round(step.ms)} ms)${step.detail ? `: ${step.detail}` : ''}`,
    );
  return plaintext(
    [
      `State: ${receipt.state}. Receipt ${receipt.id}.`,
      ...steps,
      'Only an operator re-arms, in the controller.',
    ].join('\n'),
  );
}

export type StatusOf = {
  agent: string;
  part: AgentPart;
  approvalsUrl: string;
};

/** Never throws: what cannot be had is named in its line. */
export async function status(neighbours: Neighbours, turns: Turns, of: StatusOf): Promise<string> {
  const [state, worlds, approvals] = await Promise.allSettled([
    neighbours.keeperState(),
    neighbours.worlds(),
    neighbours.approvals(of.agent),
  ]);
  const turn = turns.open(of.agent);
  const { model, modelReady } = of.part;
  const lines = [
    `State    ${state.status === 'fulfilled' ? stateWords(state.value) : `closed: ${whyNot(state.reason)}`}`,
    `World    ${worlds.status === 'fulfilled' ? worldWords(worlds.value, of.agent) : `not known: ${whyNot(worlds.reason)}`}`,
    `Model    ${model ? `${model.name}${model.provider === '' ? '' : ` by ${model.provider}`}${modelReady ? '' : ', not ready'}` : 'none'}`,
    `Turn     ${turn ? `open for ${Math.round((Date.now() - turn.startedAt) / 1000)} s` : 'none open'}`,
    `Waiting  ${approvals.status === 'fulfilled' ? waitingWords(approvals.value.length, of.approvalsUrl) : `not known: ${whyNot(approvals.reason)}`}`,
  ];
  return plaintext(lines.join('\n'));
}

const stateWords = (now: KeeperState): string =>
  `${now.state}${now.since ? ` since ${clockTime(now.since, Date.now())}` : ''}${now.reason ? ` (${now.reason})` : ''}`;

function worldWords(worlds: World[], agent: string): string {
  const world = worlds.find((each) => each.agent === agent);
  if (!world) return 'none';
  const missing = world.walls.filter((wall) => wall.state !== 'stands');
  const walls = missing.map(
    (wall) => `\n         ${wall.wall}: ${wall.detail ?? wall.state}${wall.fix ? `. ${wall.fix}` : ''}`,
  );
  const stand = world.walls.length - missing.length;
  return `${world.state}${world.why ? `: ${world.why}` : ''}, ${stand} of ${world.walls.length} walls stand${walls.join('')}`;
}

const waitingWords = (count: number, url: string): string =>
  count === 0 ? 'nothing' : `${count} for your yes: ${url}`;

const whyNot = (error: unknown): string => asProblemJson(error).title;
