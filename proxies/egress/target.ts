/** What a request to a proxy asks for, read from its first line and nothing else: RFC 9112 sections 3.2.2 and 3.2.3. Called by proxy.ts. */
import type { Denial } from './denial.ts';
import { badRequest } from './denial.ts';

/** `host` as it was spelled: exchange.ts makes it canonical. `path` with its query, as the origin is asked for it. */
export type Target = { host: string; port: number; path: string };

const howTo = 'This is an HTTP proxy: ask it by CONNECT host:port, or GET http://host/path.';

/** `host:port`. A CONNECT names its port; an absolute URL may leave it out. */
function authority(text: string, defaultPort?: number): { host: string; port: number } | undefined {
  const [, host, digits] = /^(\[[^\]]*\]|[^:[\]]+)(?::([1-9][0-9]{0,4}))?$/s.exec(text) ?? [];
  const port = digits === undefined ? defaultPort : Number(digits);
  return host === undefined || port === undefined || port > 65_535 ? undefined : { host, port };
}

export function connectTarget(url: string): Target | Denial {
  const found = authority(url);
  return found ? { ...found, path: '' } : badRequest('CONNECT is asked with host:port', howTo);
}

/** Not read by `new URL`, which would repair what is to be judged. */
export function absoluteTarget(url: string): Target | Denial {
  const [, scheme, place, path] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^#]*)$/is.exec(url) ?? [];
  if (scheme === undefined || place === undefined)
    return badRequest('the request names no host to a proxy', howTo);
  if (scheme.toLowerCase() !== 'http') {
    return badRequest(`a proxy is asked for ${scheme.toLowerCase()} by CONNECT`, howTo);
  }
  if (place.includes('@'))
    return badRequest('credentials stand in the URL', 'Send them in an Authorization header.');
  const found = authority(place, 80); // RFC 9110 section 4.2.1
  if (!found) return badRequest('the URL has no readable host and port', howTo);
  return {
    ...found,
    path: path === undefined || path === '' ? '/' : path.startsWith('?') ? `/${path}` : path,
  };
}
