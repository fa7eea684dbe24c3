/** The gateway's part of the configuration. processes/gateway.ts parses it at the start and at each live change. */
import { join } from 'node:path';
import { z } from 'zod';

const agent = z.object({
  model: z.object({ provider: z.string(), name: z.string() }).optional().describe('What it thinks with.'),
  modelReady: z
    .boolean()
    .describe('A model is named, its provider is configured and its key is there and may be used.'),
  keyMissing: z
    .string()
    .optional()
    .describe('The file in secrets/llm/ that the provider wants and that is absent.'),
  keyWithheld: z
    .string()
    .optional()
    .describe(
      'The same file, or `login`, where an ordinary user started Holdfast and did not say yes to real keys.',
    ),
});

/** Ours to us: the launcher writes it, so fields that this process has no use for are dropped, not refused. */
export const gatewayPart = z.object({
  instance: z.string(),
  home: z.string().optional().describe('The home folder, absolute, for recipes that can be pasted.'),
  controllerPort: z.number().int(),
  chatPort: z.number().int(),
  providers: z
    .array(z.object({ name: z.string(), kind: z.string(), baseUrl: z.string() }))
    .default([])
    .describe('What a model can be had from.'),
  pagesOnly: z.boolean().optional().describe('Namespaces are forbidden here: no agent and no tool runs.'),
  agents: z.record(z.string().regex(/^[a-z][a-z0-9-]{0,30}$/), agent),
});

export type GatewayPart = z.infer<typeof gatewayPart>;
export type AgentPart = z.infer<typeof agent>;

/** By own names only: `__proto__` is no agent. */
export const agentOf = (part: GatewayPart, name: string): AgentPart | undefined =>
  Object.hasOwn(part.agents, name) ? part.agents[name] : undefined;

/** A path in the home folder: absolute where the launcher said where that is. */
export const inHome = (part: GatewayPart, path: string): string =>
  part.home === undefined ? path : join(part.home, path);

export const controllerUrl = (part: GatewayPart): string => `http://127.0.0.1:${part.controllerPort}`;

export const chatUrl = (part: GatewayPart): string => new URL(`http://localhost:${part.chatPort}`).href;

/** Where the receipt of a kill stands, and the way back. */
export const killedUrl = (part: GatewayPart): string => `${controllerUrl(part)}/killed`;

/** Where the operator says yes or no. */
export const approvalsUrl = (part: GatewayPart): string => `${controllerUrl(part)}/#approvals`;
