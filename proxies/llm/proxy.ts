/** The llm door of one agent: a raw node:http handler. Order: lease, path, body, scan, key, record, lease, dial, answer, outcome. Made by appliance/processes/llm.ts, one for each agent. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Armed } from '../armed.ts';
import { createQuota } from '../ledger/quota.ts';
import type { Secret } from '../secret.ts';
import { createSockets } from '../sockets.ts';
import { judgeAnswer, passAnswer } from './answer/pass.ts';
import { type Asked, type Held, judge, readBytes } from './asked/request.ts';
import { type Denial, fault, leaseDenial, notRecorded, unreachable } from './denial.ts';
import { beginExchange, type Exchange, sendDenial } from './exchange.ts';
import { createKeyring } from './keys/keyring.ts';
import type { Provider } from './kinds/kind.ts';
import { findTarget } from './kinds/paths.ts';
import { createUpstream } from './route/upstream.ts';

export type LlmSettings = {
  providers: readonly Provider[];
  /** The agent's configured model: its provider is asked first. */
  agentModel?: { provider: string; name: string } | undefined;
  /** False after a kill, and in ordinary-user mode without the owner's explicit yes. */
  keysHeld?: boolean;
};

export type LlmParts = LlmSettings & {
  agent: string;
  secret: (name: string) => Secret | undefined;
  armed: Armed;
  /** Resolves when the line is durable; when it rejects, the request is refused. */
  record: (line: Record<string, unknown>) => Promise<unknown>;
  log?: { error(text: string, fields?: Record<string, unknown>): void };
};

export type Llm = {
  handler(req: IncomingMessage, res: ServerResponse): void;
  /** For the server's 'connection' event: the socket ends with the lease. */
  connection(socket: Socket): void;
  reconfigure(settings: LlmSettings): void;
  close(): void;
};

/** More than a person reads; the rest are counted on the next line. As at the egress door. */
const refusalsPerMinute = 600;

export function createLlm({ agent, secret, armed, record, log, ...given }: LlmParts): Llm {
  const sockets = createSockets();
  const upstream = createUpstream(sockets);
  const held: Held = { bytes: 0 };
  const refusals = createQuota(refusalsPerMinute, () => performance.now());
  let settings = given;
  let keyring = createKeyring({ secret, keysHeld: true, ...given });

  const endAll = (): void => {
    sockets.destroyAll();
    upstream.destroy();
  };
  const unsubscribe = armed.onLost(endAll);

  const unrecorded = (what: string, id: string) => (error: unknown) =>
    log?.error(`${what} could not be recorded`, { id, code: codeOf(error) });

  const refuse = (own: Exchange, denial: Denial): void => {
    sendDenial(own, denial);
    const unlisted = refusals.take();
    if (unlisted === null) return;
    const { id, method, path } = own;
    const { rule, reason, status } = denial;
    const line = { kind: 'refusal', id, agent, door: 'llm', method, path, rule, reason, status };
    record(unlisted > 0 ? { ...line, unlisted } : line).catch(unrecorded('a refusal', id));
  };

  async function exchange(req: IncomingMessage, own: Exchange): Promise<void> {
    const shut = leaseDenial(armed);
    if (shut) return sendDenial(own, shut); // not on record: a kill waits for no disk
    const { providers, agentModel } = settings;
    const target = findTarget(own.method, req.url ?? '', providers, agentModel?.provider);
    if ('allow' in target) return refuse(own, target);
    own.speaks = target.route.speaks;

    const { bytes, release } = await readBytes(req, held);
    try {
      if (bytes === undefined) return; // the agent went away while sending
      const asked = 'allow' in bytes ? bytes : judge(target, req, bytes, keyring);
      if ('allow' in asked) return refuse(own, asked);
      try {
        await record(requestLine(own, asked));
      } catch (error) {
        unrecorded('a request', own.id)(error);
        return sendDenial(own, notRecorded);
      }
      const outcome = await forward(own, asked);
      record({ kind: 'outcome', id: own.id, ms: own.sinceMs(), ...outcome }).catch(
        unrecorded('an outcome', own.id),
      );
    } finally {
      release();
    }
  }

  const requestLine = ({ id, method }: Exchange, { target, model, body }: Asked) => ({
    kind: 'request',
    id,
    agent,
    door: 'llm',
    provider: target.provider.name,
    model,
    method,
    path: target.route.path,
    bytes: body.length,
    sha256: createHash('sha256').update(body).digest('hex'),
  });

  /** Everything after the record, up to what became of it. `bytesOut` left the box, `bytesIn` came back. */
  async function forward(own: Exchange, { target, headers, body, secret }: Asked) {
    const { res, gone } = own;
    const refuseLate = (denial: Denial, error: string = denial.rule) => {
      sendDenial(own, denial);
      return { status: denial.status, bytesOut: 0, bytesIn: 0, error };
    };
    const why = (error: unknown): string =>
      armed.now() ? (gone.aborted ? 'agent-gone' : codeOf(error)) : 'lease-lost';

    const shut = leaseDenial(armed);
    if (shut) return refuseLate(shut);
    if (gone.aborted) return { status: 0, bytesOut: 0, bytesIn: 0, error: 'agent-gone' };
    let answer: Awaited<ReturnType<typeof upstream.dial>>;
    try {
      const content = target.route.method === 'GET' ? null : body;
      answer = await upstream.dial({ target, headers, body: content, signal: gone });
    } catch (error) {
      return refuseLate(unreachable(target.provider, codeOf(error)), why(error));
    }
    // An aborted body without a listener ends the process (UND_ERR_ABORTED).
    answer.body.on('error', () => {});
    const denial = judgeAnswer(answer, target.provider);
    if (denial) {
      answer.body.destroy();
      return { ...refuseLate(denial), bytesOut: body.length };
    }
    const { cut, ...passed } = await passAnswer(answer, res, secret, own.sinceMs);
    return {
      status: answer.statusCode,
      bytesOut: body.length,
      ...passed,
      ...(cut === undefined ? {} : { error: why(cut) }),
    };
  }

  return {
    handler(req, res) {
      const own = beginExchange(req, res);
      exchange(req, own).catch((error: unknown) => {
        log?.error('a fault in an exchange', {
          id: own.id,
          stack: error instanceof Error ? error.stack : undefined,
        });
        if (res.headersSent) res.destroy();
        else sendDenial(own, fault);
      });
    },
    connection: (socket) => void sockets.add(socket),
    reconfigure(next) {
      settings = next;
      keyring = createKeyring({ secret, keysHeld: true, ...next });
      upstream.retire();
    },
    close() {
      unsubscribe();
      endAll();
    },
  };
}

/** A stable word for a fault. Messages stay out of records and answers: they can quote bytes of others. */
function codeOf(error: unknown): string {
  const { code, name } = (typeof error === 'object' && error !== null ? error : {}) as Record<
    string,
    unknown
  >;
  const word = [code, name].find((each) => typeof each === 'string' && /^[\w-]{1,60}$/.test(each));
  return typeof word === 'string' ? word : 'fault';
}
