/** The llm process: one llm door for each agent, one ledger, the keys. Started by the launcher; composition only. */
import { z } from 'zod';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { createDoor } from '../../proxies/llm/door.ts';
import { createLlm, type LlmSettings } from '../../proxies/llm/proxy.ts';
import { Problem } from '../problem.ts';
import { attend } from '../process.ts';

const providerSchema = z.strictObject({
  kind: z.enum(['openai', 'anthropic', 'ollama']).describe('the wire format and the paths'),
  baseUrl: z.url({ protocol: /^https?$/ }).describe('the only address that is dialled for this provider'),
  key: z.string().optional().describe('name of the file in secrets/llm/'),
});

const partSchema = z.strictObject({
  providers: z.record(z.string(), providerSchema).describe('by name; who comes first is asked first'),
  agents: z.record(
    z.string(),
    z.strictObject({ model: z.strictObject({ provider: z.string(), name: z.string() }).optional() }),
  ),
  keysHeld: z
    .boolean()
    .describe('false after a kill, and for an ordinary user without ordinaryUser.holdKeys'),
  version: z.string().optional().describe('digest of the whole configuration'),
});

const here = attend();

function settingsOf(part: z.infer<typeof partSchema>, agent: string): LlmSettings {
  return {
    providers: Object.entries(part.providers).map(([name, provider]) => ({ name, ...provider })),
    agentModel: part.agents[agent]?.model,
    keysHeld: part.keysHeld,
  };
}

const part = partSchema.parse(here.part());
const armed = here.lease();
const ledger = await openLedger({ path: here.home('audit/traffic.jsonl') });

const llms = here.doors('llm.').map(({ fd, rest: agent }) => {
  const llm = createLlm({
    agent,
    ...settingsOf(part, agent),
    secret: here.secret,
    armed,
    record: (line) => ledger.append(line),
    log: here.log,
  });
  createDoor(llm).listen({ fd });
  return { agent, llm };
});

here.onConfig((next) => {
  const parsed = partSchema.safeParse(next);
  if (!parsed.success) {
    throw new Problem('bad-part', 422, 'llm does not understand its part', z.prettifyError(parsed.error));
  }
  for (const { agent, llm } of llms) llm.reconfigure(settingsOf(parsed.data, agent));
});

await here.ready();
