/** One request and its answer, from the first header to the outcome on record. proxy.ts begins one for each request. */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Denial } from './denial.ts';
import type { KindName } from './kinds/kind.ts';
import { formatOf, kinds } from './kinds/paths.ts';

export type Exchange = {
  id: string;
  method: string;
  /** As asked, without the query, where clients put keys. */
  path: string;
  headers: IncomingHttpHeaders;
  res: ServerResponse;
  /** The format in which the agent understands a no. */
  speaks: KindName;
  /** Was an answer in pieces asked for? */
  streams: boolean;
  /** Aborts when the agent goes away before the answer's end. */
  gone: AbortSignal;
  sinceMs(): number;
};

export function beginExchange(req: IncomingMessage, res: ServerResponse): Exchange {
  const started = performance.now();
  const url = req.url ?? '';
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  const gone = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) gone.abort();
  });
  return {
    id: randomUUID(),
    method: req.method ?? '',
    path: path.slice(0, 200),
    headers: req.headers,
    res,
    speaks: formatOf(path, req.headers),
    streams: false,
    gone: gone.signal,
    sinceMs: () => Math.round((performance.now() - started) * 10) / 10,
  };
}

/** Of a body that was refused: so much is read and dropped, so that the refusal arrives; who sends more is cut off. */
const droppedBytes = 64 * 1024 * 1024;
const droppedMs = 30_000;

function boundRest(req: IncomingMessage): void {
  let dropped = 0;
  const late = setTimeout(() => req.destroy(), droppedMs).unref();
  req.on('data', (chunk: Buffer) => {
    dropped += chunk.length;
    if (dropped > droppedBytes) req.destroy();
  });
  req.once('close', () => clearTimeout(late));
}

/** Says no where it still can be said: to an agent that is there and has heard nothing yet. */
export function sendDenial({ res, speaks }: Exchange, denial: Denial): void {
  if (res.destroyed || res.headersSent) return;
  if (!res.req.complete) boundRest(res.req);
  const body = Buffer.from(JSON.stringify(kinds[speaks].errorBody(denial)));
  res.writeHead(denial.status, {
    'content-type': 'application/json',
    'content-length': body.length,
    'x-content-type-options': 'nosniff',
    // The official SDKs obey this header: a refusal is not to be asked for three times.
    ...(denial.retryAfterS === undefined
      ? { 'x-should-retry': 'false' }
      : { 'retry-after': String(denial.retryAfterS) }),
  });
  res.end(body);
}
