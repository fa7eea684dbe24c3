/** The command `holdfast`: its verbs, one file each. A verb loads what it needs when it runs, so that `kill` is quick and works with half of the house down. */
import { Command, CommanderError } from 'commander';
import { agentVerb } from './agent.ts';
import { approvalsVerb } from './approvals.ts';
import { askVerb } from './ask.ts';
import { auditVerb } from './audit.ts';
import { configVerb } from './config.ts';
import { doctorVerb } from './doctor.ts';
import { exit } from './exit.ts';
import { killVerb } from './kill.ts';
import { modelsVerb } from './models.ts';
import { rearmVerb } from './rearm.ts';
import { runVerb } from './run.ts';
import { statusVerb } from './status.ts';
import { trafficVerb } from './traffic.ts';
import { unitsVerb } from './units.ts';
import { upVerb } from './up.ts';
import { complain } from './verb.ts';

// A reader that leaves (`| head`) is not a fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) =>
  process.exit(error.code === 'EPIPE' ? exit.ok : exit.fault),
);

const program = new Command('holdfast')
  .description('Holds an autonomous agent: a world with doors, approvals and a kill switch.')
  .enablePositionalOptions()
  .exitOverride()
  .showSuggestionAfterError()
  .addHelpText(
    'after',
    '\nExit codes: 0 ok, 1 fault, 2 usage, 3 refused, 4 not running, 69 something is missing, 78 holdfast.yaml.',
  );
for (const add of [upVerb, statusVerb, doctorVerb, agentVerb, killVerb, rearmVerb]) add(program);
for (const add of [
  trafficVerb,
  modelsVerb,
  approvalsVerb,
  auditVerb,
  configVerb,
  unitsVerb,
  runVerb,
  askVerb,
])
  add(program);

try {
  await program.parseAsync();
} catch (error) {
  // Commander has said what is wrong; its help is no mistake.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? exit.ok : exit.usage;
  else {
    complain(error);
    process.exitCode = exit.fault;
  }
}
