/** The egress process: for each agent an HTTP proxy, a name door and TCP doors over its rules; one ledger. Started by the launcher; composition only. */
import { createSocket } from 'node:dgram';
import { z } from 'zod';
import { createEgress } from '../../proxies/egress/egress.ts';
import { createPolicy } from '../../proxies/egress/policy.ts';
import { createResolve } from '../../proxies/egress/resolve.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { Problem } from '../problem.ts';
import { attend } from '../process.ts';

const port = z.int().min(1).max(65_535);

const partSchema = z.strictObject({
  agents: z
    .record(
      z.string(),
      z.strictObject({
        egress: z
          .array(
            z.strictObject({
              host: z.string().describe('a host, an address, or *.name for every name below it'),
              ports: z.array(port).min(1).describe('TCP ports of that host'),
              why: z.string().optional().describe('a note of the owner, for people'),
            }),
          )
          .describe('what this agent may reach; nothing else'),
      }),
    )
    .describe('by name, as the doors are named'),
  ownPorts: z.array(port).describe('the ports of Holdfast itself on this machine: no rule opens them'),
  version: z.string().optional().describe('digest of the whole configuration'),
});

const here = attend();

const read = (given: unknown): z.infer<typeof partSchema> => {
  const parsed = partSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new Problem('bad-part', 422, 'egress does not understand its part', z.prettifyError(parsed.error));
};

const part = read(here.part());
const armed = here.lease();
const ledger = await openLedger({
  path: here.home('audit/egress.jsonl'),
  archive: here.home('audit/egress'),
});
const resolve = createResolve();

const doors = here.doors('egress.').map(({ fd, rest: agent }) => {
  const egress = createEgress({
    agent,
    rules: part.agents[agent]?.egress ?? [],
    armed,
    record: (line) => ledger.append(line),
    resolve,
    ownPorts: part.ownPorts,
    log: here.log.error,
  });
  egress.proxy.listen({ fd });
  return { agent, egress };
});

const of = (agent: string): (typeof doors)[number] => {
  const found = doors.find((each) => each.agent === agent);
  if (found) return found;
  throw new Problem(
    'no-door',
    500,
    `egress was given a door of ${agent} without its egress door`,
    'See the manifest.',
  );
};

for (const { fd, rest: agent } of here.doors('names.')) {
  const socket = createSocket('udp4');
  of(agent).egress.names(socket);
  socket.bind({ fd, exclusive: true });
}

for (const { fd, rest } of here.doors('tcp.')) {
  const dot = rest.lastIndexOf('.');
  const { egress } = of(rest.slice(0, dot));
  egress.tcp(Number(rest.slice(dot + 1))).listen({ fd });
}

here.onConfig((given) => {
  const next = read(given);
  const rulesOf = (agent: string) => next.agents[agent]?.egress ?? [];
  try {
    // All or none: an agent's bad rule must not leave the others half changed.
    for (const { agent } of doors) createPolicy(agent, rulesOf(agent));
    for (const { agent, egress } of doors) egress.setRules(rulesOf(agent));
  } catch (error) {
    throw new Problem(
      'bad-rule',
      422,
      error instanceof Error ? error.message : 'a rule cannot be read',
      'Correct the rule in holdfast.yaml.',
      error,
    );
  }
});

/** A stop is no kill: what is open ends and gets its outcome on record. */
process.once('SIGTERM', async () => {
  await Promise.all(doors.map(({ egress }) => egress.close()));
  await ledger.close();
  process.exit(0);
});

await here.ready();
