/** The strict schema of holdfast.yaml: every field, its unit, its limits and its description. Parser, example, JSON Schema and documentation come from it. */
import { z } from 'zod';
import { hostPattern } from '../../proxies/verdict/host.ts';
import { limits } from './limits.ts';
import { glob, provider, whole } from './provider.ts';

/** Names that a process, a socket or a room of the house has already, and those that JavaScript gives to every object. */
export const reservedNames: readonly string[] = [
  'agent',
  'all',
  'broker',
  'constructor',
  'control',
  'controller',
  'default',
  'dialer',
  'egress',
  'gate',
  'gateway',
  'guest',
  'holdfast',
  'host',
  'keeper',
  'launcher',
  'llm',
  'localhost',
  'mitm',
  'none',
  'operator',
  'root',
  'system',
  'tools',
];

const namePattern = /^[a-z][a-z0-9-]{0,30}$/;

const nameWords =
  'a name of 1 to 31 small letters, digits and dashes that begins with a letter and is not reserved';

const name = z
  .string()
  .regex(namePattern, nameWords)
  .refine((given) => !reservedNames.includes(given), nameWords);

const port = whole(1, 65_535);

/** `ollama@dev2` is a kind of model on a machine: a spelling, nothing hangs on it. */
const providerWords =
  'a name of small letters, digits and dashes that begins with a letter and is not reserved, with or without @ and the name of a machine';

const providerName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}(@[a-z0-9][a-z0-9-]{0,30})?$/, providerWords)
  .refine((given) => !reservedNames.includes(given), providerWords);

const aliasName = z
  .string()
  .regex(
    /^(?!__proto__$)[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$/,
    'a name of 1 to 100 letters, digits, dots, colons, dashes and underscores that begins with a letter or digit',
  )
  .refine((given) => !reservedNames.includes(given), 'a name that is not reserved');

/** What stands in a chain; that its provider is configured is looked at in crosscheck.ts. */
const chain = z
  .array(z.string().min(1).max(300))
  .min(1)
  .max(16)
  .refine((given) => new Set(given).size === given.length, 'each model once')
  .meta({ example: ['local/llama3.2'] });

const aliases = z.record(aliasName, chain).default({}).meta({ exampleName: 'fast' });

const model = z
  .strictObject({
    provider: z.string().optional().describe('A name from `providers`. Left out where the name is an alias.'),
    name: z
      .string()
      .min(1)
      .max(200)
      .describe('The name of the model, as that provider spells it, or an alias.'),
  })
  .meta({ example: { provider: 'local', name: 'llama3.2' } });

const rule = z
  .strictObject({
    host: z
      .string()
      .max(255)
      .superRefine((given, context) => {
        const read = hostPattern(given);
        const message = 'a host name, or *.name for every name below it';
        if (!read.ok) context.addIssue({ code: 'custom', message: `${message} (${read.why})` });
      })
      .describe('A host name, or `*.name` for every name below it. Anything not listed is refused.'),
    ports: z
      .array(port)
      .min(1)
      .max(64)
      .refine((given) => new Set(given).size === given.length, 'each port once')
      .default([443])
      .describe('TCP ports of that host.'),
    why: z.string().max(500).optional().describe('A note for the person who reads this later.'),
  })
  .meta({ example: { host: 'example.org', ports: [443], why: 'reads the documentation' } });

const agent = z.strictObject({
  model: model
    .optional()
    .describe('The model that answers. Without one the chat says how to connect one; everything else works.'),
  allow: z
    .array(glob)
    .max(1000)
    .optional()
    .meta({ example: ['local/*', 'fast'] })
    .describe(
      'The models it may ask for: names of aliases and provider/model, where * stands for anything. Left out: all.',
    ),
  aliases: aliases.describe('Aliases of its own, as in `models`; they go before those.'),
  limits: limits.prefault({}).describe('What it may spend and how much it may ask.'),
  instructions: z
    .string()
    .max(32_768)
    .refine((given) => !given.includes('\0'), 'a text without NUL characters')
    .optional()
    .meta({ example: 'You keep this house tidy.' })
    .describe('What the agent is told before every conversation.'),
  egress: z
    .array(rule)
    .max(10_000)
    .default([])
    .describe('The internet, for this agent: what is not listed is refused.'),
  memoryMb: whole(128, 1_048_576)
    .default(1024)
    .describe('Memory of its whole world, in MiB (only where Holdfast runs as root).'),
  pids: whole(16, 32_768)
    .default(256)
    .describe('Processes and threads in its world (only where Holdfast runs as root).'),
});

const controller = z.strictObject({
  port: port.default(8080).describe("TCP port of the operator's page, on 127.0.0.1."),
});

const chat = z.strictObject({
  port: port.default(18_789).describe('TCP port of the chat, at http://localhost.'),
});

const metrics = z.strictObject({
  port: port
    .optional()
    .meta({ example: 9464 })
    .describe(
      'TCP port for Prometheus, on 127.0.0.1, at /metrics. Left out, the numbers are on the control socket alone.',
    ),
});

const uids = z.strictObject({
  // Not where people's accounts and their subordinate uids are (useradd(8), SYS_UID_MAX to SUB_UID_MIN).
  base: whole(100_000, 4_000_000_000)
    .optional()
    .meta({ example: 400_000 })
    .describe(
      'The first of 1,000 numbers. Left out, it follows from the home folder, so that two appliances differ.',
    ),
});

const ordinaryUser = z.strictObject({
  holdKeys: z
    .boolean()
    .default(false)
    .describe('Your explicit yes to real provider keys there, where all processes share one user id.'),
});

const approvals = z.strictObject({
  waitSeconds: whole(10, 86_400)
    .default(900)
    .describe('How long a question waits for your yes, in seconds. Silence is no.'),
});

const tools = z.strictObject({
  memoryMb: whole(32, 1_048_576).default(512).describe('Memory of one tool container, in MiB.'),
  pids: whole(8, 32_768).default(128).describe('Processes and threads in one tool container.'),
  timeoutSeconds: whole(1, 86_400).default(120).describe('How long one tool call may run, in seconds.'),
  outputKb: whole(1, 65_536).default(256).describe('How much of its output is kept, in KiB.'),
});

export const schema = z.strictObject({
  controller: controller.prefault({}).describe("The operator's page."),
  chat: chat.prefault({}).describe('The chat.'),
  uids: uids.prefault({}).describe('The numeric user ids that the processes run as; no accounts are made.'),
  ordinaryUser: ordinaryUser.prefault({}).describe('Where Holdfast does not run as root.'),
  providers: z
    .record(providerName, provider)
    .default({})
    .meta({ exampleName: 'local' })
    .describe('Model providers, by a name of your choice.'),
  models: aliases.describe(
    'Aliases for all agents: a name, and the chain of provider/model that is tried for it, in this order.',
  ),
  agents: z
    .record(name, agent)
    .refine((given) => Object.keys(given).length > 0, 'at least one agent')
    .prefault({ main: {} })
    .describe('Agents by name; each has a world of its own.'),
  approvals: approvals.prefault({}).describe('Questions that wait for the operator.'),
  tools: tools.prefault({}).describe('The limits of tool calls, which run in containers.'),
  metrics: metrics.prefault({}).describe('Numbers for Prometheus: requests, tokens, cost, refusals, times.'),
});
