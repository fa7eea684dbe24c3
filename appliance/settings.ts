/** The configuration after parsing: every field there, defaults filled in; and its digest, which is the policy version. config.ts makes one, and whoever imports no package reads it. */
import { createHash } from 'node:crypto';
import type { Provider as LlmProvider } from '../proxies/llm/kinds/kind.ts';
import type { Limits } from '../proxies/llm/spend/limits.ts';

/** Written out, not inferred from the schema, so that this file needs no package. */
export type Config = {
  controller: { port: number };
  chat: { port: number };
  uids: { base?: number | undefined };
  ordinaryUser: { holdKeys: boolean };
  /** Who comes first is asked first. */
  providers: Record<string, Provider>;
  /** Alias -> `provider/model`, in the order in which they are tried. */
  models: Record<string, string[]>;
  agents: Record<string, AgentConfig>;
  approvals: { waitSeconds: number };
  tools: { memoryMb: number; pids: number; timeoutSeconds: number; outputKb: number };
  metrics: { port?: number | undefined };
};

/** Its name is the key; what stands in secrets/llm/ is named, never held. */
export type Provider = Omit<LlmProvider, 'name'> & { urls: boolean };

export type AgentConfig = {
  model?: { provider?: string | undefined; name: string } | undefined;
  /** Globs over names of aliases and provider/model. Absent: all. */
  allow?: string[] | undefined;
  aliases: Record<string, string[]>;
  limits: Limits;
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
