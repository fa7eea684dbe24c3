/** Who may see the pages: a logged-in operator. app.ts puts this before every route but setup, login and the style sheet. */
import type { Context, MiddlewareHandler } from 'hono';
import { getCookie } from 'hono/cookie';
import { html } from 'hono/html';
import { frame } from '../view/frame.ts';
import type { Html } from '../view/html.ts';
import type { Operator } from './operator.ts';
import { cookieName, type Session, type Sessions } from './session.ts';

export type Env = { Variables: { session: Session } };

/** A page that refreshes itself says so in its address: nobody is there, so the session does not live longer by it. */
export const byItself = 'auto';

export function sessionOf(c: Context, sessions: Sessions): Session | undefined {
  return sessions.find(getCookie(c, cookieName), 'controller', {
    touch: c.req.query(byItself) === undefined,
  });
}

export function membersOnly(parts: {
  sessions: Sessions;
  operator: Operator;
  stranger: (c: Context) => Response | Promise<Response>;
}): MiddlewareHandler<Env> {
  return async function membersOnly(c, next) {
    const session = sessionOf(c, parts.sessions);
    if (session) {
      c.set('session', session);
      return next();
    }
    if (c.req.method !== 'GET') return parts.stranger(c);
    if (arrivedFromElsewhere(c)) return c.html(again(c.req.path));
    return c.redirect(parts.operator.exists() ? '/login' : '/setup', 303);
  };
}

/** A link from the chat is cross-site, and the cookie is SameSite=Strict: the browser holds it back although the operator is logged in. */
const arrivedFromElsewhere = (c: Context): boolean =>
  getCookie(c, cookieName) === undefined && c.req.header('sec-fetch-site') === 'cross-site';

/** Asks once more from our own page, which is same-site. */
export const again = (href: string): Html =>
  frame({
    title: 'One moment',
    machine: '',
    refresh: { seconds: 0, href },
    width: 'narrow',
    body: html`<p><a href="${href}">Go on</a></p>`,
  });
