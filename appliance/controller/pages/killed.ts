/** The press and what comes after it: KILL, the receipt step by step, and the quiet way back. Goes to the keeper; needs nobody else. */
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { z } from 'zod';
import type { Html } from '../../view/html.ts';
import { notice } from '../../view/notice.ts';
import { mark } from '../../view/state.ts';
import { table } from '../../view/table.ts';
import { visibleLine } from '../../view/visible.ts';
import { clockTime, command, stepWords } from '../../view/words.ts';
import type { RecordAct } from '../acts.ts';
import { fieldsOf } from '../form.ts';
import type { House } from '../house.ts';
import type { Arming, Keeper, Receipt } from '../keeper.ts';
import type { Launcher, Seen } from '../launcher.ts';
import type { Env } from '../member.ts';
import type { Operator } from '../operator.ts';

const rearmFields = z.strictObject({
  password: z.string().max(2000),
  reason: z.string().trim().min(3).max(500).describe('why it is safe to go on; it is put on record'),
});

export type KilledParts = {
  keeper: Keeper;
  launcher: Launcher;
  operator: Operator;
  record: RecordAct;
  house: House;
  now: () => number;
};

export function killedRoutes({ keeper, launcher, operator, record, house, now }: KilledParts): Hono<Env> {
  const app = new Hono<Env>();
  let unrecorded = false;

  const show = async (
    c: Context,
    status: 200 | 400 | 401 | 409 | 429 | 502,
    wrong?: Html,
  ): Promise<Response> => {
    const [arming, seen] = await Promise.all([keeper.arming(), launcher.status()]);
    const body = killedBody({ arming, seen, unrecorded, wrong, nowMs: now() });
    return c.html(
      await house.page({ title: arming.state === 'killed' ? 'Killed' : 'Kill and re-arm', arming, body }),
      status,
    );
  };

  app.get('/killed', (c) => show(c, 200));
  app.get('/rearm', (c) => c.redirect('/killed', 303));

  app.post('/kill', async (c) => {
    // Nothing stands before the press: not the body, not the disk.
    let receipt: Receipt;
    try {
      receipt = await keeper.trip('KILL was pressed on the page', 'operator');
    } catch {
      return show(c, 502, notKilled);
    }
    const { key } = c.get('session');
    unrecorded = await record({
      act: 'kill',
      by: 'operator',
      from: 'page',
      session: key.slice(0, 12),
      receipt: receipt.id,
    }).then(
      () => false,
      () => true,
    );
    return c.redirect('/killed', 303);
  });

  app.post('/rearm', async (c) => {
    const fields = await fieldsOf(c, z.looseObject({}));
    const given = rearmFields.safeParse(fields);
    if (!given.success)
      return show(
        c,
        400,
        notice('It was not re-armed.', 'Give a reason of 3 to 500 characters: it is put on record.'),
      );
    if ((await keeper.arming()).state !== 'killed')
      return show(c, 409, notice('Nothing is killed, so there is nothing to re-arm.'));
    const verdict = await operator.prove(given.data.password);
    if (!verdict.allow) {
      await record({ act: 'rearm-refused', by: 'operator', from: 'page', rule: verdict.rule });
      return show(c, verdict.rule === 'wait' ? 429 : 401, notice(verdict.reason, verdict.hint));
    }
    const { key } = c.get('session');
    await record({
      act: 'rearm',
      by: 'operator',
      from: 'page',
      session: key.slice(0, 12),
      reason: given.data.reason,
    });
    const rearmed = await keeper.rearm(given.data.reason, 'operator');
    const failed = rearmed.steps.find((step) => !step.ok);
    if (failed)
      return show(
        c,
        502,
        notice(`Re-arming stopped at: ${visibleLine(failed.name)}.`, visibleLine(failed.detail, 300)),
      );
    return c.redirect('/', 303);
  });

  return app;
}

const notKilled = notice(
  'The press did not get through: the keeper does not answer.',
  html`Without its beats every door closes within a second. To be sure that everything is stopped, end Holdfast on the machine itself: Ctrl-C where it was started, or <code>${command('kill')}</code>.`,
);

type View = { arming: Arming; seen: Seen; unrecorded: boolean; wrong: Html | undefined; nowMs: number };

function killedBody({ arming, seen, unrecorded, wrong, nowMs }: View): Html {
  const killed = arming.state === 'killed';
  return html`
<div class="lede"><h1>${killed ? 'Everything is stopped, and stays stopped until you re-arm.' : `Nothing is killed: Holdfast is ${arming.state}.`}</h1>
<p>${arming.sinceMs === null ? '' : `Since ${clockTime(arming.sinceMs, nowMs)}`}${arming.reason ? `: ${visibleLine(arming.reason, 300)}` : ''}</p></div>
${wrong ?? ''}
${unrecorded ? notice('The press worked, but the controller could not put it on record.', 'The keeper has its own record, audit/keeper.jsonl. Look for a full or broken disk.') : ''}
${killed ? rearmForm(seen) : html`<p><a href="/">To the overview</a></p>`}
${arming.receipt ? receiptTable(arming.receipt, nowMs) : killed ? html`<p class="soft">The keeper started killed, so the receipt of that press is in <code>audit/keeper.jsonl</code>.</p>` : ''}`;
}

const receiptTable = (
  receipt: Receipt,
  nowMs: number,
): Html => html`<section aria-labelledby="receipt"><h2 id="receipt">Receipt</h2>
${table(
  `${visibleLine(receipt.id)}, ${clockTime(receipt.at, nowMs)}, pressed by ${visibleLine(receipt.by)}`,
  [{ name: 'Step' }, { name: 'Done' }, { name: 'After', numeric: true }, { name: 'Detail', optional: true }],
  receipt.steps
    .toSorted((one, other) => one.ms - other.ms)
    .map((step) => [
      visibleLine(stepWords(step.name)),
      step.ok ? mark('good', 'done') : mark('bad', 'failed'),
      `${step.ms < 10 ? step.ms.toFixed(1) : Math.round(step.ms)} ms`,
      visibleLine(step.detail, 300),
    ]),
)}</section>`;

function rearmForm(seen: Seen): Html {
  const agents = seen.status?.worlds.map((world) => visibleLine(world.agent)).join(', ');
  return html`<section aria-labelledby="rearm"><h2 id="rearm">Re-arm</h2>
<form class="fields sheet" method="post" action="/rearm">
  <p>${agents ? `These start anew, each in a new world: ${agents}.` : seen.status ? 'There is no agent to start.' : `${seen.why} What will start is not known.`} The proxies get their keys back. Nothing that was asked before the kill is answered.</p>
  <label>Reason <small>Why it is safe to go on. It is put on record.</small><input name="reason" required minlength="3" maxlength="500" autocomplete="off"></label>
  <label>Your password again <input type="password" name="password" required autocomplete="current-password"></label>
  <div class="buttons"><button class="quiet">Re-arm</button></div>
</form></section>`;
}
