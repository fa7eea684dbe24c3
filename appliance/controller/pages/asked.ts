/** One question as it stands on the overview: who asks for what, the whole command, yes and no; and the routes that take the answer. */
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { z } from 'zod';
import type { Verdict } from '../../../proxies/verdict/verdict.ts';
import { type Approval, type Circumstances, may } from '../../approvals/approval.ts';
import type { Inbox } from '../../approvals/inbox.ts';
import type { Html } from '../../view/html.ts';
import { visible, visibleLine } from '../../view/visible.ts';
import { clockTime, count, span } from '../../view/words.ts';
import type { LastDecided } from '../decided.ts';
import { fieldsOf } from '../form.ts';
import type { House } from '../house.ts';
import type { Env } from '../member.ts';

const yesFields = z.strictObject({
  digest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe('of the job that the page showed'),
});
const noFields = z.strictObject({});

type AskedParts = { inbox: Inbox; house: House; decided: LastDecided };

export function askedRoutes({ inbox, house, decided }: AskedParts): Hono<Env> {
  const app = new Hono<Env>();
  const decider = { by: 'operator', from: 'page' } as const;
  const done = async (
    c: Context,
    answer: 'yes' | 'no',
    decide: (id: string) => Promise<Verdict>,
  ): Promise<Response> => {
    const id = c.req.param('id') ?? '';
    const asked = inbox.pending().find((each) => each.id === id);
    const verdict = await decide(id);
    if (!verdict.allow)
      return house.told(c, 409, verdict.reason, html`${verdict.hint} <a href="/">Back to the overview</a>`);
    if (asked) decided.note(answer, asked.script);
    return c.redirect('/', 303);
  };

  app.post('/approvals/:id/approve', async (c) => {
    const { digest } = await fieldsOf(c, yesFields);
    return done(c, 'yes', (id) => inbox.approve(id, decider, digest));
  });
  app.post('/approvals/:id/deny', async (c) => {
    await fieldsOf(c, noFields);
    return done(c, 'no', (id) => inbox.deny(id, decider));
  });
  return app;
}

/** The whole text is shown, however long: what is not seen must not be agreed to. */
export function askedCard(approval: Approval, at: Circumstances): Html {
  const { id, agent, script, tool, by, askedAtMs, expiresAtMs, timeoutMs, digest } = approval;
  const yes = may(approval, 'approve', at);
  const lines = script.split('\n').length;
  return html`<article class="sheet asked" aria-labelledby="asked-${id}">
<h3 id="asked-${id}">${visibleLine(agent)} asks to run ${tool === 'shell' ? 'a command' : visibleLine(tool)} in its sandbox</h3>
<pre tabindex="0" aria-label="The whole command">${visible(script)}</pre>
<ul class="facts">
  <li>${count(lines, 'line')}, ${count(script.length, 'character')}</li>
  <li>asked by ${visibleLine(by)} at <time datetime="${new Date(askedAtMs).toISOString()}">${clockTime(askedAtMs, at.nowMs)}</time></li>
  <li>may run for ${span(timeoutMs)}, without network</li>
  <li><b>silence is no in ${span(expiresAtMs - at.nowMs)}</b></li>
</ul>
<div class="buttons">
  <form method="post" action="/approvals/${id}/approve"><input type="hidden" name="digest" value="${digest}"><button${yes.allow ? '' : html` disabled aria-describedby="why-${id}"`}>Yes, run it once</button></form>
  <form method="post" action="/approvals/${id}/deny"><button class="quiet">No</button></form>
  ${yes.allow ? '' : html`<span class="soft" id="why-${id}">${yes.reason} ${yes.hint}</span>`}
</div>
</article>`;
}
