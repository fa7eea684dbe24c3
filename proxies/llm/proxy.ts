/** The llm door of one agent: a raw node:http handler. Order: lease, path, body and scan, plan, key, limits, record, lease, dial, answer, bill, outcome. Made by appliance/processes/llm.ts, one for each agent. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Armed } from '../armed.ts';
import type { Blobs } from '../ledger/blobs.ts';
import { createQuota } from '../ledger/quota.ts';
import type { Secret } from '../secret.ts';
import { createSockets } from '../sockets.ts';
import { createCaptures } from './answer/capture.ts';
import type { Reading } from './answer/reader.ts';
import { type Held, type Taken, takeIn } from './asked/intake.ts';
import type { UrlJudge } from './asked/scan.ts';
import { codeOf, type Denial, fault, leaseDenial, notRecorded } from './denial.ts';
import { beginExchange, type Exchange, sendDenial } from './exchange.ts';
import { type Forwarded, forward } from './forward.ts';
import { cutBody } from './frame.ts';
import { createKeyring } from './keys/keyring.ts';
import { unsaid, unsaidText } from './keys/presented.ts';
import type { Provider } from './kinds/kind.ts';
import { type Place, place } from './kinds/paths.ts';
import type { Lanes } from './lane.ts';
import type { Metrics } from './metrics.ts';
import type { Notices } from './notices.ts';
import { createRecorder, headersOf, type Ledger, type Line } from './record.ts';
import { createBreakers } from './route/breaker.ts';
import type { Nodes } from './route/node.ts';
import { isBilled, makesText, type Offer, offersOf } from './route/offers.ts';
import { type AgentModels, plan } from './route/plan.ts';
import type { Hop } from './route/travel.ts';
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
/** Nobody waits for an outcome: it shares the next request's fdatasync. One that a crash takes is billed at its reservation. */
const outcomeMs = 50;
/** But for a message like this: others wait until it is out of memory. */
const largeChars = 64 * 1024;
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
    const admit = (written?: () => void) => admitted(own, at, taken, said, offered.offers, skipped, written);
    const going = await (spool.bytes > largeBytes ? parts.lanes.asked(admit) : admit());
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

  /** Its limits have room, and it is on record: its body is in memory until then. Undefined where it was refused. Adds to `skipped` what is too dear. */
  async function admitted(
    own: Exchange,
    at: Place,
    { spool, scanned }: Taken,
    said: Line,
    offered: readonly Offer[],
    skipped: Hop[],
    written?: () => void,
  ): Promise<{ offers: Offer[]; reservation: Reservation | undefined } | undefined> {
    const body = scanned ? cutBody(spool, scanned.parts, at.asked) : undefined;
    const turn = parts.turn();
    const full = spend.admit({ turn, digest: body?.digest ?? at.asked });
    if (full) return refuse(own, full, said);
    const sizes = sizesOf(spool, scanned);
    const guess = ({ price, target, contextTokens }: Offer) =>
      estimate({
        ...sizes,
        maxOutputTokens: makesText(target.route.format) ? (scanned?.maxOutputTokens ?? null) : 0,
        contextTokens,
        ceilingTokens: price && 'ceilingTokens' in price ? price.ceilingTokens : undefined,
      });
    let offers = [...offered];
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
      for (const [nth, { provider, model }] of offers.entries())
        if (!reserved.affordable[nth]) skipped.push({ provider: provider.name, model, why: 'budget', ms: 0 });
      offers = offers.filter((_, nth) => reserved.affordable[nth]);
      reservation = reserved.reservation;
    }

    try {
      await ledger.group((segment) => {
        written?.(); // the next one is written after it
        return recorder.request(segment, requestLine(own, at, said, offers, turn, spool, reservation), body);
      });
    } catch (error) {
      unrecorded('a request', own.id)(error);
      if (reservation) spend.settle(reservation, { usdNano: 0, tokens: 0, sent: false });
      sendDenial(own, notRecorded);
      return undefined;
    }

    return { offers, reservation };
  }

  const requestLine = (
    own: Exchange,
    at: Place,
    said: Line,
    offers: readonly Offer[],
    turn: string | null,
    spool: Spool,
    reservation: Reservation | undefined,
  ): Line & { id: string } => ({
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
    forwarded: Forwarded & { ms: number },
    reservation: Reservation | undefined,
    reading?: Reading,
  ): Promise<unknown> {
    const { offer, headers, hops, capture: _, unheard, ...came } = forwarded;
    const good = came.status >= 200 && came.status < 300;
    const tokens = good ? reading?.tokens : undefined;
    const usdNano = good && offer ? costFrom(offer, headers, reading) : undefined;
    const counted = tokens && (tokens.in ?? 0) + (tokens.out ?? 0);
    const free = offer?.price?.free ?? false;
    // An error status is not billed; each attempt that was never heard of is, at what was reserved.
    const paid =
      reservation &&
      spend.settle(reservation, {
        usdNano: withLost(good ? (free ? 0 : usdNano) : 0, reservation.usdNano, unheard),
        tokens: withLost(good ? (free ? 0 : counted) : 0, reservation.tokens, unheard),
        sent: good || unheard > 0,
        free: free && unheard === 0,
      });
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
      totalMs: came.ms,
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
      ...(tokens ? { tokens } : {}),
      ...(paid ? { cost: paid, costUsd: paid.usdNano / 1e9 } : {}),
      ...(reading?.tokensUntilCut ? { tokensUntilCut: reading.tokensUntilCut } : {}),
      ...(reading?.stop === undefined ? {} : { stop: reading.stop }),
      ...(reading?.truncated ? { truncated: true } : {}),
      ...(error === undefined ? {} : { error }),
    };
    const message = reading?.message;
    return ledger
      .group(
        (segment) => recorder.outcome(segment, line, message),
        message !== undefined && message.length > largeChars ? 0 : outcomeMs,
      )
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

const sizesOf = (spool: Spool, scanned: Taken['scanned']): { bodyBytes: number; textBytes: number } => ({
  bodyBytes: spool.bytes,
  textBytes: spool.bytes - (scanned?.attachedBytes ?? 0),
});

/** What was scanned is JSON in UTF-8: another charset would be another text. A form keeps the boundary that it was read by. */
const contentTypeFor = (shape: 'json' | 'multipart', own: Exchange): string =>
  shape === 'json' ? 'application/json' : String(own.headers['content-type']);

/** The answer's own, and one reservation for each attempt that was lost. Null where nobody knows. */
const withLost = (own: number | undefined, reserved: number, unheard: number): number | null =>
  unheard === 0 ? (own ?? null) : (own ?? reserved) + unheard * reserved;

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
