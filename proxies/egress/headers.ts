/** The headers that a proxy passes on, in both directions: hop-by-hop ones stay here (RFC 9110 section 7.6.1). Called by forward.ts. */
import type { IncomingMessage } from 'node:http';

const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Name, value, name, value: order, spelling and repetition as they came. */
function passing({ rawHeaders, headers }: IncomingMessage, stay: readonly string[]): string[] {
  const named = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase());
  const hop = new Set([...hopByHop, ...named, ...stay]);
  return rawHeaders.flatMap((name, at) =>
    at % 2 === 0 && !hop.has(name.toLowerCase()) ? [name, rawHeaders[at + 1] ?? ''] : [],
  );
}

/** Methods whose request is expected to have a content, so that none must be said (RFC 9110 section 8.6). */
const withContent = ['POST', 'PUT', 'PATCH'];

/**
 * Host is the one that was judged, whatever the client wrote. The framing is said anew from what the parser understood: a client
 * that names content-length in Connection would otherwise make its body a second request.
 */
export function requestHeaders(req: IncomingMessage, host: string): string[] {
  const { headers, method = '' } = req;
  const length = headers['content-length'] ?? (withContent.includes(method) ? '0' : undefined);
  const framing =
    headers['transfer-encoding'] !== undefined
      ? ['Transfer-Encoding', 'chunked']
      : length === undefined
        ? []
        : ['Content-Length', length];
  return [
    ...['Host', host],
    ...passing(req, ['host', 'content-length', 'expect', 'http2-settings']),
    ...framing,
    ...['Connection', 'close'],
  ];
}

/** Framing towards the client is node's: content-length passes, chunks are made anew. */
export const responseHeaders = (res: IncomingMessage): string[] => {
  const length = res.headers['content-length'];
  return [...passing(res, ['content-length']), ...(length === undefined ? [] : ['Content-Length', length])];
};

/** Does a content follow? Else a body on GET would have no framing of ours. */
export const hasContent = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
