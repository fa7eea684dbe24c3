/** One agent's connections to its providers: one undici Agent for each, shared with no other agent. Called by proxy.ts. */
import type { Socket } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import type { Sockets } from '../../sockets.ts';
import type { Target } from '../kinds/paths.ts';

/** Local prefill and reasoning are silent for minutes; undici's default of 300 s ends them with "terminated". */
const silenceMs = 600_000;
const connectMs = 10_000;

type Dial = {
  target: Target;
  headers: Record<string, string>;
  body: Buffer | null;
  signal: AbortSignal;
};

export type Upstream = {
  /** Rejects when the provider cannot be reached or the signal aborts. Redirects are answers here, not followed. */
  dial(request: Dial): Promise<Dispatcher.ResponseData>;
  /** Ends idle connections; what runs may finish. */
  retire(): void;
  /** Ends everything now. */
  destroy(): void;
};

export function createUpstream(sockets: Sockets): Upstream {
  const agents = new Map<string, Agent>();
  // HTTP/1.1 only: one socket is one exchange, so that destroying it ends exactly that.
  const connector = buildConnector({ allowH2: false, timeout: connectMs });

  const agentFor = ({ provider, origin }: Target): Agent => {
    const name = `${provider.name} ${origin}`;
    const known = agents.get(name);
    if (known) return known;
    const agent = new Agent({
      headersTimeout: silenceMs,
      bodyTimeout: silenceMs,
      connect: (options, callback) => {
        // It returns the socket, which its types do not say: tracked from here on, so that a dial under way ends with the lease too.
        sockets.add(connector(options, callback) as unknown as Socket);
      },
    });
    agents.set(name, agent);
    return agent;
  };

  const drop = (end: (agent: Agent) => Promise<void>): void => {
    // Both reject when the agent was closed before, which is what is wanted.
    for (const agent of agents.values()) end(agent).catch(() => {});
    agents.clear();
  };

  return {
    dial: ({ target, headers, body, signal }) =>
      agentFor(target).request({
        origin: target.origin,
        path: target.path + target.query,
        method: target.route.method,
        headers,
        body,
        signal,
      }),
    retire: () => drop((agent) => agent.close()),
    destroy: () => drop((agent) => agent.destroy()),
  };
}
