/** The llm door of one agent: a raw node:http handler. Order: lease, path, body and scan, plan, key, limits, record, lease, dial, answer, bill, outcome. Made by appliance/processes/llm.ts, one for each agent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Armed } from '../armed.ts';
import type { Blobs } from '../ledger/blobs.ts';
import { createQuota } from '../ledger/quota.ts';
import type { Secret } from '../secret.ts';
import { createSockets } from '../sockets.ts';
import { createAdmission, sizesOf } from './admission.ts';
import { createCaptures } from './answer/capture.ts';
import { type Held, type Taken, takeIn } from './asked/intake.ts';
import type { UrlJudge } from './asked/scan.ts';
import { codeOf, type Denial, fault, leaseDenial } from './denial.ts';
import { beginExchange, type Exchange, sendDenial } from './exchange.ts';
import { type Forwarded, forward } from './forward.ts';
import { createKeyring } from './keys/keyring.ts';
import { unsaid, unsaidText } from './keys/presented.ts';
import type { Provider } from './kinds/kind.ts';
import { type Place, place } from './kinds/paths.ts';
import type { Lanes } from './lane.ts';
import type { Metrics } from './metrics.ts';
import type { Notices } from './notices.ts';
import { createRecorder, type Ledger, type Line } from './record.ts';
import { createBreakers } from './route/breaker.ts';
import type { Nodes } from './route/node.ts';
import { offersOf } from './route/offers.ts';
import { type AgentModels, plan } from './route/plan.ts';
import type { Hop } from './route/travel.ts';
import { createUpstream } from './route/upstream.ts';
import { createSettlement, outcomeMs } from './settlement.ts';
import { estimate } from './spend/estimate.ts';
import type { Limits } from './spend/limits.ts';
import type { Spend } from './spend/spend.ts';
import type { Spools } from './spool.ts';

export type LlmSettings = {
  providers: readonly Provider[];
  /** Chains by the name that stands for them. */
  aliases: Readonly<Record<string, string[]>>;
  models: AgentModels;
  limits: Limits;
  /** False after a kill, and in ordinary-user mode without the owner's explicit yes. */
  keysHeld: boolean;
};

export type LlmParts = LlmSettings & {
  agent: string;
  secret: (name: string) => Secret | undefined;
  login: (provider: Provider) => Promise<Secret | Denial>;
  armed: Armed;
  ledger: Ledger;
  blobs: Blobs;
  spools: Spools;
  /** Shared by all agents, because the memory is. */
  lanes: Lanes;
  spend: Spend;
  /** The providers as machines: shared by all agents, because their slots are. */
  nodes: Nodes;
  metrics: Metrics;
  /** The agent's egress policy on one URL, for providers that may fetch. */
  judgeUrl: UrlJudge;
  /** The gateway's open turn for this agent. */
  turn(): string | null;
  notices: Notices;
  log: { error(text: string, fields?: Record<string, unknown>): void };
  /** Milliseconds, monotonic. */
  now(): number;
  /** How long an agent may read nothing while others wait for the machine; 30 s unless a test says otherwise. */
  stallMs?: number;
};

export type Llm = {
  handler(req: IncomingMessage, res: ServerResponse): void;
  /** For the server's 'connection' event: the socket ends with the lease. */
  connection(socket: Socket): void;
  reconfigure(settings: LlmSettings): void;
  /** State of the breaker towards each provider, for pages and metrics. */
  breakers(): Record<string, string>;
  close(): void;
};

/** More than a person reads; the rest are counted on the next line. As at the egress door. */
const refusalsPerMinute = 600;
/** A request's body that is cut and put on record one at a time. */
const largeBytes = 1024 * 1024;

export function createLlm(parts: LlmParts): Llm {
  const { agent, armed, ledger, spools, spend, nodes, metrics, log, now } = parts;
  const recorder = createRecorder(parts.blobs, spend.stored);
  const sockets = createSockets();
  const upstream = createUpstream(sockets, now);
  let breakers = createBreakers(now);
  const captures = createCaptures(parts.spools, parts.lanes.answered);
  const held: Held = { bytes: 0 };
  const refusals = createQuota(refusalsPerMinute, now);
  let settings: LlmSettings = parts;
  let keyring = createKeyring({ ...parts, ...settings });

  const endAll = (): void => {
    sockets.destroyAll();
    upstream.destroy();
  };
  const unsubscribe = armed.onLost(endAll);

  const unrecorded = (what: string, id: string) => (error: unknown) =>
    log.error(`${what} could not be recorded`, { id, code: codeOf(error) });

  const refuse = (own: Exchange, given: Denial, asked?: Line): undefined => {
    const denial = unsaid(given, own.headers);
    sendDenial(own, denial);
    metrics.refusal(agent, denial.rule);
    const unlisted = refusals.take();
    if (unlisted === null) return;
    const { id, method } = own;
    const { rule, reason, status } = denial;
    const path = unsaidText(own.path, own.headers);
    const line: Line = {
      kind: 'refusal',
      id,
      agent,
      door: 'llm',
      method,
      path,
      ...asked,
      rule,
      reason,
      status,
    };
    if (unlisted > 0) line.unlisted = unlisted;
    ledger.group(() => recorder.refusal(line), outcomeMs).catch(unrecorded('a refusal', id));
  };

  const admit = createAdmission({ ...parts, recorder, refuse, unrecorded });
  const settle = createSettlement({ ...parts, recorder, unrecorded });

  async function exchange(req: IncomingMessage, own: Exchange): Promise<void> {
    const shut = leaseDenial(armed);
    if (shut) return sendDenial(own, shut); // not on record: a kill waits for no disk
    const at = place(own.method, req.url ?? '', settings.providers);
    if ('allow' in at) return refuse(own, at);
    own.speaks = at.route.speaks;

    let hasUrls = false;
    const judgeUrl: UrlJudge = (url) => {
      hasUrls = true;
      return parts.judgeUrl(url);
    };
    const { taken, release } = await takeIn(req, {
      place: at,
      spools,
      held,
      maxBytes: settings.limits.bodyMb * 1024 * 1024,
      judgeUrl: settings.providers.some(({ urls }) => urls) ? judgeUrl : undefined,
    });
    let after: (() => Promise<void>) | undefined;
    try {
      if (taken === undefined) return; // the agent went away while sending
      if ('allow' in taken) return refuse(own, taken);
      after = await judged(own, at, taken, hasUrls);
    } finally {
      release();
    }
    await after?.();
  }

  /** The body is in and means only what was read. Who may answer, at what price, within which limits? Gives what is to be done when the body is gone. */
  async function judged(
    own: Exchange,
    at: Place,
    taken: Taken,
    hasUrls: boolean,
  ): Promise<(() => Promise<void>) | undefined> {
    const { spool, scanned } = taken;
    own.streams = at.stream ?? scanned?.stream ?? false;
    const asked = at.model ?? scanned?.model ?? null;
    const said: Line = asked === null ? {} : { asked: asked.slice(0, 200) };
    const planned = plan(at, asked, settings.models, settings.aliases, settings.providers);
    if ('allow' in planned) return refuse(own, planned, said);
    const offered = await offersOf(planned.candidates, {
      keyring,
      headers: own.headers,
      contentType: scanned === null ? null : contentTypeFor(scanned.shape, own),
      hasUrls,
      onUnpriced: (provider, model) =>
        parts.notices.tell({
          kind: 'unpriced',
          agent,
          provider,
          model,
          ...(planned.alias === null ? {} : { asked: planned.alias }),
        }),
    });
    if ('allow' in offered) return refuse(own, offered, said);

    const skipped: Hop[] = [...planned.skipped, ...offered.passed].map((each) => ({ ...each, ms: 0 }));
    const asking = { own, at, taken, said, offers: offered.offers, skipped };
    const going = await (spool.bytes > largeBytes
      ? parts.lanes.asked((written) => admit({ ...asking, written }))
      : admit(asking));
    if (!going) return undefined;
    const { offers, reservation } = going;

    const addUsage =
      at.route.format === 'openai-chat' && scanned !== null && own.streams && !scanned.asksUsage;
    const contextTokens = estimate({ ...sizesOf(spool, scanned), maxOutputTokens: 0 }).in;
    let failure: unknown;
    const forwarded = await forward(
      {
        armed,
        upstream,
        captures,
        tag: agent,
        stallMs: parts.stallMs,
        travelling: { agent, nodes, breakers, now, skipped },
      },
      { own, taken, offers, addUsage, contextTokens },
    ).catch((error: unknown): Forwarded => {
      // A fault of ours: what the provider did is not known, so it costs what was reserved.
      failure = error;
      return {
        status: fault.status,
        hops: [],
        bytesOut: spool.bytes,
        bytesIn: 0,
        unheard: 1,
        error: fault.rule,
      };
    });
    forwarded.hops.unshift(...skipped);
    const came = { ...forwarded, ms: own.sinceMs() };
    const { capture } = forwarded;
    return async () => {
      if (capture) await capture.read((reading) => settle(own, at, came, reservation, reading));
      else void settle(own, at, came, reservation);
      if (failure !== undefined) throw failure;
    };
  }

  return {
    handler(req, res) {
      const own = beginExchange(req, res);
      exchange(req, own).catch((error: unknown) => {
        log.error('a fault in an exchange', {
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
      keyring = createKeyring({ ...parts, ...next });
      spend.relimit(next.limits);
      breakers = createBreakers(now); // what failed before may have been what was just mended
      upstream.retire();
    },
    breakers: () => breakers.states(),
    close() {
      unsubscribe();
      endAll();
    },
  };
}

/** What was scanned is JSON in UTF-8: another charset would be another text. A form keeps the boundary that it was read by. */
const contentTypeFor = (shape: 'json' | 'multipart', own: Exchange): string =>
  shape === 'json' ? 'application/json' : String(own.headers['content-type']);
