/** Login and logout, and the way into the chat: /chat-login answers with a one-time code at the chat's own address. */
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { z } from 'zod';
import type { Refusal } from '../../../proxies/verdict/verdict.ts';
import type { Html } from '../../view/html.ts';
import { notice } from '../../view/notice.ts';
import { command } from '../../view/words.ts';
import type { RecordAct } from '../acts.ts';
import { type ChatCodes, chatStatePattern } from '../chatcode.ts';
import { fieldsOf } from '../form.ts';
import { contentPolicy, type Origins } from '../headers.ts';
import type { House } from '../house.ts';
import { again, type Env, sessionOf } from '../member.ts';
import type { Operator } from '../operator.ts';
import { cookieFor, noCookie, type Session, type Sessions } from '../session.ts';

const chatState = z.string().regex(chatStatePattern).describe("the gateway's word for this login");
const fields = z.strictObject({ password: z.string().max(2000), state: chatState.optional() });

export type LoginParts = {
  operator: Operator;
  sessions: Sessions;
  chatCodes: ChatCodes;
  record: RecordAct;
  house: House;
  origins: Origins;
};

export function loginRoutes({ operator, sessions, chatCodes, record, house, origins }: LoginParts): Hono {
  const app = new Hono();

  const show = (c: Context, state: string | undefined, wrong?: Refusal): Response | Promise<Response> => {
    if (state !== undefined) c.header('content-security-policy', contentPolicy(origins.chat));
    return c.html(house.stranger({ title: 'Log in', body: form(state, wrong) }), statusOf(wrong));
  };

  /** The only redirect that leaves this origin; where it leads is configuration, never part of the request. */
  const toChat = async (c: Context, session: Session, state: string): Promise<Response> => {
    await record({ act: 'chat-login', by: 'operator', from: 'page', session: session.key.slice(0, 12) });
    const code = chatCodes.make(state, session.key);
    return c.redirect(`${origins.chat}/login?${new URLSearchParams({ code, state })}`, 303);
  };

  app.get('/login', (c) => {
    if (!operator.exists()) return c.redirect('/setup', 303);
    if (sessionOf(c, sessions)) return c.redirect('/', 303);
    return show(c, undefined);
  });

  app.post('/login', async (c) => {
    const { password, state } = await fieldsOf(c, fields);
    const verdict = await operator.prove(password);
    if (!verdict.allow) {
      await record({ act: 'login-refused', by: 'unknown', from: 'page', rule: verdict.rule });
      return show(c, state, verdict);
    }
    const id = sessions.start();
    const session = sessions.find(id, 'controller');
    if (!session) throw new Error('a session that was just made is not there');
    await record({ act: 'login', by: 'operator', from: 'page', session: session.key.slice(0, 12) });
    c.header('set-cookie', cookieFor(id));
    return state === undefined ? c.redirect('/', 303) : toChat(c, session, state);
  });

  app.get('/chat-login', (c) => {
    const state = chatState.safeParse(c.req.query('state'));
    if (!state.success)
      return house.told(
        c,
        400,
        'That is not a login that the chat began.',
        html`Open the chat and log in from there.`,
      );
    if (!operator.exists()) return c.redirect('/setup', 303);
    const session = sessionOf(c, sessions);
    if (session) return toChat(c, session, state.data);
    // The chat is another site, so the Strict cookie stayed behind: ask once more from here.
    if (c.req.query('again') === undefined) return c.html(again(`/chat-login?state=${state.data}&again=1`));
    return show(c, state.data);
  });

  return app;
}

/** Behind the login. */
export function logoutRoutes(parts: { sessions: Sessions; record: RecordAct; house: House }): Hono<Env> {
  const app = new Hono<Env>();
  // Where the chat's own logout leads: a form of another site would be refused here.
  app.get('/logout', async (c) =>
    c.html(
      await parts.house.page({ title: 'Log out', current: '/logout', width: 'narrow', body: logoutForm }),
    ),
  );
  app.post('/logout', async (c) => {
    const { key } = c.get('session');
    parts.sessions.end(key); // ending one is safe; the record comes after
    c.header('set-cookie', noCookie);
    await parts.record({ act: 'logout', by: 'operator', from: 'page', session: key.slice(0, 12) });
    return c.redirect('/login', 303);
  });
  return app;
}

const logoutForm = html`
<div class="lede"><h1>Log out of the controller</h1><p>The chats that came from this login end with it.</p></div>
<form method="post" action="/logout"><button>Log out</button></form>`;

const statusOf = (wrong: Refusal | undefined): 200 | 401 | 429 =>
  !wrong ? 200 : wrong.rule === 'wait' ? 429 : 401;

const form = (state: string | undefined, wrong: Refusal | undefined): Html => html`
<div class="lede"><h1>${state === undefined ? 'Log in' : 'Log in to the chat'}</h1>
<p>${state === undefined ? 'Holdfast shows what your agents do only to its operator.' : 'The chat has no password of its own. You go back to it from here.'}</p></div>
${wrong ? notice(wrong.reason, wrong.hint) : ''}
<form class="fields sheet" method="post" action="/login">
  <label>Password <input type="password" name="password" required autofocus autocomplete="current-password"></label>
  ${state === undefined ? '' : html`<input type="hidden" name="state" value="${state}">`}
  <div class="buttons"><button>Log in</button></div>
</form>
<p class="soft">To stop everything without a login: <code>${command('kill')}</code> on the machine itself.</p>`;
