/** The llm door of one agent: a raw node:http handler. Order: lease, path, body and scan, plan, key, limits, record, lease, dial, answer, bill, outcome. Made by appliance/processes/llm.ts, one for each agent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Armed } from '../armed.ts';
import type { Blobs } from '../ledger/blobs.ts';
import { createQuota } from '../ledger/quota.ts';
import type { Secret } from '../secret.ts';
import { createSockets } from '../sockets.ts';
import type { Reading } from './answer/reader.ts';
import { type Held, type Taken, takeIn } from './asked/intake.ts';
import type { UrlJudge } from './asked/scan.ts';
import { codeOf, type Denial, fault, leaseDenial, notRecorded } from './denial.ts';
import { beginExchange, type Exchange, sendDenial } from './exchange.ts';
import { type Forwarded, forward } from './forward.ts';
import { createKeyring } from './keys/keyring.ts';
import { unsaid } from './keys/presented.ts';
import type { Provider } from './kinds/kind.ts';
import { type Place, place } from './kinds/paths.ts';
import type { Metrics } from './metrics.ts';
import type { Notices } from './notices.ts';
import { cutBody, headersOf, type Ledger, type Line, outcomeLines, requestLines } from './record.ts';
import { createBreakers } from './route/breaker.ts';
import type { Nodes } from './route/node.ts';
import { isBilled, makesText, type Offer, offersOf } from './route/offers.ts';
import { type AgentModels, plan } from './route/plan.ts';
import { createUpstream } from './route/upstream.ts';
import { estimate } from './spend/estimate.ts';
import type { Limits } from './spend/limits.ts';
import { billOf } from './spend/price.ts';
import type { Reservation, Spend } from './spend/spend.ts';
import type { Spool, Spools } from './spool.ts';

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
/** Nobody waits for an outcome: it shares the next request's fdatasync. One that a crash takes is billed at its reservation. */
const outcomeMs = 50;

export function createLlm(parts: LlmParts): Llm {
  const { agent, armed, ledger, blobs, spools, spend, nodes, metrics, log, now } = parts;
  const sockets = createSockets();
  const upstream = createUpstream(sockets, now);
  const breakers = createBreakers(now);
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

  const refuse = (own: Exchange, given: Denial, asked?: Line): void => {
    const denial = unsaid(given, own.headers);
    sendDenial(own, denial);
    metrics.refusal(agent, denial.rule);
    const unlisted = refusals.take();
    if (unlisted === null) return;
    const { id, method, path } = own;
    const { rule, reason, status } = denial;
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
    ledger
      .group((segment) => requestLines(blobs, segment, line, undefined, spend.stored), outcomeMs)
      .catch(unrecorded('a refusal', id));
  };

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
    try {
      if (taken === undefined) return; // the agent went away while sending
      if ('allow' in taken) return refuse(own, taken);
      await judged(own, at, taken, hasUrls);
    } finally {
      release();
    }
  }

  /** The body is in and means only what was read. Who may answer, at what price, within which limits? */
  async function judged(own: Exchange, at: Place, taken: Taken, hasUrls: boolean): Promise<void> {
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
      onUnpriced: (provider, model) => parts.notices.tell({ kind: 'unpriced', agent, provider, model }),
    });
    if ('allow' in offered) return refuse(own, offered, said);

    const body = scanned ? cutBody(spool, scanned, at.asked) : undefined;
    const turn = parts.turn();
    const full = spend.admit({ turn, digest: body?.digest ?? at.asked });
    if (full) return refuse(own, full, said);
    const sizes = { bodyBytes: spool.bytes, textBytes: spool.bytes - (scanned?.attachedBytes ?? 0) };
    const guess = ({ price, target, contextTokens }: Offer) =>
      estimate({
        ...sizes,
        maxOutputTokens: makesText(target.route.format) ? (scanned?.maxOutputTokens ?? null) : 0,
        contextTokens,
        ceilingTokens: price && 'ceilingTokens' in price ? price.ceilingTokens : undefined,
      });
    let { offers } = offered;
    let reservation: Reservation | undefined;
    if (isBilled(at.route.format)) {
      const bids = offers.map((offer) => ({
        provider: offer.provider.name,
        model: offer.model ?? '',
        price: offer.price ?? { free: true as const, source: 'not billed' },
        estimate: guess(offer),
      }));
      const reserved = spend.reserve(own.id, bids);
      if ('allow' in reserved) return refuse(own, reserved, said);
      offers = offers.filter((_, nth) => reserved.affordable[nth]);
      reservation = reserved.reservation;
    }

    const skipped = [...planned.skipped, ...offered.passed].map((each) => ({ ...each, ms: 0 }));
    try {
      await ledger.group((segment) =>
        requestLines(
          blobs,
          segment,
          requestLine(own, at, said, offers, turn, spool, reservation),
          body,
          spend.stored,
        ),
      );
    } catch (error) {
      unrecorded('a request', own.id)(error);
      if (reservation) spend.settle(reservation, { usdNano: 0, tokens: 0, sent: false });
      return sendDenial(own, notRecorded);
    }

    const addUsage =
      at.route.format === 'openai-chat' && scanned !== null && own.streams && !scanned.asksUsage;
    const contextTokens = estimate({ ...sizes, maxOutputTokens: 0 }).in;
    let failure: unknown;
    const forwarded = await forward(
      { armed, upstream, tag: agent, travelling: { agent, nodes, breakers, now } },
      { own, taken, offers, addUsage, contextTokens },
    ).catch((error: unknown): Forwarded => {
      // A fault of ours: what the provider did is not known, so it costs what was reserved.
      failure = error;
      return {
        status: fault.status,
        hops: [],
        bytesOut: spool.bytes,
        bytesIn: 0,
        reached: true,
        error: fault.rule,
      };
    });
    forwarded.hops.unshift(...skipped);
    settle(own, at, forwarded, reservation);
    if (failure !== undefined) throw failure;
  }

  const requestLine = (
    own: Exchange,
    at: Place,
    said: Line,
    offers: readonly Offer[],
    turn: string | null,
    spool: Spool,
    reservation: Reservation | undefined,
  ): Line => ({
    kind: 'request',
    id: own.id,
    agent,
    door: 'llm',
    ...(turn === null ? {} : { turn: { id: turn, how: 'inferred' } }),
    ...said,
    provider: offers[0]?.provider.name,
    model: offers[0]?.model,
    method: own.method,
    path: at.route.path,
    bytes: spool.bytes,
    headers: headersOf(own),
    ...(reservation
      ? {
          reserved: {
            usdNano: reservation.usdNano,
            tokens: reservation.tokens,
            ...reservation.window,
          },
        }
      : {}),
  });

  /** What it cost, and the line that says what came of it. */
  function settle(
    own: Exchange,
    at: Place,
    forwarded: Forwarded,
    reservation: Reservation | undefined,
  ): void {
    const { offer, headers, hops, reading, reached, ...came } = forwarded;
    const good = came.status >= 200 && came.status < 300;
    const tokens = good ? reading?.tokens : undefined;
    const usdNano = good && offer ? costFrom(offer, headers, reading) : undefined;
    const paid =
      reservation &&
      spend.settle(reservation, {
        usdNano: usdNano ?? null,
        tokens: tokens ? (tokens.in ?? 0) + (tokens.out ?? 0) : null,
        // An error status is not billed; what was cut off before its usage is.
        sent: good || reached,
        free: offer?.price?.free ?? false,
      });
    const ms = own.sinceMs();
    if (offer && (came.status === 401 || came.status === 403)) {
      parts.notices.tell({
        kind: 'key-refused',
        agent,
        provider: offer.provider.name,
        model: offer.model,
        status: came.status,
      });
    }
    metrics.exchange({
      agent,
      operation: at.route.format,
      provider: offer?.provider.name ?? 'none',
      model: offer?.model ?? null,
      status: came.status,
      stream: own.streams,
      ...(came.firstByteMs === undefined ? {} : { firstByteMs: came.firstByteMs }),
      totalMs: ms,
      ...(tokens ? { tokens } : {}),
      usdNano: paid?.usdNano ?? 0,
    });
    const error = came.error ?? (reading?.error === undefined ? undefined : `answered-${reading.error}`);
    const line: Line = {
      kind: 'outcome',
      id: own.id,
      agent,
      ...(offer ? { provider: offer.provider.name, model: offer.model } : {}),
      hops,
      ...came,
      ms,
      ...(tokens ? { tokens } : {}),
      ...(paid ? { cost: paid, costUsd: paid.usdNano / 1e9 } : {}),
      ...(reading?.tokensUntilCut ? { tokensUntilCut: reading.tokensUntilCut } : {}),
      ...(reading?.stop === undefined ? {} : { stop: reading.stop }),
      ...(reading?.truncated ? { truncated: true } : {}),
      ...(error === undefined ? {} : { error }),
    };
    ledger
      .group((segment) => outcomeLines(blobs, segment, line, reading?.message, spend.stored), outcomeMs)
      .catch(unrecorded('an outcome', own.id));
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

/** Nano-USD, or undefined where nobody can know. The upstream's own figure is asked for where the owner named its header, or it counts by itself. */
function costFrom(
  { price }: Offer,
  headers: Forwarded['headers'],
  reading: Reading | undefined,
): number | undefined {
  if (!price) return 0;
  const header = 'header' in price && price.header !== undefined ? headers?.[price.header] : undefined;
  const costUsd = typeof header === 'string' ? header : reading?.costUsd;
  return billOf(price, { tokens: reading?.tokens, costUsd });
}
