/** The first page of a new machine: the setup code, a password twice, and the operator exists. Once only. */
import { Hono } from 'hono';
import { html } from 'hono/html';
import { z } from 'zod';
import type { Refusal, Verdict } from '../../../proxies/verdict/verdict.ts';
import type { Html } from '../../view/html.ts';
import { notice } from '../../view/notice.ts';
import type { RecordAct } from '../acts.ts';
import { fieldsOf } from '../form.ts';
import type { House } from '../house.ts';
import { minPasswordCharacters, type Operator } from '../operator.ts';
import { cookieFor, type Sessions } from '../session.ts';

const fields = z.strictObject({
  code: z.string().max(100).describe('the setup code, grouped or not'),
  password: z.string().max(2000),
  again: z.string().max(2000).describe('the same password'),
});

export function setupRoutes(parts: {
  operator: Operator;
  sessions: Sessions;
  record: RecordAct;
  house: House;
}): Hono {
  const { operator, sessions, record, house } = parts;
  const app = new Hono();

  app.get('/setup', (c) => {
    if (operator.exists()) return c.redirect('/login', 303);
    return c.html(house.stranger({ title: 'Set up', body: form() }));
  });

  app.post('/setup', async (c) => {
    const { code, password, again } = await fieldsOf(c, fields);
    if (operator.exists())
      return house.told(
        c,
        409,
        'The operator exists already.',
        html`<a href="/login">Log in</a> with the password.`,
      );
    const setup = (): Promise<void> => record({ act: 'setup', by: 'operator', from: 'page' });
    const verdict: Verdict = password === again ? await operator.create(code, password, setup) : differs;
    if (!verdict.allow) {
      await record({ act: 'setup-refused', by: 'unknown', from: 'page', rule: verdict.rule });
      return c.html(house.stranger({ title: 'Set up', body: form(verdict, code) }), 401);
    }
    c.header('set-cookie', cookieFor(sessions.start()));
    return c.redirect('/', 303);
  });

  return app;
}

const differs: Verdict = {
  allow: false,
  rule: 'again',
  reason: 'The two passwords differ.',
  hint: 'Type the same one twice.',
};

/** A code that was not the fault was not used up either: it stays in its field. */
const form = (wrong?: Refusal, typed = ''): Html => html`
<div class="lede"><h1>Make yourself the operator</h1>
<p>The setup code stands in the terminal where Holdfast was started. It works once. The password is what you log in with; after a kill, re-arming on the page asks for it again.</p></div>
${wrong ? notice(wrong.reason, wrong.hint) : ''}
<form class="fields sheet" method="post" action="/setup">
  <label>Setup code <input class="code" name="code" required autocomplete="one-time-code" autocapitalize="characters" spellcheck="false" placeholder="XXXX-XXXX-XXXX-XXXX"${typed && wrong?.rule !== 'code' ? html` value="${typed}"` : ''}></label>
  <label>Password <small>At least ${minPasswordCharacters} characters; a few words are good.</small><input type="password" name="password" required minlength="${minPasswordCharacters}" autocomplete="new-password"></label>
  <label>The same password again <input type="password" name="again" required minlength="${minPasswordCharacters}" autocomplete="new-password"></label>
  <div class="buttons"><button>Set up</button></div>
</form>`;
