/** What the llm process is told of the configuration, read strictly; and what of it each agent's door is given. Made by manifest.ts, read by processes/llm.ts. */
import { z } from 'zod';
import type { Provider } from '../../proxies/llm/kinds/kind.ts';
import type { LlmSettings } from '../../proxies/llm/proxy.ts';
import { Problem } from '../problem.ts';

const limit = z.number().min(0).nullable();
const price = z.strictObject({
  free: z.boolean().optional(),
  costHeader: z.string().optional(),
  inputUsdPerMillion: z.number().optional(),
  cachedUsdPerMillion: z.number().optional(),
  cacheWriteUsdPerMillion: z.number().optional(),
  outputUsdPerMillion: z.number().optional(),
});
const chains = z.record(z.string(), z.array(z.string()));

const provider = z.strictObject({
  kind: z.enum(['openai', 'anthropic', 'gemini', 'ollama']).describe('the wire format and the paths'),
  baseUrl: z.url({ protocol: /^https?$/ }).describe('the only address that is dialled for this provider'),
  key: z.string().optional().describe('name of the file in secrets/llm/'),
  login: z
    .strictObject({
      deviceUrl: z.string(),
      tokenUrl: z.string(),
      clientId: z.string(),
      scope: z.string().optional(),
    })
    .optional(),
  caFile: z.string().optional(),
  certFile: z.string().optional(),
  keyFile: z.string().optional(),
  models: z.array(z.string()).optional(),
  concurrency: z.int().min(1).optional(),
  price: price.optional(),
  prices: z.record(z.string(), price).optional(),
  contextTokens: z.int().min(1).optional(),
  modelContextTokens: z.record(z.string(), z.int().min(1)).optional(),
  urls: z.boolean().optional(),
});

const agent = z.strictObject({
  model: z.strictObject({ provider: z.string().optional(), name: z.string() }).optional(),
  allow: z.array(z.string()).optional(),
  aliases: chains,
  limits: z.strictObject({
    usdPerDay: limit,
    usdPerMonth: limit,
    tokensPerDay: limit,
    tokensPerMonth: limit,
    requestsPerMinute: limit,
    tokensPerMinute: limit,
    roundsPerTurn: limit,
    repeats: limit,
    auditMbPerDay: limit,
    bodyMb: z.number().min(0),
  }),
  egress: z.array(
    z.strictObject({ host: z.string(), ports: z.array(z.int()).min(1), why: z.string().optional() }),
  ),
});

const part = z.strictObject({
  providers: z.record(z.string(), provider).describe('by name; who comes first is asked first'),
  models: chains.describe('alias -> provider/model, in the order in which they are tried'),
  agents: z.record(z.string(), agent),
  metricsPort: z.int().nullable(),
  keysHeld: z
    .boolean()
    .describe('false after a kill, and for an ordinary user without ordinaryUser.holdKeys'),
  version: z.string().optional().describe('digest of the whole configuration'),
});

export type Part = Omit<z.infer<typeof part>, 'providers'> & { providers: readonly Provider[] };

/** Throws a Problem that says where. Provider objects stay the same for as long as the part does: prices are kept by them. */
export function readPart(given: unknown): Part {
  const read = part.safeParse(given);
  if (!read.success) {
    throw new Problem('bad-part', 422, 'llm does not understand its part', z.prettifyError(read.error));
  }
  const { providers, ...rest } = read.data;
  return { ...rest, providers: Object.entries(providers).map(([name, each]) => ({ name, ...each })) };
}

export function settingsOf(from: Part, name: string): LlmSettings {
  const found = from.agents[name];
  if (!found) throw new Problem('bad-part', 422, `llm has a door for ${name} and no part`, '');
  const { model, allow, aliases, limits } = found;
  return {
    providers: from.providers,
    aliases: from.models,
    models: { model, allow, aliases },
    limits,
    keysHeld: from.keysHeld,
  };
}
