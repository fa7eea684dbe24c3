/** The configuration after parsing: every field there, defaults filled in; and its digest, which is the policy version. config.ts makes one, and whoever imports no package reads it. */
import { createHash } from 'node:crypto';

/** Written out, not inferred from the schema, so that this file needs no package. */
export type Config = {
  controller: { port: number };
  chat: { port: number };
  uids: { base?: number | undefined };
  ordinaryUser: { holdKeys: boolean };
  providers: Record<string, Provider>;
  agents: Record<string, AgentConfig>;
  approvals: { waitSeconds: number };
  tools: { memoryMb: number; pids: number; timeoutSeconds: number; outputKb: number };
};

export type Provider = {
  kind: 'openai' | 'anthropic' | 'ollama';
  baseUrl: string;
  key?: string | undefined;
};

export type AgentConfig = {
  model?: { provider: string; name: string } | undefined;
  instructions?: string | undefined;
  egress: { host: string; ports: number[]; why?: string | undefined }[];
  memoryMb: number;
  pids: number;
};

/** Canonical JSON: keys sorted, so that the same configuration has one digest, which is the policy version. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

export const digestOf = (config: Config): string =>
  createHash('sha256').update(canonical(config)).digest('hex');
