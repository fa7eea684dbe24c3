/** The chat page of one agent. It works without JavaScript: what was said comes first, and while an answer is open the page itself stays open and grows. routes.ts serves it. */
import { html, raw } from 'hono/html';
import { frame, type Way } from '../../view/frame.ts';
import type { Html } from '../../view/html.ts';
import { empty } from '../../view/notice.ts';
import type { StateWord } from '../../view/state.ts';
import { visible, visibleLine } from '../../view/visible.ts';
import { clockTime, span } from '../../view/words.ts';
import { isLast, type TurnEvent } from '../events.ts';
import type { Entry } from '../history.ts';
import type { Approval } from '../neighbours.ts';
import { maxTextChars } from '../say.ts';
import { failedWords, type Turn } from '../turn.ts';
import { linked, settled } from './links.ts';
import { chatSheet } from './sheet.ts';

export type ChatPage = {
  agent: string;
  machine: string;
  state: StateWord;
  ways: Way[];
  /** One line each once something was said: they must not push the answers out of sight. */
  notices: Html[];
  entries: readonly Entry[];
  turn: Turn | undefined;
  /** What waits for the operator as the page is asked for. */
  asked: Approval[];
  approvalsUrl: string;
  /** Asked while the page is open: a session that ended ends the page. */
  mayGoOn: () => Promise<boolean>;
  now?: () => number;
};

// Where the page is cut in two. Hostile text cannot hold it: the template escapes `<`.
const cutMark = '<!--answer-->';

/** The page in pieces, to be sent as they come. */
export async function* chatPage(page: ChatPage): AsyncGenerator<string> {
  const now = page.now ?? Date.now;
  // The form stands before the talk in the source, so that it is there while an answer grows; the style sheet shows it below.
  const body = html`<link rel="stylesheet" href="${chatSheet.href}">
<div class="chat">
${composer(page.agent, page.turn)}
<div class="talk"><div class="said" role="log" aria-label="Talk">
<h1 class="unseen">Chat with ${page.agent}</h1>
${page.entries.length === 0 && !page.turn && page.notices.length === 0 ? greeting(page.agent) : ''}
<ol class="turns">
${page.entries.map((entry) => said(entry, page.agent, now()))}
${raw(cutMark)}
</ol>
${page.turn || page.asked.length === 0 ? '' : waitingFor(page.asked, page.approvalsUrl, now())}
${page.notices}
</div></div>
</div>`;
  const whole = String(
    await frame({
      title: page.agent,
      machine: page.machine,
      state: page.state,
      ways: page.ways,
      kill: `/a/${page.agent}/kill`,
      body,
    }),
  );
  const at = whole.indexOf(cutMark);
  yield whole.slice(0, at);
  if (page.turn) yield* growing(page, page.turn, now);
  yield whole.slice(at + cutMark.length);
}

export const composer = (agent: string, turn: Turn | undefined, text = ''): Html => html`<div class="foot">
${
  turn
    ? html`<form class="stop" method="post" action="/a/${agent}/stop"><span>${agent} is answering.</span> <button class="quiet">Stop</button></form>`
    : ''
}
<form class="compose" method="post" action="/a/${agent}/say">
<label><span class="unseen">Say to ${agent}</span><textarea name="text" rows="2" required maxlength="${maxTextChars}" placeholder="Say something, or /help">${text}</textarea></label>
<button>Send</button>
</form>
${text === '' ? html`<form class="under" method="post" action="/logout"><button class="quiet">Log out</button></form>` : ''}
</div>`;

const greeting = (agent: string): Html =>
  empty(
    `Nothing was said to ${agent} yet.`,
    html`Say something below. <code>/help</code> lists the commands; everything else goes to the agent.`,
  );

function said(entry: Entry, agent: string, nowMs: number): Html {
  const isCommand = entry.from === 'holdfast';
  const who = entry.from === 'operator' ? 'you' : isCommand ? 'Holdfast' : agent;
  return html`<li class="turn" data-who="${entry.from}"><div class="who">${who} <time datetime="${entry.at}">${clockTime(Date.parse(entry.at), nowMs)}</time></div>${
    entry.text === ''
      ? ''
      : isCommand
        ? html`<pre tabindex="0">${visible(entry.text)}</pre>`
        : html`<div class="text">${linked(entry.text)}</div>`
  }${entry.note ? note(entry.note, entry.end === 'failed') : ''}</li>`;
}

const note = (text: string, bad: boolean): Html =>
  html`<p class="note"${bad ? html` data-tone="bad"` : ''}>${visible(text)}</p>`;

const loggedOut = 'You were logged out. The answer goes on without this page.';

// An open page asks this often whether its session lives and how long silence still has.
const tickMs = 5_000;

/**
 * The open turn, piece by piece. Nothing that was sent can be changed, so a later piece replaces an earlier one by a rule of
 * the style sheet: of all that waits only the last is shown, and what only matters while it grows goes when `.ended` comes.
 */
async function* growing(page: ChatPage, turn: Turn, now: () => number): AsyncGenerator<string> {
  yield await text(
    html`<li class="turn open" data-who="${turn.from}"><div class="who">${turn.from === 'agent' ? page.agent : 'Holdfast'}</div>`,
  );
  yield '<div class="text">';
  let held = '';
  let asked = page.asked;
  let shown = '';
  let checkedAt = now();
  for (let seen = 0; ; ) {
    const event = await turn.after(seen, tickMs);
    if (now() - checkedAt >= tickMs) {
      checkedAt = now();
      if (!(await page.mayGoOn())) {
        yield await text(html`${linked(held)}</div>${note(loggedOut, true)}</li>`);
        return;
      }
    }
    if (event !== undefined) {
      seen += 1;
      if (isLast(event)) {
        yield await text(html`${linked(held)}</div>${ending(event)}</li>`);
        return;
      }
      if (event.event === 'delta') {
        held += event.text;
        const upTo = settled(held);
        if (upTo > 0) yield await text(html`${linked(held.slice(0, upTo))}`);
        held = held.slice(upTo);
      }
      if (event.event === 'note') {
        yield await text(html`${linked(held)}${note(event.text, false)}`);
        held = '';
      }
      if (event.event === 'waiting') asked = event.approvals;
    }
    const asks = await text(waitingFor(asked, page.approvalsUrl, now()));
    // Sent again only when a word of it changed: a first one without a question would break the line that grows.
    // The comment finds out that a browser has gone.
    if (asks !== shown && (asked.length > 0 || shown !== '')) yield asks;
    else if (event === undefined) yield '<!-- -->';
    if (asked.length > 0 || shown !== '') shown = asks;
  }
}

const ending = (event: TurnEvent): Html =>
  html`<span class="ended"></span>${event.event === 'failed' ? note(failedWords(event), true) : ''}`;

const waitingFor = (asked: Approval[], url: string, nowMs: number): Html =>
  html`<div class="asks${asked.length === 0 ? '' : ' sheet asked'}">${asked.map(
    (each) => html`<h3>Waits for your yes: ${visibleLine(each.tool)}</h3><pre>${visible(each.script)}</pre>
<p>Silence is no in ${span(each.expiresAt - nowMs)}. <a href="${url}" target="_blank">Decide in the controller</a></p>`,
  )}</div>`;

const text = async (piece: Html): Promise<string> => String(await piece);
