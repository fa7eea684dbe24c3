/** What every request must carry and every answer says: Host, Origin, Sec-Fetch-Site in; CSP and its company out. app.ts puts both before all routes. */
import type { Context, MiddlewareHandler } from 'hono';

export type Origins = {
  /** `http://127.0.0.1:8080`: the only address under which this answers. */
  controller: string;
  /** `http://localhost:18789`: the only other place that a form or a redirect may lead to. */
  chat: string;
};

export const originsOf = (ports: { controller: number; chat: number }): Origins => ({
  controller: new URL(`http://127.0.0.1:${ports.controller}`).origin,
  chat: new URL(`http://localhost:${ports.chat}`).origin,
});

/** `formsTo`: browsers check the redirects that follow a form as well (CSP3 form-action), so the login form names the chat. */
export const contentPolicy = (formsTo = ''): string =>
  [
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self'",
    `form-action 'self'${formsTo && ` ${formsTo}`}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

const answerHeaders = {
  'content-security-policy': contentPolicy(),
  'x-content-type-options': 'nosniff',
  // Not `no-referrer`: with it browsers send `Origin: null` with our own forms (Fetch, "append a request Origin header"), and
  // the check below could not be exact. `same-origin` tells other sites just as little: nothing.
  'referrer-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** On every answer, refusals and faults included. A route that said another policy or caching keeps it. */
export const strictAnswers: MiddlewareHandler = async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(answerHeaders)) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  }
};

export type Refuse = (
  c: Context,
  refusal: { status: 403 | 421; text: string },
) => Response | Promise<Response>;

const safe = new Set(['GET', 'HEAD']);

/**
 * Exactly one Host is ours, so a name that was rebound to 127.0.0.1 gets nothing. An unsafe request must come from our
 * own page: Origin must be ours, and Sec-Fetch-Site, where the browser sends it, must say the same.
 */
export function ownRequestsOnly(origins: Origins, refuse: Refuse): MiddlewareHandler {
  const { host } = new URL(origins.controller);
  return async function ownRequestsOnly(c, next) {
    if (c.req.header('host') !== host || new URL(c.req.url).host !== host) {
      return refuse(c, { status: 421, text: 'This page is not served under the address that you used.' });
    }
    const site = c.req.header('sec-fetch-site') ?? 'same-origin';
    const ours = c.req.header('origin') === origins.controller && site === 'same-origin';
    if (!safe.has(c.req.method) && !ours) {
      return refuse(c, {
        status: 403,
        text: 'That did not come from a page of the controller, so nothing was done.',
      });
    }
    return next();
  };
}
