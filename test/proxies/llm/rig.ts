/** A llm door on a host port with practice providers behind it, for the tests beside it and the invariants. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { Armed } from '../../../proxies/armed.ts';
import { createDoor } from '../../../proxies/llm/door.ts';
import type { Provider as Configured, KindName } from '../../../proxies/llm/kinds/kind.ts';
import { createLlm, type Llm, type LlmSettings } from '../../../proxies/llm/proxy.ts';
import { Secret } from '../../../proxies/secret.ts';
import { createProvider, type Provider, type ProviderOptions } from '../../provider/provider.ts';

/** Not a shape that a real vendor uses. */
export const realKey = 'practice-key-0123456789abcdef';

export type Lease = Armed & { lose(state?: 'closed' | 'killed'): void; restore(): void };

export function createTestLease(): Lease {
  let state: ReturnType<Armed['state']> = 'armed';
  const losers = new Set<() => void>();
  return {
    now: () => state === 'armed',
    state: () => state,
    onLost(lost) {
      losers.add(lost);
      return () => losers.delete(lost);
    },
    lose(next = 'closed') {
      state = next;
      for (const lost of losers) lost();
    },
    restore() {
      state = 'armed';
    },
  };
}

export type Line = Record<string, unknown>;

export type Rig = {
  url: string;
  port: number;
  llm: Llm;
  lease: Lease;
  /** What was recorded, in order. */
  lines: Line[];
  /** What was logged, as text. */
  logged: string[];
  /** The first line of a kind, waited for. */
  line(kind: string, count?: number): Promise<Line>;
};

export type RigOptions = Partial<LlmSettings> & {
  agent?: string;
  lease?: Lease;
  secrets?: Record<string, string>;
  record?: (line: Line) => Promise<unknown>;
};

export async function startDoor(t: TestContext, options: RigOptions): Promise<Rig> {
  const lines: Line[] = [];
  const logged: string[] = [];
  const lease = options.lease ?? createTestLease();
  const secrets = options.secrets ?? { real: realKey };
  const llm = createLlm({
    agent: options.agent ?? 'main',
    providers: options.providers ?? [],
    ...(options.agentModel ? { agentModel: options.agentModel } : {}),
    ...(options.keysHeld === undefined ? {} : { keysHeld: options.keysHeld }),
    secret: (name) => (secrets[name] === undefined ? undefined : new Secret(name, secrets[name])),
    armed: lease,
    record: async (line) => {
      await options.record?.(line);
      lines.push(line);
    },
    log: { error: (text, fields) => void logged.push(JSON.stringify({ text, ...fields })) },
  });
  const server = createDoor(llm);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    llm.close();
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    llm,
    lease,
    lines,
    logged,
    async line(kind, count = 1) {
      await until(() => lines.filter((each) => each.kind === kind).length >= count);
      return lines.filter((each) => each.kind === kind)[count - 1] as Line;
    },
  };
}

/** A provider with a fixed clock, so that two equal requests get equal bytes. */
export async function startProvider(t: TestContext, options: ProviderOptions = {}): Promise<Provider> {
  const provider = await createProvider({ now: () => new Date(1_750_000_000_000), ...options });
  t.after(() => provider.close());
  return provider;
}

/** One provider of a kind, its key required, and a door in front of it. */
export async function startBoth(
  t: TestContext,
  kind: KindName = 'openai',
  options: RigOptions & ProviderOptions = {},
): Promise<{ provider: Provider; rig: Rig; configured: Configured }> {
  const provider = await startProvider(t, { requireKey: realKey, ...options });
  const configured: Configured = { name: kind, kind, baseUrl: provider.url, key: 'real' };
  return { provider, configured, rig: await startDoor(t, { providers: [configured], ...options }) };
}

export async function until(condition: () => boolean, withinMs = 3000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not so within ${withinMs} ms: ${condition}`);
    await new Promise((done) => setTimeout(done, 2));
  }
}

export const chatBody = (text: string, extra: Record<string, unknown> = {}): Record<string, unknown> => ({
  model: 'practice',
  messages: [{ role: 'user', content: text }],
  ...extra,
});

export const post = (url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
