/** The last exchanges and tool calls, newest first, from the ledgers of the serving processes. Read-only: the ledgers are theirs. */
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { Html } from '../../view/html.ts';
import { empty, notice } from '../../view/notice.ts';
import { mark, type Tone } from '../../view/state.ts';
import { table } from '../../view/table.ts';
import { visibleLine } from '../../view/visible.ts';
import { clockTime, command, usd } from '../../view/words.ts';
import { type Exchange, exchangesOf } from '../exchange.ts';
import type { House } from '../house.ts';
import type { Env } from '../member.ts';

/** Door to ledger file, in the order of the filter. */
export const ledgerFiles = { llm: 'traffic.jsonl', egress: 'egress.jsonl', tools: 'tools.jsonl' } as const;
/** What is read of each: at the llm door pieces of bodies stand between the lines of exchanges. */
export const tailOptions: Record<keyof typeof ledgerFiles, { kinds?: readonly string[] }> = {
  llm: { kinds: ['request', 'outcome', 'refusal'] },
  egress: {},
  tools: {},
};
export type DoorName = keyof typeof ledgerFiles;

/** The last records of one ledger. Throws when it cannot be read. */
export type Tail = (door: DoorName, count: number) => Promise<unknown[]>;

const doors = Object.keys(ledgerFiles) as DoorName[];
const shown = 100;
const linesRead = 300; // an exchange is two or three lines

export type ExchangeParts = { tail: Tail; house: House; now: () => number };

export function exchangeRoutes(parts: ExchangeParts): Hono<Env> {
  return new Hono<Env>().get('/exchanges', async (c) => {
    const wanted = doors.find((door) => door === c.req.query('door'));
    const read = await Promise.all((wanted ? [wanted] : doors).map((door) => lastOf(door, parts.tail)));
    const exchanges = read
      .flatMap((each) => each.exchanges)
      .sort((a, b) => b.atMs - a.atMs)
      .slice(0, shown);
    const unread = read.filter((each) => each.failed).map((each) => each.door);
    const body = exchangesBody(exchanges, unread, wanted, parts.now());
    return c.html(await parts.house.page({ title: 'Exchanges', current: '/exchanges', body }));
  });
}

type Read = { door: DoorName; exchanges: Exchange[]; failed: boolean };

async function lastOf(door: DoorName, tail: Tail): Promise<Read> {
  try {
    return { door, exchanges: exchangesOf(door, await tail(door, linesRead)), failed: false };
  } catch {
    return { door, exchanges: [], failed: true }; // said on the page
  }
}

/** Refused is how it should be, not an alarm; a failure is for somebody to look at. */
const tones = {
  passed: 'good',
  refused: 'wait',
  failed: 'bad',
  open: 'plain',
} satisfies Record<Exchange['verdict'], Tone>;

function exchangesBody(
  exchanges: Exchange[],
  unread: DoorName[],
  wanted: DoorName | undefined,
  nowMs: number,
): Html {
  return html`
<div class="lede"><h1>Exchanges</h1>
<p>What went through the doors, and what was refused. Each stands in its ledger before it takes effect.</p></div>
<ul class="filter" aria-label="Door">${[undefined, ...doors].map(
    (door) =>
      html`<li><a href="/exchanges${door ? `?door=${door}` : ''}"${door === wanted ? html` class="here" aria-current="true"` : ''}>${door ?? 'all doors'}</a></li>`,
  )}</ul>
${unread.map((door) => notice(`The ledger of ${door} cannot be read.`, html`It is <code>audit/${ledgerFiles[door]}</code>. <code>${command('doctor')}</code> says more.`))}
<section>${
    exchanges.length === 0
      ? empty(
          'No exchange yet.',
          'Write to an agent in the chat: its calls to the model, to the internet and to tools then stand here.',
        )
      : exchangeTable(exchanges, nowMs)
  }</section>`;
}

/** The provider in one piece; a model's name may be long. */
function modelCell(model: string): Html | string {
  const slash = model.indexOf('/');
  if (slash === -1) return visibleLine(model, 100);
  return html`<span class="whole">${visibleLine(model.slice(0, slash), 70)}</span>${visibleLine(model.slice(slash), 100)}`;
}

const exchangeTable = (exchanges: Exchange[], nowMs: number): Html =>
  html`${table(
    html`The last ${exchanges.length}, newest first. More of those with models, with their bodies: <code>${command('traffic --last 1000')}</code>, <code>${command('traffic show ID')}</code>. All of them are in <code>audit/*.jsonl</code>, one JSON object a line.`,
    [
      { name: 'Time' },
      { name: 'Id', optional: true },
      { name: 'Agent' },
      { name: 'Door' },
      { name: 'Model', optional: true },
      { name: 'What' },
      { name: 'Verdict' },
      { name: 'Reason' },
      { name: 'Tokens', numeric: true, optional: true },
      { name: 'USD', numeric: true, optional: true },
      { name: 'ms', numeric: true },
    ],
    exchanges.map((each) => [
      html`<time datetime="${Number.isFinite(each.atMs) ? new Date(each.atMs).toISOString() : ''}">${clockTime(each.atMs, nowMs)}</time>`,
      each.id === '' ? '' : html`<code>${visibleLine(each.id.slice(0, 8))}</code>`,
      visibleLine(each.agent, 40),
      each.door,
      modelCell(each.model),
      visibleLine(each.what, 300),
      mark(tones[each.verdict], each.verdict),
      each.hops.length === 0
        ? visibleLine(each.why, 300)
        : html`${visibleLine(each.why, 300)}<details><summary>${each.hops.length} hops</summary><ol>${each.hops.map((hop) => html`<li>${visibleLine(hop, 200)}</li>`)}</ol></details>`,
      each.tokens.in === null && each.tokens.out === null
        ? ''
        : `${each.tokens.in ?? 0} / ${each.tokens.out ?? 0}`,
      `${usd(each.costUsd)}${each.reserved ? ' (reserved)' : ''}`,
      each.ms === null ? '' : Math.round(each.ms),
    ]),
  )}`;
