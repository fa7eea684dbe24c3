/** What every request to the chat must carry and every answer says. routes.ts puts it before everything else. */
import type { MiddlewareHandler } from 'hono';
import { Problem } from '../problem.ts';

export type Site = { chatPort: number; controller: string };

/** Browsers leave the default port out of Host and Origin (RFC 9110 section 4.2.1). */
const hostOf = ({ chatPort }: Site): string => (chatPort === 80 ? 'localhost' : `localhost:${chatPort}`);

/**
 * The Host allow-list ends DNS rebinding; Origin and Sec-Fetch-Site end forged forms. `127.0.0.1` is refused too: the
 * controller lives there, and a cookie would not tell the two ports apart.
 */
export const guardRequest = (site: () => Site): MiddlewareHandler =>
  async function guard(c, next) {
    const host = hostOf(site());
    if (c.req.header('host') !== host) {
      throw new Problem('other-host', 421, 'the chat is not at this address', `Open http://${host}/`);
    }
    if (c.req.method !== 'GET' && c.req.method !== 'HEAD') {
      const from = c.req.header('sec-fetch-site') ?? 'same-origin'; // absent in curl; Origin is not optional
      if (c.req.header('origin') !== `http://${host}` || from !== 'same-origin') {
        throw new Problem(
          'other-origin',
          403,
          'this form was sent from another site',
          `Send it from http://${host}/ itself.`,
        );
      }
    }
    await next();
  };

/** `same-origin` and not `no-referrer`: under that one a browser sends `Origin: null` with our own forms (Fetch, "append a request Origin header"). */
export const answerHeaders = (site: () => Site): MiddlewareHandler =>
  async function headers(c, next) {
    await next();
    const policy = [
      "default-src 'none'",
      "style-src 'self'",
      "img-src 'self'", // the icon; no page of ours holds an image
      `form-action 'self' ${site().controller}`,
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ];
    c.res.headers.set('content-security-policy', policy.join('; '));
    c.res.headers.set('x-content-type-options', 'nosniff');
    c.res.headers.set('referrer-policy', 'same-origin');
    c.res.headers.set('cross-origin-opener-policy', 'same-origin');
    c.res.headers.set('cross-origin-resource-policy', 'same-origin');
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store');
  };
