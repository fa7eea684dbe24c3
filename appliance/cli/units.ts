/** `holdfast units --out DIR`: the manifest of a configuration as systemd units. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { keyFiles } from '../launcher/home.ts';
import { manifest } from '../manifest.ts';
import { socketGroup } from '../numbers.ts';
import { view } from '../paths.ts';
import { Problem } from '../problem.ts';
import { exit } from './exit.ts';
import { readConfigText } from './file.ts';
import { json, note, say } from './print.ts';
import { path, verb, whole } from './verb.ts';

type Options = { out: string; prefix?: string; config?: string; dockerGid?: number };

export function unitsVerb(program: Command): void {
  verb<Options>(
    program,
    'units',
    'write systemd units, accounts and folders for this configuration',
    { json: true },
    (command) =>
      command
        .requiredOption('--out <folder>', 'where to write them', path)
        .option('--prefix <folder>', `where the code is, instead of ${view.code}`, path)
        .option('--config <file>', 'instead of holdfast.yaml in the home folder', path)
        .option('--docker-gid <number>', "the group of Docker's socket", whole(1, 4_000_000_000)),
    async ({ home, out, prefix, config: given, dockerGid, json: asJson }) => {
      const [{ parseConfig }, { mistakeLine }, { renderUnits }] = await Promise.all([
        import('../config.ts'),
        import('../config/mistake.ts'),
        import('../../provisioning/units.ts'),
      ]);
      const file = given ?? join(resolve(home), 'holdfast.yaml');
      const text = readConfigText(file);
      if (text === undefined && given !== undefined)
        throw new Problem('config', 404, `there is no ${file}`, '');
      const parsed = parseConfig(text ?? '', file);
      if (!parsed.ok) {
        throw new Problem(
          'config',
          422,
          parsed.mistakes.map((each) => mistakeLine(file, each)).join('\n'),
          '',
        );
      }
      const { config } = parsed;
      const gid = dockerGid ?? groupOnThisMachine('docker');
      if (gid === undefined)
        note('holdfast: no group docker here, so the broker gets no socket: see --docker-gid');
      const instance = createHash('sha256').update(view.home).digest('hex').slice(0, 8);
      const keys = keyFiles(home);
      const table = manifest(config, {
        instance,
        mode: 'root',
        owner: { uid: 0, gid: 0 },
        agentNumbers: Object.fromEntries(Object.keys(config.agents).map((agent, at) => [agent, at])),
        keys,
        killed: false,
        home: view.home,
        docker: gid === undefined ? null : { socket: '/run/docker.sock', gid },
      });
      const units = renderUnits(table, {
        ...(prefix === undefined ? {} : { prefix }),
        keys,
        groupOf: (door) => socketGroup(config, instance, door),
      });
      mkdirSync(out, { recursive: true });
      for (const [name, unit] of Object.entries(units)) writeFileSync(join(out, name), unit, { mode: 0o644 });
      if (asJson) json({ out, version: parsed.digest, files: Object.keys(units) });
      else
        say(`${Object.keys(units).length} files in ${out}, for configuration ${parsed.digest}\n${nextSteps}`);
      return exit.ok;
    },
  );
}

const nextSteps = `The code goes to /opt/holdfast, the home folder to /var/lib/holdfast. Then, as root:
  cp *.service *.socket *.target /etc/systemd/system/; cp *sysusers* /etc/sysusers.d/; cp *tmpfiles* /etc/tmpfiles.d/
  systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload
What writes the processes' parts of the configuration comes with the image: until then these units are for reading and checking.`;

function groupOnThisMachine(name: string): number | undefined {
  if (!existsSync('/etc/group')) return undefined;
  const row = readFileSync('/etc/group', 'utf8')
    .split('\n')
    .find((line) => line.startsWith(`${name}:`));
  return row === undefined ? undefined : Number(row.split(':')[2]);
}
