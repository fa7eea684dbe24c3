/** What the overview says of models and money: warnings that want a person, and what each agent has spent. From the llm process, by way of models/standing.ts; nothing when that does not answer. */
import { html } from 'hono/html';
import { type ModelsStanding, used, type Warning, warnings } from '../../models/standing.ts';
import type { Html } from '../../view/html.ts';
import { notice } from '../../view/notice.ts';
import { mark, type Tone } from '../../view/state.ts';
import { table } from '../../view/table.ts';
import { visibleLine } from '../../view/visible.ts';
import { clockTime, command, usd } from '../../view/words.ts';

export const modelNotices = (now: ModelsStanding | undefined, nowMs: number): Html[] =>
  now ? warnings(now).map((each) => said(each, nowMs)) : [];

function said(each: Warning, nowMs: number): Html {
  if (each.about === 'budget') {
    const { day, month } = each.spend.resets;
    const name = visibleLine(each.agent, 40);
    const over = each.percent >= 100;
    const begins = used(each.spend.day) >= used(each.spend.month) ? day : month;
    return notice(
      over
        ? `${name} has used up its budget for models.`
        : `${name} has used ${each.percent} % of its budget for models.`,
      html`${over ? 'Models that cost nothing go on. ' : ''}It begins anew ${time(begins, nowMs)}; the limit is <code>agents: ${name}: limits:</code> in <code>holdfast.yaml</code>.`,
    );
  }
  if (each.about === 'login') {
    const until = each.expiresAt === null ? '' : html` It ends ${time(each.expiresAt, nowMs)}.`;
    return notice(
      `The login at ${visibleLine(each.provider, 70)}: ${visibleLine(each.words, 200)}`,
      html`${until} <code>${command(`models login ${visibleLine(each.provider, 70)}`)}</code>`,
    );
  }
  const model = each.model === null ? 'a model' : visibleLine(each.model, 120);
  if (each.about === 'key') {
    return notice(
      `${visibleLine(each.provider, 70)} answered ${each.status}: its key is wrong, or may not use ${model}.`,
      html`The key file is in <code>secrets/llm/</code>; after a change run <code>${command('config apply')}</code>.`,
    );
  }
  const named = `${visibleLine(each.provider, 70)}/${model}`;
  return notice(
    `${visibleLine(each.agent, 40)} asked for ${named}, and nobody has said what it costs.`,
    html`It is refused until you do: <code>${command(`models price ${named} --input USD --output USD`)}</code>, or <code>--free</code>.`,
  );
}

const time = (iso: string, nowMs: number): Html | string => {
  const ms = Date.parse(iso);
  return Number.isFinite(ms)
    ? html`<time datetime="${new Date(ms).toISOString()}">${clockTime(ms, nowMs)}</time>`
    : 'later';
};

export function spendTable(now: ModelsStanding | undefined, nowMs: number): Html | '' {
  if (!now || now.agents.length === 0) return '';
  const of = (limit: number | null): string => (limit === null ? 'no limit' : String(limit));
  return table(
    'What the agents have spent on models, in USD',
    [
      { name: 'Agent' },
      { name: 'State' },
      { name: 'Today', numeric: true },
      { name: 'of', numeric: true },
      { name: 'This month', numeric: true },
      { name: 'of', numeric: true },
      { name: 'Tokens today', numeric: true },
      { name: 'Begins anew' },
    ],
    now.agents.map(({ agent, spend }) => {
      const percent = Math.max(used(spend.day), used(spend.month));
      return [
        visibleLine(agent, 40),
        mark(toneOf(percent), percent >= 100 ? 'used up' : `${percent} %`),
        usd(spend.day.usd),
        of(spend.day.limitUsd),
        usd(spend.month.usd),
        of(spend.month.limitUsd),
        spend.day.tokens,
        time(spend.resets.day, nowMs),
      ];
    }),
  );
}

const toneOf = (percent: number): Tone => (percent >= 80 ? 'wait' : 'plain');
