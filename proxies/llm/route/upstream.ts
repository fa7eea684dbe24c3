/** One agent's connections to its providers: one undici Agent for each, shared with no other agent. Called by proxy.ts, once for each attempt. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { Agent, buildConnector, type Dispatcher } from 'undici';
import type { Secret } from '../../secret.ts';
import type { Sockets } from '../../sockets.ts';
import type { Target } from '../kinds/paths.ts';

/** Local prefill and reasoning are silent for minutes; undici's default of 300 s ends them with "terminated". */
const silenceMs = 600_000;
const connectMs = 10_000;
/** How often silence is looked at: it needs no better. */
const lookMs = 1000;
/** Of an answer that nobody reads yet: then its socket is read no further. */
const waitingBytes = 256 * 1024;

/** PEM texts: the authority that signed the provider's certificate, and what the provider asks of us. */
export type Certificates = { ca?: Secret; cert?: Secret; key?: Secret };

export type Dial = {
  target: Target;
  certificates: Certificates;
  headers: Record<string, string>;
  body: Buffer | AsyncIterable<Buffer> | null;
  signal: AbortSignal;
  /** Called when it goes onto a connection: from here on the provider may be at work. */
  started(): void;
};

/** Who takes the bytes. Returns false when it wants no more until `resume`. */
type Sink = { data(chunk: Buffer): boolean; end(): void; error(error: Error): void };

/** An answer whose status and headers are there. Its bytes wait until `flow`. */
export type Answer = {
  status: number;
  headers: IncomingHttpHeaders;
  /** The bytes that came so far and were not taken: for a look at the beginning. */
  peek(): Buffer;
  ended(): boolean;
  /** Resolves when there is more to peek at, or the end; rejects with what cut it. */
  more(): Promise<void>;
  flow(sink: Sink): void;
  resume(): void;
  destroy(): void;
};

export type Upstream = {
  /** Rejects when the provider cannot be reached or the signal aborts. Redirects are answers here, not followed. */
  dial(request: Dial): Promise<Answer>;
  /** Ends idle connections; what runs may finish. */
  retire(): void;
  /** Ends everything now. */
  destroy(): void;
};

/** The provider said nothing for ten minutes. */
class Silence extends Error {
  readonly code = 'provider-silent';
}

/** `now` in milliseconds on a monotonic clock. */
export function createUpstream(sockets: Sockets, now: () => number): Upstream {
  const agents = new Map<string, Agent>();
  const open = new Set<{ heardAt: number; abort(error: Error): void }>();
  let looking: NodeJS.Timeout | undefined;

  const look = (): void => {
    for (const each of open) if (now() - each.heardAt > silenceMs) each.abort(new Silence('silent'));
    if (open.size > 0) return;
    clearInterval(looking);
    looking = undefined;
  };

  const agentFor = ({ provider, origin }: Target, certificates: Certificates): Agent => {
    const name = `${provider.name} ${origin}`;
    const known = agents.get(name);
    if (known) return known;
    const { ca, cert, key } = certificates;
    // HTTP/1.1 only: one socket is one exchange, so that destroying it ends exactly that.
    const connector = buildConnector({
      allowH2: false,
      timeout: connectMs,
      ...(ca ? { ca: ca.reveal() } : {}),
      ...(cert ? { cert: cert.reveal() } : {}),
      ...(key ? { key: key.reveal() } : {}),
    });
    const agent = new Agent({
      headersTimeout: 0, // silence is looked after here, by one clock for headers and body
      bodyTimeout: 0,
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
    dial: ({ target, certificates, headers, body, signal, started }) =>
      new Promise((resolve, reject) => {
        let controller: Dispatcher.DispatchController | undefined;
        let waiting: Buffer[] = [];
        let held = 0;
        let ended = false;
        let fault: Error | undefined;
        let sink: Sink | undefined;
        let told: (() => void) | undefined;

        const entry = {
          heardAt: now(),
          abort(error: Error) {
            controller?.abort(error);
            if (!controller) fail(error);
          },
        };
        const onAbort = (): void => entry.abort(new DOMException('the agent is gone', 'AbortError'));
        const over = (): void => {
          open.delete(entry);
          signal.removeEventListener('abort', onAbort);
        };
        const fail = (error: Error): void => {
          if (ended || fault) return;
          fault = error;
          over();
          reject(error); // of no effect once the headers are there
          told?.();
          sink?.error(error);
        };

        if (signal.aborted) return onAbort();
        signal.addEventListener('abort', onAbort);
        open.add(entry);
        looking ??= setInterval(look, lookMs).unref();

        const answer: Omit<Answer, 'status' | 'headers'> = {
          peek() {
            if (waiting.length > 1) waiting = [Buffer.concat(waiting)];
            return waiting[0] ?? Buffer.alloc(0);
          },
          ended: () => ended,
          more: () =>
            new Promise((more, failed) => {
              if (fault) return failed(fault);
              if (ended) return more();
              told = () => {
                told = undefined;
                if (fault) failed(fault);
                else more();
              };
              controller?.resume();
            }),
          flow(to) {
            sink = to;
            const taken = waiting;
            waiting = [];
            held = 0;
            let ready = true;
            for (const chunk of taken) ready = to.data(chunk);
            if (fault) to.error(fault);
            else if (ended) to.end();
            else if (ready) controller?.resume();
            else controller?.pause();
          },
          resume: () => controller?.resume(),
          destroy() {
            if (!ended) controller?.abort(new DOMException('not wanted any more', 'AbortError'));
          },
        };

        agentFor(target, certificates).dispatch(
          {
            origin: target.origin,
            path: target.path + target.query,
            method: target.route.method,
            headers,
            body: body as Buffer | null, // an async iterable is taken too, which its types do not say
            idempotent: false,
          },
          {
            onRequestStart(given) {
              controller = given;
              if (fault) given.abort(fault);
              else started();
            },
            onResponseStart(given, status, got) {
              if (status < 200) return; // 100 and 103 are not the answer
              controller = given;
              entry.heardAt = now();
              resolve({ status, headers: got, ...answer });
            },
            onResponseData(given, chunk) {
              entry.heardAt = now();
              if (sink) {
                if (!sink.data(chunk)) given.pause();
                return;
              }
              waiting.push(chunk);
              held += chunk.length;
              if (held > waitingBytes) given.pause();
              told?.();
            },
            onResponseEnd() {
              if (fault) return;
              ended = true;
              over();
              told?.();
              sink?.end();
            },
            onResponseError: (_given, error) => fail(error),
          },
        );
      }),
    retire: () => drop((agent) => agent.close()),
    destroy: () => drop((agent) => agent.destroy()),
  };
}
