/** `holdfast doctor`: every dependency and every wall, with its state and the fix. */
import type { Command } from 'commander';
import { Problem } from '../problem.ts';
import { exit } from './exit.ts';
import { findConfig, readConfigText } from './file.ts';
import { json, note, say, table } from './print.ts';
import { verb } from './verb.ts';

export function doctorVerb(program: Command): void {
  verb(
    program,
    'doctor',
    'which dependencies are here and which walls stand, with the fix for each that is not',
    { json: true },
    (command) => command,
    async ({ home, json: asJson }) => {
      if (!asJson) note('looking; this builds a world and takes a second or two ...');
      const { file } = await findConfig(home);
      const [{ examine }, { parseConfig }] = await Promise.all([
        import('../../provisioning/doctor.ts'),
        import('../config.ts'),
      ]);
      // A file with mistakes is for `config check` to tell; the machine is looked at with the default.
      const parsed = [readConfigText(file) ?? '', '']
        .map((text) => parseConfig(text, file))
        .find((each) => each.ok);
      if (!parsed?.ok) throw new Problem('fault', 500, 'the default configuration does not parse', '');
      const found = await examine(parsed.config);
      if (asJson) json(found);
      else {
        say(`mode: ${found.mode === 'root' ? 'root' : 'ordinary user'}\n`);
        say(
          table(
            ['DEPENDENCY', 'STATE', 'DETAIL'],
            found.dependencies.map((each) => [each.name, each.state, each.detail]),
          ),
        );
        say(
          `\n${table(
            ['WALL', 'STATE', 'DETAIL'],
            found.walls.map((each) => [each.wall, each.state, each.detail]),
          )}`,
        );
        const fixes = [
          ...found.dependencies.map((each) => [each.name, each.fix] as const),
          ...found.walls.map((each) => [each.wall, each.fix] as const),
        ].filter(([, fix]) => fix !== undefined);
        const lines = [...Map.groupBy(fixes, ([, fix]) => fix)].map(
          ([fix, same]) => `- ${same.map(([name]) => name).join(', ')}: ${fix}`,
        );
        if (lines.length > 0) say(`\nWhat to do:\n${lines.join('\n')}`);
        for (const each of found.notes) say(`\n${each}`);
      }
      return found.ok ? exit.ok : exit.unavailable;
    },
  );
}
