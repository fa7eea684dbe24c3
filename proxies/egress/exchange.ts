/** One way out, from the question to the outcome on record: lease, host, name rule, lookup, address class, record, lease, dial. proxy.ts and tcp.ts ask for it and then only move bytes. */
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Armed } from '../armed.ts';
import type { Sockets } from '../sockets.ts';
import { type Host, hostPort } from '../verdict/host.ts';
import { type Refusal, refuse } from '../verdict/verdict.ts';
import { type Denial, deny, leaseDenial, notRecorded } from './denial.ts';
import { dial } from './dial.ts';
import { type Judged, judge, stillAllowed } from './judge.ts';
import type { Policy } from './policy.ts';
import type { Append, Log } from './record.ts';
import type { Refusals } from './refusals.ts';
import type { Resolve } from './resolve.ts';

export type Asked = {
  door: 'egress' | 'tcp';
  method: string;
  /** As the client spelled it. */
  host: string;
  port: number;
  /** Without the query, where clients put keys. */
  path?: string;
  /** Has the client gone away? */
  gone: () => boolean;
};

export type Exchange = {
  host: Host;
  port: number;
  /** Connected to a judged address. Its close ends the exchange and writes the outcome. */
  socket: Socket;
  /** The status of the answer, for the outcome. */
  answered(status: number): void;
  /** Ends it; the first word given is the outcome's `error`. */
  cut(why: string): void;
};

export type Exchanges = {
  open(asked: Asked): Promise<Exchange | Denial>;
  /** After a change of rules: what they no longer allow ends. */
  review(): void;
  /** Settles when the outcome of all that was open is on record. */
  ended(): Promise<void>;
};

export type ExchangeParts = {
  agent: string;
  policy: () => Policy;
  armed: Armed;
  record: Append;
  refusals: Refusals;
  resolve: Resolve;
  sockets: Sockets;
  clock: () => number;
  log: Log;
  limits: { dialMs: number; idleMs: number; maxExchanges: number };
};

export function createExchanges(parts: ExchangeParts): Exchanges {
  const { agent, policy, armed, record, refusals, resolve, sockets, clock, log, limits } = parts;
  const open = new Set<{ judged: Judged; cut: (why: string) => void; done: Promise<void> }>();
  let underWay = 0;

  async function start(asked: Asked, judged: Judged): Promise<Exchange | Denial> {
    const started = clock();
    const id = randomUUID();
    const { host, port, addresses, rule } = judged;
    const { door, method, path } = asked;
    const line = {
      id,
      agent,
      door,
      method,
      host: host.text,
      port,
      ...(path === undefined ? {} : { path: path.slice(0, 512) }),
    };
    try {
      await record({
        kind: 'request',
        ...line,
        verdict: 'allow',
        rule,
        addresses: addresses.map(({ text }) => text),
      });
    } catch (error) {
      log('a request could not be recorded', { id, agent, error: String(error) });
      return notRecorded;
    }
    const outcome = async (fields: Record<string, unknown>): Promise<void> => {
      const ms = Math.round((clock() - started) * 10) / 10;
      await record({ kind: 'outcome', id, agent, door, host: host.text, port, ...fields, ms }).catch(
        (error: unknown) => log('an outcome could not be recorded', { id, agent, error: String(error) }),
      );
    };
    const nothing = { bytesOut: 0, bytesIn: 0 };

    const refuseLate = (denial: Denial, error: string): Denial => {
      void outcome({ status: denial.status, ...nothing, error });
      return denial;
    };
    const wanted = (): boolean => armed.now() && !asked.gone() && stillAllowed(policy(), judged);
    const dialled = await dial({ addresses, port, timeoutMs: limits.dialMs, sockets, wanted });
    if ('socket' in dialled && wanted()) return run(judged, dialled.socket, dialled.address, outcome);

    if ('socket' in dialled) dialled.socket.destroy();
    const shut = leaseDenial(armed);
    if (shut) return refuseLate(shut, 'lease-lost');
    if (asked.gone()) return refuseLate(unreachable(host, port, 'the agent went away'), 'agent-gone');
    if (!stillAllowed(policy(), judged))
      return refuseLate(deny('not-listed', rulesChanged(agent)), 'rules-changed');
    const failed = 'failed' in dialled ? dialled.failed : 'fault';
    return refuseLate(unreachable(host, port, failed), failed);
  }

  /** From here on the exchange lives as long as its socket. */
  function run(
    judged: Judged,
    socket: Socket,
    address: Host,
    outcome: (fields: Record<string, unknown>) => Promise<void>,
  ): Exchange {
    let status: number | undefined;
    let error: string | undefined;
    const cut = (why: string): void => {
      error ??= why;
      socket.destroy();
    };
    underWay++;
    socket.setTimeout(limits.idleMs, () => cut('idle'));
    socket.on('error', (fault: NodeJS.ErrnoException) => {
      error ??= fault.code ?? 'fault';
    });
    const done = new Promise<void>((resolve) => {
      socket.once('close', () => {
        underWay--;
        if (!armed.now()) error ??= 'lease-lost';
        // Who reads from the socket hears of its close after us, and may know why.
        setImmediate(() => {
          const known = {
            ...(status === undefined ? {} : { status }),
            ...(error === undefined ? {} : { error }),
          };
          const bytes = { bytesOut: socket.bytesWritten, bytesIn: socket.bytesRead };
          resolve(outcome({ address: address.text, ...known, ...bytes }));
        });
      });
    });
    const entry = { judged, cut, done };
    open.add(entry);
    void done.then(() => open.delete(entry));
    const { host, port } = judged;
    return {
      host,
      port,
      socket,
      cut,
      answered(given) {
        status = given;
      },
    };
  }

  return {
    async open(asked) {
      // Not on record: a kill waits for no disk.
      const shut = leaseDenial(armed);
      if (shut) return shut;
      const { door, method, host, port } = asked;
      const started = clock();
      const refused = (denial: Denial): Denial => {
        refusals.note({ door, method, host, port, denial, ms: Math.round(clock() - started) });
        return denial;
      };
      if (underWay >= limits.maxExchanges) return refused(tooMany(agent, limits.maxExchanges));
      underWay++;
      try {
        const judged = await judge(asked, policy, resolve);
        if (judged === 'gone')
          return unreachable({ kind: 'name', text: asked.host }, asked.port, 'the agent went away');
        return 'allow' in judged ? refused(judged) : await start(asked, judged);
      } finally {
        underWay--;
      }
    },
    async ended() {
      await Promise.all([...open].map(({ done }) => done));
    },
    review() {
      for (const { judged, cut } of open) if (!stillAllowed(policy(), judged)) cut('rules-changed');
    },
  };
}

const unreachable = (host: Host, port: number, why: string): Denial =>
  deny(
    'unreachable',
    refuse(
      `${hostPort(host, port)} could not be reached (${why})`,
      'The rule allows it; the far end does not answer.',
    ),
  );

const tooMany = (agent: string, most: number): Denial =>
  deny('too-many', refuse(`agent ${agent} has ${most} exchanges under way`, 'Wait for one of them to end.'));

const rulesChanged = (agent: string): Refusal =>
  refuse('the rules changed while this was under way', `See \`agents: ${agent}: egress:\` in holdfast.yaml.`);
