/** What the llm process has once for all agents: how it stands, what a change of configuration does to it, and that a probe carries no key. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { LoginBegun } from '../../appliance/models/control.ts';
import { createHouse, type ModelsHouse } from '../../appliance/models/house.ts';
import { type Part, readPart } from '../../appliance/models/part.ts';
import { parseStanding } from '../../appliance/models/standing.ts';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';
import { Secret } from '../../proxies/secret.ts';
import { createAuthority } from '../provider/authority.ts';
import { createAuthServer } from '../provider/authserver.ts';
import { createProvider } from '../provider/provider.ts';
import { handLease } from '../proxies/llm/handclock.ts';
import { until } from '../world/appliance.ts';
import { booksFolder, openTestBooks, requested } from './booksof.ts';

type Given = {
  providers?: Record<string, unknown>;
  models?: Record<string, string[]>;
  agents?: string[];
  limits?: Record<string, unknown>;
  keysHeld?: boolean;
};

const partOf = ({
  providers = {},
  models = {},
  agents = ['main'],
  limits = {},
  keysHeld = true,
}: Given): Part =>
  readPart({
    providers,
    models,
    agents: Object.fromEntries(
      agents.map((name) => [name, { aliases: {}, limits: { ...defaultLimits, ...limits }, egress: [] }]),
    ),
    metricsPort: null,
    keysHeld,
  });

async function given(t: TestContext, first: Given, secrets: Record<string, string> = {}) {
  const folder = booksFolder(t);
  const loginFolder = join(folder, 'llm-logins');
  mkdirSync(loginFolder);
  const books = await openTestBooks(folder, { limits: { main: { usdPerDay: 5 } } });
  const said: string[] = [];
  const lease = handLease();
  const parts = {
    books,
    armed: lease,
    secret: (name: string) => (secrets[name] === undefined ? undefined : new Secret(name, secrets[name])),
    loginFolder,
    say: (text: string) => said.push(text),
  };
  const houses: ModelsHouse[] = [];
  const open = (part: Given): ModelsHouse => {
    const house = createHouse({ part: partOf(part), ...parts });
    house.watch([]);
    houses.push(house);
    return house;
  };
  t.after(async () => {
    lease.lose();
    for (const house of houses) {
      house.reconfigure(partOf({}));
      house.logins.close();
    }
    await books.ledger.close();
  });
  return { house: open(first), open, books, lease, said, loginFolder };
}

const standingOf = (house: ModelsHouse) =>
  parseStanding(JSON.parse(JSON.stringify(house.control.standing())) as unknown);

test('what it says of how models stand is what its readers parse, field by field', async (t) => {
  const { house, books } = await given(
    t,
    {
      providers: {
        open: { kind: 'ollama', baseUrl: 'http://127.0.0.1:9', concurrency: 2 },
        keyed: { kind: 'openai', baseUrl: 'https://api.example.com/v1', key: 'k' },
        lost: { kind: 'openai', baseUrl: 'https://api.example.org/v1', key: 'nowhere' },
        plan: {
          kind: 'anthropic',
          baseUrl: 'https://api.example.net',
          login: { deviceUrl: 'https://a.example/d', tokenUrl: 'https://a.example/t', clientId: 'c' },
        },
      },
      agents: ['main', 'scout'],
    },
    { k: 'a-key' },
  );
  const { reservation } = await requested(books, 'main', 'hello');
  books.spend('main').settle(reservation, { usdNano: 2_600_000_000, tokens: 30, sent: true });
  await requested(books, 'scout', 'under way');
  house.notices.tell({ kind: 'unpriced', agent: 'main', provider: 'keyed', model: 'big' });
  house.notices.tell({ kind: 'key-refused', agent: 'main', provider: 'keyed', model: null, status: 401 });
  house.nodes.of({ name: 'open', kind: 'ollama', baseUrl: 'http://127.0.0.1:9', concurrency: 2 });
  house.watch([{ agent: 'main', llm: { breakers: () => ({ keyed: 'open', open: 'closed' }) } as never }]);

  const raw = house.control.standing() as Record<string, Record<string, unknown>[]>;
  const parsed = standingOf(house);
  // A lenient reader makes up for what is missing or of another form: here nothing is.
  assert.deepEqual(Object.keys(parsed).sort(), Object.keys(raw).sort());
  assert.deepEqual(parsed.providers, raw.providers);
  assert.deepEqual(
    parsed.unpriced,
    raw.unpriced?.map(({ kind: _, ...rest }) => rest),
  );
  assert.deepEqual(
    parsed.keyRefused,
    raw.keyRefused?.map(({ kind: _, ...rest }) => rest),
  );
  const main = parsed.agents.find(({ agent }) => agent === 'main')?.spend;
  assert.deepEqual(main?.day, { usd: 2.6, tokens: 30, limitUsd: 5, limitTokens: null });
  assert.deepEqual(main?.month, { usd: 2.6, tokens: 30, limitUsd: null, limitTokens: null });
  assert.deepEqual(main?.warned, [50]);
  assert.match(main?.resets.day ?? '', /^\d{4}-\d\d-\d\dT00:00:00Z$/);
  assert.equal(
    parsed.agents.find(({ agent }) => agent === 'scout')?.spend.day.usd,
    0,
    'reserved is not spent',
  );

  const by = Object.fromEntries(parsed.providers.map(({ name, ...rest }) => [name, rest]));
  assert.deepEqual(
    parsed.providers.map(({ name, keyState }) => `${name} ${keyState}`),
    ['open none', 'keyed held', 'lost missing', 'plan missing'],
  );
  assert.deepEqual(by.keyed?.breakers, { main: 'open' });
  assert.deepEqual(by.open?.breakers, {});
  assert.equal(by.plan?.login?.state, 'none');
  assert.equal(by.lost?.up, null, 'nobody has looked');
});

test('a probe of a node sends no key, though one is held', async (t) => {
  const [one, two, vendor] = [
    await createProvider({ requireKey: 'a-key' }),
    await createProvider({ requireKey: 'a-key' }),
    await createProvider({ requireKey: 'a-key' }),
  ];
  t.after(() => Promise.all([one, two, vendor].map((each) => each.close())));
  const { house } = await given(
    t,
    {
      providers: {
        a: { kind: 'openai', baseUrl: `${one.url}/v1`, key: 'k' },
        b: { kind: 'ollama', baseUrl: two.url, key: 'k' },
        alone: { kind: 'anthropic', baseUrl: vendor.url, key: 'k' },
      },
      models: { smart: ['a/m', 'b/m'], own: ['alone/m'] },
    },
    { k: 'a-key' },
  );
  await until(() => one.requests.length > 0 && two.requests.length > 0, 5000);
  assert.deepEqual([one.requests[0]?.url, two.requests[0]?.url], ['/v1/models', '/api/version']);
  for (const { headers, method, body, url } of [...one.requests, ...two.requests]) {
    assert.deepEqual([method, body], ['GET', '']);
    assert.doesNotMatch(JSON.stringify(headers) + url, /a-key|authorization|api-key/i);
  }
  // A 401 is an answer: somebody is there.
  await until(
    () =>
      standingOf(house)
        .providers.slice(0, 2)
        .every(({ up }) => up === true),
    5000,
  );
  assert.equal(vendor.requests.length, 0, 'who has nobody to step in is not asked');
  // Nor does the operator's list of nodes, beyond what Ollama answers to anybody.
  await house.control.nodes(AbortSignal.timeout(5000));
  for (const { headers } of two.requests) assert.doesNotMatch(JSON.stringify(headers), /a-key/);
});

test('a change of configuration keeps what still holds and lets the rest go', async (t) => {
  const auth = await createAuthServer();
  t.after(() => auth.close());
  const { deviceUrl, tokenUrl, clientId } = auth;
  const plan = {
    kind: 'anthropic',
    baseUrl: 'https://api.example.net',
    login: { deviceUrl, tokenUrl, clientId },
  };
  const local = { kind: 'ollama', baseUrl: 'http://127.0.0.1:9' };
  const before: Given = { providers: { plan, local } };
  const { house, open, said, loginFolder } = await given(t, before);
  const begun = (await house.control.beginLogin('plan')) as LoginBegun;
  assert.equal(standingOf(house).providers[0]?.login?.state, 'asking');
  auth.decide(begun.userCode, true);
  await begun.done;
  assert.deepEqual(readdirSync(loginFolder), ['plan.json']);
  const held = (from = house): string | undefined =>
    standingOf(from).providers.find(({ name }) => name === 'plan')?.login?.state;
  assert.equal(held(), 'held');
  assert.equal(standingOf(house).providers[0]?.keyState, 'held');

  // Another restart reads what was saved.
  const again = open(before);
  await until(() => held(again) === 'held', 5000);
  const saved = JSON.parse(readFileSync(join(loginFolder, 'plan.json'), 'utf8')) as { expiresAt: number };
  assert.ok(
    saved.expiresAt > Date.now(),
    'until when it holds is told by a clock that the next process has too',
  );
  // After a kill none is held, and none is read.
  const without = open({ ...before, keysHeld: false });
  await new Promise((done) => setTimeout(done, 50));
  assert.equal(held(without), 'none');

  const node = house.nodes.of({ name: 'local', kind: 'ollama', baseUrl: local.baseUrl });
  const release = await node.take('main', new AbortController().signal);
  house.notices.tell({ kind: 'unpriced', agent: 'main', provider: 'plan', model: 'x' });
  house.notices.tell({ kind: 'unpriced', agent: 'main', provider: 'plan', model: 'x' });
  assert.equal(said.length, 1, 'said once');

  house.reconfigure(partOf({ providers: { local: { ...local, concurrency: 3 }, plan } }));
  assert.deepEqual(
    standingOf(house).providers.map(({ name }) => name),
    ['local', 'plan'],
    'in the order of the file as it is now',
  );
  assert.equal(held(), 'held', 'the same login goes on');
  assert.deepEqual(standingOf(house).providers[0]?.slots, { busy: 1, of: 3, waiting: 0 });
  if (typeof release === 'function') release();
  assert.deepEqual(standingOf(house).providers[0]?.slots, { busy: 0, of: 3, waiting: 0 });
  assert.deepEqual(standingOf(house).unpriced, [], 'a price may have been said');
  house.notices.tell({ kind: 'unpriced', agent: 'main', provider: 'plan', model: 'x' });
  assert.equal(said.length, 2, 'and what is still so is said anew');

  // Another server: a token of the one is never for the other.
  house.reconfigure(
    partOf({ providers: { plan: { ...plan, login: { ...plan.login, clientId: 'another' } } } }),
  );
  await new Promise((done) => setTimeout(done, 50));
  assert.equal(held(), 'none');
  assert.deepEqual(
    standingOf(house).providers.map(({ name }) => name),
    ['plan'],
  );
  // Back: what was saved is of this server again.
  house.reconfigure(partOf(before));
  await until(() => held() === 'held', 5000);
  assert.match(readFileSync(join(loginFolder, 'plan.json'), 'utf8'), new RegExp([...auth.good][0] ?? 'none'));
});

test('a login is begun where there is one, and only where keys are held', async (t) => {
  const auth = await createAuthServer();
  t.after(() => auth.close());
  const { deviceUrl, tokenUrl, clientId } = auth;
  const providers = {
    plan: { kind: 'anthropic', baseUrl: 'https://api.example.net', login: { deviceUrl, tokenUrl, clientId } },
    local: { kind: 'ollama', baseUrl: 'http://127.0.0.1:9' },
  };
  const { house, open, lease } = await given(t, { providers });
  await assert.rejects(house.control.beginLogin('nobody'), { code: 'no-provider', hint: /plan, local/ });
  await assert.rejects(house.control.beginLogin('local'), { code: 'no-login' });
  const refused = (await house.control.beginLogin('plan')) as LoginBegun;
  auth.decide(refused.userCode, false);
  await assert.rejects(refused.done, { code: 'login-not-granted', message: /said no/ });

  // An ordinary user who has not said yes: neither is a code asked for, nor would a token be kept.
  const asked = auth.asked.length;
  const withheld = open({ providers, keysHeld: false });
  await assert.rejects(withheld.control.beginLogin('plan'), {
    code: 'keys-not-held',
    hint: /holdKeys: true/,
  });
  assert.equal(standingOf(withheld).providers[0]?.keyState, 'withheld');
  lease.lose();
  await assert.rejects(house.control.beginLogin('plan'), { status: 503 });
  assert.equal(auth.asked.length, asked, 'nobody was asked');
});

test('what is saved of a login holds over restarts: when it ends, and the one refresh token that is still good', async (t) => {
  // Each token is good for a second, so that every use renews it.
  const auth = await createAuthServer({ expiresInS: 1 });
  t.after(() => auth.close());
  const { deviceUrl, tokenUrl, clientId } = auth;
  const plan = {
    kind: 'anthropic' as const,
    baseUrl: 'https://api.example.net',
    login: { deviceUrl, tokenUrl, clientId },
  };
  const { house, open, loginFolder } = await given(t, { providers: { plan } });
  const begun = (await house.control.beginLogin('plan')) as LoginBegun;
  auth.decide(begun.userCode, true);
  await begun.done;
  const saved = (): { expiresAt: number; refresh: string } =>
    JSON.parse(readFileSync(join(loginFolder, 'plan.json'), 'utf8')) as {
      expiresAt: number;
      refresh: string;
    };
  // Of the wall clock: the next process counts from another start.
  assert.ok(Math.abs(saved().expiresAt - Date.now()) < 5000, String(saved().expiresAt));

  const used = new Set([saved().refresh]);
  for (let restart = 0; restart < 3; restart += 1) {
    await new Promise((done) => setTimeout(done, 1100));
    const next = open({ providers: { plan } });
    const token = await next.logins.token({ name: 'plan', ...plan });
    assert.ok(token instanceof Secret, JSON.stringify(token));
    assert.ok(auth.good.has(token.reveal()));
    assert.equal(
      used.has(saved().refresh),
      false,
      'the new refresh token is on disk before the token is used',
    );
    used.add(saved().refresh);
  }
  assert.deepEqual(
    auth.asked.filter(({ grantType }) => grantType === 'refresh_token').map(({ said }) => said),
    ['ok', 'ok', 'ok'],
  );
  house.reconfigure(partOf({ providers: { plan }, keysHeld: false }));
  assert.equal(
    standingOf(house).providers[0]?.login?.state,
    'none',
    'where keys are not held, no login is either',
  );
});

test('budgets are gauges: used and limit by agent and window, none where there is no limit or no such agent', async (t) => {
  const { house, books } = await given(t, { agents: ['main', 'scout'] });
  const { reservation } = await requested(books, 'main', 'hello');
  books.spend('main').settle(reservation, { usdNano: 1_250_000_000, tokens: 40, sent: true });
  await requested(books, 'gone', 'of an agent that is not configured any more');
  books.spend('scout').relimit({ ...defaultLimits, usdPerDay: null, usdPerMonth: 20, tokensPerDay: 1000 });
  const samples = async (): Promise<string[]> =>
    (await house.metrics.text()).split('\n').filter((line) => line.startsWith('holdfast_llm_budget'));
  assert.deepEqual((await samples()).sort(), [
    'holdfast_llm_budget_limit_tokens{agent="scout",window="day"} 1000',
    'holdfast_llm_budget_limit_usd{agent="main",window="day"} 5',
    'holdfast_llm_budget_limit_usd{agent="scout",window="month"} 20',
    'holdfast_llm_budget_used_tokens{agent="main",window="day"} 40',
    'holdfast_llm_budget_used_tokens{agent="main",window="month"} 40',
    'holdfast_llm_budget_used_tokens{agent="scout",window="day"} 0',
    'holdfast_llm_budget_used_tokens{agent="scout",window="month"} 0',
    'holdfast_llm_budget_used_usd{agent="main",window="day"} 1.25',
    'holdfast_llm_budget_used_usd{agent="main",window="month"} 1.25',
    'holdfast_llm_budget_used_usd{agent="scout",window="day"} 0',
    'holdfast_llm_budget_used_usd{agent="scout",window="month"} 0',
  ]);
  house.reconfigure(partOf({ agents: ['scout'] }));
  assert.ok(
    (await samples()).every((line) => line.includes('agent="scout"')),
    'who left is not counted on',
  );
});

test('a node with a certificate of its own is asked anew with the files as they are after a change', async (t) => {
  const authority = createAuthority();
  const server = await createProvider({ tls: authority.server() });
  t.after(() => server.close());
  const secrets: Record<string, string> = { 'ca.pem': createAuthority('another').ca };
  const providers = { lab: { kind: 'ollama', baseUrl: server.url, caFile: 'ca.pem' } };
  const { house } = await given(t, { providers }, secrets);
  const list = async () => (await house.control.nodes(AbortSignal.timeout(5000)))[0];
  assert.equal((await list())?.up, false, 'control: it is not trusted');
  secrets['ca.pem'] = authority.ca;
  house.reconfigure(partOf({ providers }));
  assert.equal((await list())?.up, true, JSON.stringify(await list()));
});
