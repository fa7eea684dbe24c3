/** The egress doors of one agent: an HTTP proxy, a name door and TCP doors over one policy. appliance/processes/egress.ts makes one for each agent and gives it descriptors; nothing is shared between two. */
import type { Socket as Datagrams } from 'node:dgram';
import type { Server as HttpServer } from 'node:http';
import type { Server as TcpServer } from 'node:net';
import type { Armed } from '../armed.ts';
import { createSockets } from '../sockets.ts';
import { createExchanges } from './exchange.ts';
import { createNames } from './names.ts';
import { ownAddresses } from './own.ts';
import { createPolicy, type Own, type Rule } from './policy.ts';
import { createProxy } from './proxy.ts';
import type { Append, Log } from './record.ts';
import { createRefusals } from './refusals.ts';
import type { Resolve } from './resolve.ts';
import { createTcp } from './tcp.ts';

export type EgressLimits = {
  headersMs: number;
  idleMs: number;
  dialMs: number;
  maxExchanges: number;
  maxConnections: number;
};

const defaults: EgressLimits = {
  headersMs: 10_000,
  idleMs: 600_000, // a model's long thought or a long poll is silent for minutes
  dialMs: 5000,
  maxExchanges: 256,
  maxConnections: 512, // descriptors are the process's, so one guest may not use them up
};

export type EgressParts = {
  agent: string;
  rules: readonly Rule[];
  armed: Armed;
  /** Resolves when the line is durable; when it rejects, the request is refused. */
  record: Append;
  resolve: Resolve;
  /** Ports of Holdfast itself on this machine: never reachable from a world. */
  ownPorts?: readonly number[];
  ownAddress?: (address: string) => boolean;
  limits?: Partial<EgressLimits>;
  /** Milliseconds that only go forward. */
  clock?: () => number;
  /** Faults, for the operator's eyes. */
  log?: Log;
};

export type Egress = {
  /** Not listening yet. */
  proxy: HttpServer;
  /** A TCP door for this port of the world; not listening yet. */
  tcp(port: number): TcpServer;
  /** The name door, on a bound socket. */
  names(socket: Datagrams): void;
  /** At once, for what is open too. Throws a RangeError for a rule that cannot be read; the last rules then stand. */
  setRules(rules: readonly Rule[]): void;
  /** Stops listening, ends everything that is open, and waits for the outcomes to be on record. */
  close(): Promise<void>;
};

export function createEgress(parts: EgressParts): Egress {
  const { agent, armed, record, resolve, ownPorts = [], clock = () => performance.now() } = parts;
  const { ownAddress = onThisMachine(clock), log = () => {} } = parts;
  const limits = { ...defaults, ...parts.limits };
  const own: Own = { ports: ownPorts, address: ownAddress };
  let compiled = createPolicy(agent, parts.rules, own);
  const policy = () => compiled;

  const sockets = createSockets();
  const unsubscribe = armed.onLost(() => sockets.destroyAll());
  const refusals = createRefusals(agent, record, log, clock);
  const shared = { agent, policy, armed, refusals, sockets, clock, log, limits };
  const exchanges = createExchanges({ ...shared, record, resolve });
  const names = createNames(shared);
  const proxy = createProxy({ ...shared, exchanges });
  const servers: TcpServer[] = [proxy];

  return {
    proxy,
    tcp(port) {
      const server = createTcp({ ...shared, port, exchanges, names });
      servers.push(server);
      return server;
    },
    names: (socket) => names.serve(socket),
    setRules(rules) {
      compiled = createPolicy(agent, rules, own);
      exchanges.review();
    },
    close() {
      unsubscribe();
      for (const server of servers) server.close();
      sockets.destroyAll();
      return exchanges.ended();
    },
  };
}

/** Read again after a second: addresses come and go with DHCP. */
function onThisMachine(clock: () => number): (address: string) => boolean {
  let readAt = Number.NEGATIVE_INFINITY;
  let addresses = new Set<string>();
  return (address) => {
    if (clock() - readAt > 1000) {
      readAt = clock();
      addresses = ownAddresses();
    }
    return addresses.has(address);
  };
}
