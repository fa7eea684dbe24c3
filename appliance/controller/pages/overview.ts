/** The first page after the login: one true sentence, what waits for a yes, the agents and their walls, the processes, the tools. */
import { Hono } from 'hono';
import { html } from 'hono/html';
import type { Inbox } from '../../approvals/inbox.ts';
import { type ModelsStanding, stateOf } from '../../models/standing.ts';
import type { Html } from '../../view/html.ts';
import { empty, notice } from '../../view/notice.ts';
import { mark, type Tone } from '../../view/state.ts';
import { table } from '../../view/table.ts';
import { visible, visibleLine } from '../../view/visible.ts';
import { clockTime, command, span } from '../../view/words.ts';
import type { Decided, LastDecided } from '../decided.ts';
import type { House } from '../house.ts';
import type { Keeper } from '../keeper.ts';
import type { Launcher, Status } from '../launcher.ts';
import { byItself, type Env } from '../member.ts';
import { type Standing, sentence, standing } from '../standing.ts';
import { askedCard } from './asked.ts';
import { modelNotices, spendTable } from './spend.ts';

export type Provider = { name: string; kind: string; hasKey: boolean; login: boolean };

export type OverviewParts = {
  keeper: Keeper;
  launcher: Launcher;
  inbox: Inbox;
  house: House;
  decided: LastDecided;
  providers: () => Provider[];
  /** Undefined when the llm process does not answer. */
  models: () => Promise<ModelsStanding | undefined>;
  now: () => number;
};

/** Soon while something is under way or waits, and seldom otherwise, so that a page left open does not go on saying "armed" for ever. */
const soonSeconds = 5;
const seldomSeconds = 10;

export function overviewRoutes(parts: OverviewParts): Hono<Env> {
  return new Hono<Env>().get('/', async (c) => {
    const [now, models] = await Promise.all([standing(parts, parts.now), parts.models()]);
    // In the address, so that the page that asks again by itself does not fold what somebody reads.
    const open = c.req.query('show') === 'all';
    return c.html(
      await parts.house.page({
        title: 'Overview',
        current: '/',
        arming: now.arming,
        refresh: {
          seconds: underWay(now) ? soonSeconds : seldomSeconds,
          href: `/?${byItself}=1${open ? '&show=all' : ''}`,
        },
        body: overview({
          now,
          open,
          inbox: parts.inbox,
          providers: parts.providers(),
          models,
          decided: parts.decided.read(),
        }),
      }),
    );
  });
}

const underWay = ({ arming, seen, pending }: Standing): boolean =>
  pending.length > 0 ||
  arming.state === 'closed' ||
  seen.status?.tools.state === 'installing' ||
  (seen.status?.worlds.some((world) => world.state === 'starting') ?? false) ||
  (seen.status?.processes.some((each) => each.state === 'starting') ?? false);

type View = {
  now: Standing;
  /** Draw unfolded what is well. */
  open: boolean;
  inbox: Inbox;
  providers: Provider[];
  models: ModelsStanding | undefined;
  decided: Decided | undefined;
};

function overview({ now, open, inbox, providers, models, decided }: View): Html {
  const { arming, seen, pending, nowMs } = now;
  return html`
<div class="lede"><h1>${sentence(now)}</h1>
<p>${whySo(now)}As of <time datetime="${new Date(nowMs).toISOString()}">${clockTime(nowMs, nowMs)}</time>.</p></div>
${modelNotices(models, nowMs)}
<section aria-labelledby="waits"><h2 id="waits">Waiting for you</h2>
${decided ? html`<p>You said ${decided.answer} to <code>${visibleLine(decided.script, 120)}</code> at ${clockTime(decided.atMs, nowMs)}.</p>` : ''}
${
  pending.length === 0
    ? empty(
        'Nothing waits.',
        'When an agent wants to run a command, the whole command stands here with a yes and a no. It runs only after a yes; silence is no.',
      )
    : pending.map((each) => askedCard(each, inbox.circumstances(each, arming)))
}</section>
${seen.status ? known(seen.status, { providers, models }, open, nowMs) : notice(seen.why, 'What runs is not known. KILL and re-arm go to the keeper and work all the same.')}`;
}

function whySo({ arming, nowMs }: Standing): Html | '' {
  if (arming.state === 'armed') return '';
  const since = arming.sinceMs === null ? '' : ` since ${clockTime(arming.sinceMs, nowMs)}`;
  const reason = arming.reason ? `: ${visibleLine(arming.reason, 300)}` : '';
  const way = arming.state === 'killed' ? html` <a href="/killed">Receipt and re-arm</a>` : '';
  return html`${arming.state === 'killed' ? 'Killed' : 'Closed'}${since}${reason}.${way} `;
}

const known = (
  status: Status,
  { providers, models }: Pick<View, 'providers' | 'models'>,
  open: boolean,
  nowMs: number,
): Html => html`
<section aria-labelledby="agents"><h2 id="agents">Agents and their walls</h2>
${
  status.worlds.length === 0
    ? empty(
        'There is no agent.',
        html`<code>${command('agent add NAME')}</code> makes one, in a world of its own.`,
      )
    : status.worlds.map((world) => worldTable(world, open))
}</section>
<section aria-labelledby="work"><h2 id="work">Tools and models</h2>${workTable(status, providers, models)}${spendTable(models, nowMs)}</section>
<section aria-labelledby="processes"><h2 id="processes">Processes</h2>${processTable(status, open, nowMs)}</section>`;

const worldTones = {
  running: 'good',
  starting: 'wait',
  'backing-off': 'wait',
  refused: 'bad',
  stopped: 'plain',
} satisfies Record<Status['worlds'][number]['state'], Tone>;

const wallTones = { stands: 'good', missing: 'bad', absent: 'plain' } satisfies Record<string, Tone>;

/** What is well needs one line; `summary` undefined leaves the table as it is. */
const folded = (summary: string | undefined, open: boolean, whole: Html): Html =>
  summary === undefined
    ? whole
    : html`<details${open ? html` open` : ''}><summary>${summary}</summary>
<p class="soft">${open ? html`<a href="/">Fold it again</a>` : html`<a href="/?show=all">Keep this open</a>`}</p>
${whole}</details>`;

/** A limit that an ordinary user cannot have is no alarm; a missing wall is, and stays in sight. */
function wallsSummary(walls: Status['worlds'][number]['walls']): string | undefined {
  if (walls.some((wall) => wall.state === 'missing')) return undefined;
  const absent = walls.filter((wall) => wall.state === 'absent').map((wall) => visibleLine(wall.wall));
  return absent.length === 0
    ? `all ${walls.length} stand`
    : `${walls.length - absent.length} stand, absent: ${absent.join(', ')}`;
}

function worldTable({ agent, state, why, walls }: Status['worlds'][number], open: boolean): Html {
  return html`<div class="part"><h3>${visibleLine(agent)} ${mark(worldTones[state], words(state))}</h3>
${why ? html`<p class="soft">${visibleLine(why, 500)}</p>` : ''}
${
  walls.length === 0
    ? ''
    : folded(
        wallsSummary(walls),
        open,
        table(
          'The walls and limits of its world',
          [
            { name: 'Wall' },
            { name: 'State' },
            { name: 'Detail', optional: true },
            { name: 'What to do', optional: true },
          ],
          walls.map((wall) => [
            visibleLine(wall.wall),
            mark(wallTones[wall.state], wall.state),
            visibleLine(wall.detail, 500),
            wall.fix ? html`<code>${visible(wall.fix)}</code>` : '',
          ]),
        ),
      )
}</div>`;
}

const toolTones = { ready: 'good', installing: 'wait', missing: 'bad' } satisfies Record<
  Status['tools']['state'],
  Tone
>;

function workTable({ tools }: Status, providers: Provider[], models: ModelsStanding | undefined): Html {
  const toolDetail = [tools.phase, tools.detail]
    .filter((each) => each !== undefined)
    .map((each) => visibleLine(each, 300));
  /** No key is wanted where none is named and llm asks without one. */
  const keyless = new Set(models?.providers.flatMap((each) => (each.keyState === 'none' ? [each.name] : [])));
  const ready = (each: Provider): boolean =>
    each.hasKey || each.login || each.kind === 'ollama' || keyless.has(each.name);
  const rows = providers.map((each) => {
    // Where llm does not answer, nobody knows more than the file: that is not green.
    const { tone, word, why } = ready(each)
      ? (stateOf(models, each.name) ?? { tone: 'plain', word: 'configured', why: '' })
      : { tone: 'plain' as const, word: 'no key', why: '' };
    const detail = `speaks ${each.kind}${each.login ? ', by a login' : ''}${why === '' ? '' : `; ${why}`}`;
    return [
      html`<span class="whole">${visibleLine(each.name)}</span>`,
      mark(tone, word),
      visibleLine(detail, 300),
      ready(each)
        ? ''
        : html`If it wants one: put it into <code>secrets/llm/</code>, name it in <code>holdfast.yaml</code>, run <code>${command('config apply')}</code>.`,
    ];
  });
  const none = [
    'model',
    mark('plain', 'none'),
    'The agents have no model; the chat says how to connect one.',
    html`<code>providers:</code> in <code>holdfast.yaml</code>`,
  ];
  return table(
    'What the agents work with',
    [
      { name: 'Part' },
      { name: 'State' },
      { name: 'Detail', optional: true },
      { name: 'What to do', optional: true },
    ],
    [
      [
        'shell tool',
        mark(toolTones[tools.state], tools.state),
        toolDetail.join(': '),
        tools.fix ? html`<code>${visible(tools.fix)}</code>` : '',
      ],
      ...(rows.length > 0 ? rows : [none]),
    ],
  );
}

const processTones = {
  running: 'good',
  starting: 'wait',
  'backing-off': 'wait',
  stopped: 'plain',
  failed: 'bad',
} satisfies Record<Status['processes'][number]['state'], Tone>;

const processTable = (status: Status, open: boolean, nowMs: number): Html =>
  folded(
    status.processes.every((each) => each.state === 'running')
      ? `all ${status.processes.length} run`
      : undefined,
    open,
    table(
      `Started ${clockTime(status.startedAt, nowMs)}, version ${visibleLine(status.version, 12)}, ${status.mode === 'root' ? 'as root: every process has its own user id' : 'as an ordinary user: all processes share one user id, and there are no cgroup limits'}`,
      [
        { name: 'Process' },
        { name: 'State' },
        { name: 'For', numeric: true },
        { name: 'Restarts', numeric: true },
        { name: 'User id', numeric: true },
        { name: 'Why', optional: true },
      ],
      status.processes.map((each) => [
        visibleLine(each.name),
        mark(processTones[each.state], words(each.state)),
        span(nowMs - each.sinceMs),
        each.restarts,
        each.uid ?? '',
        each.why ? visibleLine(each.why, 400) : '',
      ]),
    ),
  );

const words = (state: string): string => state.replace('-', ' ');
