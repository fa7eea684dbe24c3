/** `holdfast status`: the state word, processes, worlds and what waits for the operator. */
import type { Command } from 'commander';
import { Problem } from '../problem.ts';
import { exit } from './exit.ts';
import { type Facts, facts, list, number, words } from './facts.ts';
import { ago, json, say, table } from './print.ts';
import { type Reach, reach } from './reach.ts';
import { verb } from './verb.ts';

export function statusVerb(program: Command): void {
  verb(
    program,
    'status',
    'what runs, which walls stand, and what waits for you',
    { json: true },
    (command) => command,
    async (options) => {
      const seen = await status(reach(options.home));
      if (options.json) json(seen);
      else print(seen);
      return exit.ok;
    },
  );
}

/** The controller knows most; where it does not answer, the launcher's own table is the next best. */
export async function status(at: Reach): Promise<Facts> {
  try {
    return facts(await at.call('decide', 'GET /status', undefined, { timeoutMs: 5000 }));
  } catch (error) {
    try {
      return facts(await at.call('launch', 'GET /status', undefined, { timeoutMs: 5000 }));
    } catch {
      throw error instanceof Problem ? error : new Problem('fault', 500, String(error), '');
    }
  }
}

function print(seen: Facts): void {
  const reason = words(seen.reason);
  say(`${words(seen.state).toUpperCase()}${reason === '' ? '' : `: ${reason}`}`);
  for (const [name, key] of [
    ['controller', 'controllerUrl'],
    ['chat', 'chatUrl'],
    ['home', 'home'],
    ['mode', 'mode'],
    ['configuration', 'version'],
  ] as const) {
    if (seen[key] !== undefined) say(`${name}: ${words(seen[key])}`);
  }
  const tools = facts(seen.tools);
  say(
    `tools: ${[tools.state, tools.detail, tools.fix]
      .map(words)
      .filter((part) => part !== '')
      .join('; ')}`,
  );
  const processes = list(seen.processes);
  if (processes.length > 0) {
    const rows = processes.map((each) => [
      each.name,
      each.state,
      each.pid,
      ago(number(each.sinceMs)),
      each.restarts,
      each.why,
    ]);
    say(`\n${table(['PROCESS', 'STATE', 'PID', 'FOR', 'RESTARTS', 'WHY'], rows)}`);
  }
  const fixes = new Set<string>();
  const walls = list(seen.worlds).flatMap((world) => {
    const missing = list(world.walls).filter((each) => each.state !== 'stands');
    const grouped = Map.groupBy(missing, (each) => words(each.fix ?? each.detail));
    return [
      [world.agent, world.state, `${list(world.walls).length - missing.length} stand`, world.why],
      ...[...grouped].map(([fix, same]) => {
        if (fix.includes('\n')) fixes.add(fix);
        return [
          '',
          same[0]?.state,
          same.map((each) => words(each.wall)).join(', '),
          fix.includes('\n') ? 'below' : fix,
        ];
      }),
    ];
  });
  if (walls.length > 0) say(`\n${table(['WORLD', 'STATE', 'WALLS', 'WHY'], walls)}`);
  for (const fix of fixes) say(`\n${fix}`);
  const pending = list(seen.pending);
  if (pending.length > 0) {
    const rows = pending.map((each) => [each.id, each.agent, each.tool, each.script]);
    say(`\n${table(['WAITS FOR YOUR YES', 'AGENT', 'TOOL', 'WHAT'], rows)}`);
  }
}
