/** Sends one absolute-form request over the exchange's socket and its answer back. Called by proxy.ts once the exchange is open. */
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { hostText } from '../verdict/host.ts';
import { refuse } from '../verdict/verdict.ts';
import { type Denial, deny } from './denial.ts';
import type { Exchange } from './exchange.ts';
import { hasContent, requestHeaders, responseHeaders } from './headers.ts';

/** A denial when nothing of an answer came; else undefined, and the client has what there was. */
export function forward(
  req: IncomingMessage,
  res: ServerResponse,
  exchange: Exchange,
  path: string,
): Promise<Denial | undefined> {
  const { host, port, socket } = exchange;
  return new Promise((resolve) => {
    const upstream = request({
      createConnection: () => socket, // connected and judged; one request each, so nothing is shared or reused
      method: req.method,
      path,
      headers: requestHeaders(req, port === 80 ? hostText(host) : `${hostText(host)}:${port}`),
      setDefaultHeaders: false,
    });

    upstream.once('response', (answer) => {
      exchange.answered(answer.statusCode ?? 0);
      answer.on('error', () => {}); // its close says the same
      res.sendDate = false; // the origin's, or none
      try {
        res.writeHead(answer.statusCode ?? 502, answer.statusMessage ?? '', responseHeaders(answer));
      } catch {
        exchange.cut('answer-broken');
        resolve(broken(exchange, 'a status line or header that cannot be passed on'));
        return;
      }
      answer.once('close', () => {
        if (!answer.complete) exchange.cut('answer-cut');
      });
      // A body that breaks off destroys the client's connection: a clean end would look like a whole answer.
      pipeline(answer, res, () => resolve(undefined));
    });
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      exchange.cut(error.code ?? 'answer-broken');
      resolve(res.headersSent ? undefined : broken(exchange, error.code ?? 'no answer'));
    });
    res.once('close', () => {
      if (!res.writableFinished) exchange.cut('agent-gone');
      resolve(undefined);
    });

    if (hasContent(req)) req.pipe(upstream);
    else upstream.end();
  });
}

const broken = ({ host, port }: Exchange, what: string): Denial =>
  deny(
    'answer-broken',
    refuse(
      `${hostText(host)}:${port} gave no HTTP answer (${/^[\w -]{1,60}$/.test(what) ? what : 'fault'})`,
      'The rule allows it; the far end is at fault.',
    ),
  );
