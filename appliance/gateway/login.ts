/** The chat's login: to the controller and back with a one-time code. The gateway keeps no session, it asks the controller about each. routes.ts mounts it. */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { Problem } from '../problem.ts';
import type { Neighbours } from './neighbours.ts';
import { arrived, loggedOutPage } from './pages/message.ts';

export type Operator = { Variables: { operator: string; session: string } };

export type LoginParts = {
  neighbours: Pick<Neighbours, 'redeem' | 'check' | 'end'>;
  controller: () => string;
  now?: () => number;
};

const sessionCookie = 'holdfast_chat';
const stateCookie = 'holdfast_chat_state';
const stateSeconds = 600; // long enough to type a password
const believedMs = 2_000; // a page and its style sheet ask once; an ended session is out two seconds later
const maxBelieved = 1_000;

/** Gives the operator's name while the controller says that the session lives. */
export type Check = (session: string) => Promise<string | undefined>;

export function createCheck({
  neighbours,
  now = Date.now,
}: LoginParts): Check & { forget(session: string): void } {
  const believed = new Map<string, { operator: string; until: number }>();
  const check = async (session: string): Promise<string | undefined> => {
    const known = believed.get(session);
    if (known && known.until > now()) return known.operator;
    believed.delete(session);
    const { ok, operator } = await neighbours.check(session);
    if (!ok) return undefined;
    if (believed.size >= maxBelieved) believed.clear();
    believed.set(session, { operator: operator ?? 'operator', until: now() + believedMs });
    return operator ?? 'operator';
  };
  return Object.assign(check, { forget: (session: string) => void believed.delete(session) });
}

/** A page without a session goes to the controller; a form without one says so and loses nothing that Back does not bring again. */
export const needsSession = (check: Check, controller: () => string): MiddlewareHandler<Operator> =>
  async function session(c, next) {
    const session = getCookie(c, sessionCookie) ?? '';
    const operator = session === '' || session.length > 512 ? undefined : await check(session);
    if (operator === undefined) return toLogin(c, controller());
    c.set('operator', operator);
    c.set('session', session);
    await next();
  };

function toLogin(c: Context, controller: string): Response {
  if (c.req.method !== 'GET') {
    throw new Problem(
      'no-session',
      401,
      'you are logged out',
      'Go back, copy what you typed, open the chat anew and log in.',
    );
  }
  const state = randomBytes(16).toString('base64url');
  // Lax: the way back comes from another site, and brings a Strict cookie never.
  setCookie(c, stateCookie, state, { path: '/login', httpOnly: true, sameSite: 'Lax', maxAge: stateSeconds });
  return c.redirect(`${controller}/chat-login?state=${state}`, 302);
}

export function loginRoutes(parts: LoginParts, check: ReturnType<typeof createCheck>): Hono<Operator> {
  const app = new Hono<Operator>();
  app.get('/login', async (c) => {
    const expected = getCookie(c, stateCookie) ?? '';
    deleteCookie(c, stateCookie, { path: '/login' });
    const { code = '', state = '' } = c.req.query();
    if (expected === '' || !same(expected, state) || !/^[\w-]{8,256}$/.test(code)) {
      throw new Problem(
        'login-lost',
        400,
        'this login is not the one that was begun here',
        'Open the chat anew.',
      );
    }
    const { session } = await parts.neighbours.redeem(code, state);
    // No Secure: Safari drops such a cookie on plain loopback (WebKit 281149).
    setCookie(c, sessionCookie, session, { path: '/', httpOnly: true, sameSite: 'Strict' });
    // A redirect would still be the other site's navigation, and a Strict cookie would stay behind.
    return c.html(arrived());
  });
  app.get('/logged-out', (c) => c.html(loggedOutPage(parts.controller())));
  app.post('/logout', needsSession(check, parts.controller), async (c) => {
    check.forget(c.get('session'));
    await parts.neighbours.end(c.get('session'));
    deleteCookie(c, sessionCookie, { path: '/' });
    return c.redirect('/logged-out', 303);
  });
  return app;
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
