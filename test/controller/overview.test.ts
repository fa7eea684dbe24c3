/** The overview: its one sentence is true in every state, and each row says what to do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from '../../appliance/socket.ts';
import { askOf, form, jobFor, setUp, sitDown, status, walls } from './desk.ts';

const headline = (page: string): string => /<h1>(.*?)<\/h1>/.exec(page)?.[1] ?? '';

const worlds = (state: string, why?: string): unknown[] => [{ agent: 'main', state, why, walls }];

test('the sentence names the worst, and says that all is well only when it is', async (t) => {
  const cases: [string, Record<string, unknown>, RegExp][] = [
    ['well', {}, /^main runs in a sealed world, and nothing waits for you\.$/],
    ['installing', { tools: { state: 'installing', phase: 'image' } }, /the tools are being set up/],
    ['no tools', { tools: { state: 'missing', fix: 'apt install docker.io' } }, /without tools so far/],
    ['starting', { worlds: worlds('starting') }, /^Holdfast is starting\.$/],
    [
      'refused',
      { worlds: worlds('refused', 'no user namespaces') },
      /main may not start, because its world cannot be sealed/,
    ],
    ['stopped', { worlds: worlds('stopped') }, /^No agent runs\.$/],
    ['none', { worlds: [] }, /^No agent runs\.$/],
    [
      'crashing',
      {
        processes: [
          { name: 'llm', state: 'backing-off', pid: null, uid: 1, sinceMs: 0, restarts: 4, why: 'exit 1' },
        ],
      },
      /^llm does not stay up\.$/,
    ],
  ];
  for (const [name, change, expected] of cases) {
    const desk = await sitDown(t, { status: { ...status, ...change } });
    const cookie = await setUp(desk);
    assert.match(headline(await (await desk.request('/', {}, cookie)).text()), expected, name);
  }
});

test('the state word and the sentence follow the keeper, not the launcher', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const page = async (): Promise<string> => (await desk.request('/', {}, cookie)).text();
  for (const [state, expected] of [
    ['armed', /nothing waits for you/],
    ['closed', /Every door is closed for now/],
    ['killed', /stays stopped until you re-arm/],
  ] as const) {
    desk.keeper.state = state;
    const text = await page();
    assert.match(text, new RegExp(`data-state="${state}"`));
    assert.match(headline(text), expected);
  }
  desk.servers.trip.close();
  desk.servers.trip.closeAllConnections();
  const text = await page();
  assert.match(text, /data-state="closed"/);
  assert.match(headline(text), /The keeper does not answer, so every door is closed/);
});

test('without the launcher the page still stands, says so, and keeps KILL and the questions', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const { id } = await desk.inbox.ask(askOf(jobFor('main', 'uname -a')));
  desk.visit(id);
  desk.servers.launch.close();
  desk.servers.launch.closeAllConnections();
  const page = await (await desk.request('/', {}, cookie)).text();
  assert.match(headline(page), /the launcher does not answer, so what runs is not known/);
  assert.match(page, /uname -a/);
  assert.match(page, /action="\/kill"/);
});

test('an answer of the launcher that is not understood is said, not guessed', async (t) => {
  const desk = await sitDown(t, { status: { processes: 'many' } });
  const page = await (await desk.request('/', {}, await setUp(desk))).text();
  assert.match(page, /says something that is not understood/);
});

test('walls show their fix, and a limit that this mode cannot give is no alarm', async (t) => {
  const refused = [
    { wall: 'network', state: 'missing', detail: 'unshare: EPERM', fix: 'install the AppArmor profile' },
    { wall: 'cgroup', state: 'absent', detail: 'ordinary user' },
  ];
  const desk = await sitDown(t, {
    status: {
      ...status,
      mode: 'user',
      worlds: [{ agent: 'main', state: 'refused', why: 'the network wall does not stand', walls: refused }],
    },
  });
  const page = await (await desk.request('/', {}, await setUp(desk))).text();
  assert.match(page, /<code>install the AppArmor profile<\/code>/);
  assert.match(page, /data-tone="plain">absent/);
  assert.match(page, /all processes share one user id/);
});

test('it asks again soon while something is under way, and seldom otherwise', async (t) => {
  const seconds = (page: string): number =>
    Number(/http-equiv="refresh" content="(\d+);url=\/\?auto=1"/.exec(page)?.[1]);
  const quiet = await sitDown(t);
  const cookie = await setUp(quiet);
  assert.equal(seconds(await (await quiet.request('/', {}, cookie)).text()), 10);
  await quiet.inbox.ask(askOf(jobFor('main', 'ls')));
  assert.equal(seconds(await (await quiet.request('/', {}, cookie)).text()), 5);
  assert.ok(!(await (await quiet.request('/exchanges', {}, cookie)).text()).includes('http-equiv="refresh"'));
});

test('`holdfast status` says the same as the page', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const said = (await call(desk.socket('decide'), 'GET /status')) as Record<string, unknown>;
  assert.equal(said.sentence, headline(await (await desk.request('/', {}, cookie)).text()));
  assert.deepEqual([said.state, said.operator, said.instance], ['armed', true, '1a2b3c4d']);
  desk.servers.launch.close();
  desk.servers.launch.closeAllConnections();
  const without = (await call(desk.socket('decide'), 'GET /status')) as Record<string, unknown>;
  assert.equal(without.unreachable, 'The launcher does not answer.');
});

test('what is well is folded to a line, unless the address says otherwise; what is not stays in sight', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const page = await (await desk.request('/', {}, cookie)).text();
  assert.match(page, /<details><summary>all 7 stand<\/summary>/);
  assert.match(page, /<details><summary>all 9 run<\/summary>/);
  const open = await (await desk.request('/?show=all', {}, cookie)).text();
  assert.match(open, /<details open><summary>all 7 stand/);
  assert.match(open, /content="10;url=\/\?auto=1&amp;show=all"/);
  const missing = [...walls, { wall: 'extra', state: 'missing', detail: 'no' }];
  const broken = await sitDown(t, {
    status: {
      ...status,
      worlds: [{ agent: 'main', state: 'refused', walls: missing }],
      processes: [{ name: 'llm', state: 'failed', sinceMs: 0, restarts: 4 }],
    },
  });
  const shown = await (await broken.request('/', {}, await setUp(broken))).text();
  assert.doesNotMatch(shown, /<details/);
});

test('after a yes or a no it says for a minute what was answered to what', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const { id } = await desk.inbox.ask(askOf(jobFor('main', 'ls <b>')));
  await desk.request(`/approvals/${id}/deny`, form({}), cookie);
  const said = /You said no to <code>ls &lt;b&gt;<\/code> at \d\d:\d\d:\d\d\./;
  assert.match(await (await desk.request('/', {}, cookie)).text(), said);
  desk.clock.ms += 60_000;
  assert.doesNotMatch(await (await desk.request('/', {}, cookie)).text(), /You said/);
});

const window = (usd: number, limitUsd: number | null): unknown => ({
  usd,
  tokens: 1200,
  limitUsd,
  limitTokens: null,
});
const spending = (usd: number): unknown => ({
  day: window(usd, 5),
  month: window(31.5, null),
  warned: [],
  resets: { day: '2026-02-04T00:00:00Z', month: '2026-03-01T00:00:00Z' },
});

test('what models want of a person stands above everything, and what was spent below', async (t) => {
  const models = {
    agents: [
      { agent: 'main', spend: spending(4.1) },
      { agent: 'scout', spend: spending(5) },
      { agent: 'quiet', spend: spending(0.1) },
    ],
    providers: [
      {
        name: 'work',
        kind: 'openai',
        up: true,
        slots: null,
        breakers: {},
        keyState: 'login',
        login: { state: 'held', expiresAt: '2026-02-04T09:00:00Z', warn: 'ends tomorrow' },
      },
    ],
    unpriced: [{ provider: 'openai', model: 'gpt-9', agent: 'main', at: '2026-02-03T12:00:00Z' }],
    keyRefused: [{ provider: 'own', model: 'big', status: 401, agent: 'main', at: '2026-02-03T12:00:00Z' }],
  };
  const desk = await sitDown(t, { models });
  const page = await (await desk.request('/', {}, await setUp(desk))).text();
  assert.match(page, /main has used 82 % of its budget for models\./);
  assert.match(
    page,
    /scout has used up its budget for models\.<\/b><\/p><p>Models that cost nothing go on\./,
  );
  assert.doesNotMatch(page, /quiet has used/);
  assert.match(page, /The login at work: ends tomorrow/);
  assert.match(page, /models login work/);
  assert.match(page, /main asked for openai\/gpt-9, and nobody has said what it costs/);
  assert.match(page, /models price openai\/gpt-9 --input USD --output USD/);
  assert.match(page, /own answered 401: its key is wrong, or may not use big/);
  assert.ok(page.indexOf('has used up') < page.indexOf('Waiting for you'));
  assert.match(page, /What the agents have spent on models, in USD/);
  assert.equal(headline(page), 'main runs in a sealed world, and nothing waits for you.');
});

test('a provider is green only when nothing stands in its way', async (t) => {
  const live = (name: string, rest: object) => ({
    name,
    kind: 'openai',
    up: null,
    slots: null,
    breakers: {},
    login: null,
    keyState: 'held',
    ...rest,
  });
  const models = {
    agents: [],
    providers: [
      live('good', { up: true }),
      live('fresh', {}),
      live('off', { up: false }),
      live('tired', { breakers: { main: 'open', scout: 'half-open', other: 'closed' } }),
      live('dear', {}),
      live('shut', { keyState: 'missing' }),
      live('wrong', {}),
    ],
    unpriced: [{ provider: 'dear', model: 'gpt-9', agent: 'main', at: '2026-02-03T12:00:00Z' }],
    keyRefused: [{ provider: 'wrong', model: null, status: 401, agent: 'main', at: '2026-02-03T12:00:00Z' }],
  };
  const providers = [...models.providers.map(({ name }) => name), 'unknown'].map((name) => ({
    name,
    kind: 'openai',
    hasKey: true,
    login: false,
  }));
  const desk = await sitDown(t, { models, providers });
  const page = await (await desk.request('/', {}, await setUp(desk))).text();
  const row = (name: string): string => {
    const at = page.indexOf(`<span class="whole">${name}</span>`);
    assert.ok(at > 0, name);
    return page.slice(at, page.indexOf('</tr>', at));
  };
  for (const [name, tone, word, why] of [
    ['good', 'good', 'up', ''],
    ['fresh', 'good', 'configured', ''],
    ['off', 'bad', 'down', 'it does not answer'],
    ['tired', 'wait', 'rests', 'breaker open for main, half-open for scout'],
    ['dear', 'wait', 'waits for a price', 'gpt-9: nobody has said what it costs'],
    ['shut', 'wait', 'no key', ''],
    ['wrong', 'bad', 'key refused', 'it answered 401'],
    ['unknown', 'plain', 'configured', ''],
  ] as const) {
    assert.ok(row(name).includes(`data-tone="${tone}">${word}</span>`), row(name));
    assert.ok(row(name).includes(why === '' ? 'speaks openai<' : `speaks openai; ${why}<`), row(name));
  }
});

test('an llm process that does not answer, or says something else, takes nothing of the page away', async (t) => {
  for (const models of [undefined, 'nonsense', { agents: 'many', providers: [7] }]) {
    const desk = await sitDown(t, models === undefined ? {} : { models });
    const answer = await desk.request('/', {}, await setUp(desk));
    assert.equal(answer.status, 200);
    assert.doesNotMatch(await answer.text(), /spent on models/);
  }
});
