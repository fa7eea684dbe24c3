/** `holdfast agent`: add, list and remove agents. By the controller while Holdfast runs; in the file itself while it does not. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { Problem } from '../problem.ts';
import { sayApplied } from './config.ts';
import { exit } from './exit.ts';
import { facts, list, words } from './facts.ts';
import { editFile, findConfig, readConfigText } from './file.ts';
import { json, say, table } from './print.ts';
import { reach } from './reach.ts';
import { status } from './status.ts';
import { verb } from './verb.ts';

const applyMs = 120_000; // a world is made, processes are told

export function agentVerb(program: Command): void {
  const group = program.command('agent').description('agents, each in a world of its own');
  verb(
    group,
    'list',
    'agents with their model and state',
    { json: true },
    (command) => command,
    async ({ home, json: asJson }) => {
      const found = await findConfig(home);
      const { parseConfig } = await import('../config.ts');
      const parsed = parseConfig(readConfigText(found.file) ?? '', found.file);
      if (!parsed.ok)
        throw new Problem('config', 422, `${found.file} has mistakes`, 'See `holdfast config check`.');
      const worlds = found.running ? list((await status(reach(home))).worlds) : [];
      const agents = Object.entries(parsed.config.agents).map(([name, agent]) => {
        const world = worlds.find((each) => each.agent === name);
        return {
          name,
          model: agent.model
            ? [agent.model.provider, agent.model.name].filter((part) => part !== undefined).join('/')
            : null,
          hosts: agent.egress.length,
          state: found.running ? words(world?.state) || 'not applied' : 'not running',
        };
      });
      if (asJson) json(agents);
      else
        say(
          table(
            ['AGENT', 'MODEL', 'HOSTS', 'STATE'],
            agents.map((each) => [each.name, each.model ?? 'none', each.hosts, each.state]),
          ),
        );
      return exit.ok;
    },
  );
  for (const [name, summary, route] of [
    ['add', 'add an agent with a world of its own', (): string => 'POST /agents'],
    [
      'remove',
      'end an agent; its folder stays',
      (agent: string): string => `DELETE /agents/${encodeURIComponent(agent)}`,
    ],
  ] as const) {
    verb(
      group,
      name,
      summary,
      { json: true },
      (command) => command.argument('<name>', 'small letters, digits and dashes'),
      async ({ home, json: asJson }, [agent = '']) => {
        const found = await findConfig(home);
        const folder = { folder: join(resolve(home), 'agents', agent) };
        if (!found.running) {
          const { addAgent, removeAgent } = await import('../config/edit.ts');
          const version = await editFile(found, (text) =>
            (name === 'add' ? addAgent : removeAgent)(text, agent),
          );
          if (asJson) json({ version, live: [], restarted: [], ...folder });
          else
            say(`${found.file} is changed; it takes effect at the next start.\n${done[name](home, agent)}`);
          return exit.ok;
        }
        const text = readConfigText(found.file);
        const body = { ...(name === 'add' ? { name: agent } : {}), ...(text === undefined ? {} : { text }) };
        const applied = facts(await reach(home).call('decide', route(agent), body, { timeoutMs: applyMs }));
        if (asJson) json({ ...applied, ...folder });
        else {
          sayApplied(applied);
          say(done[name](home, agent));
        }
        return exit.ok;
      },
    );
  }
}

/** What there is to know afterwards. */
const done = {
  add: (home: string, agent: string) =>
    `${agent} works in ${join(resolve(home), 'agents', agent, 'workspace')}; give it a model and hosts at \`agents: ${agent}:\` in holdfast.yaml.`,
  remove: (home: string, agent: string) =>
    `${agent} is ended; its files stay in ${join(resolve(home), 'agents', agent)}.`,
};
