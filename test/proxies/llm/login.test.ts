/** Logins instead of keys: the device flow and the refreshing, against a small authorization server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import type { Denial } from '../../../proxies/llm/denial.ts';
import { createLogins } from '../../../proxies/llm/keys/login.ts';
import type { Provider } from '../../../proxies/llm/kinds/kind.ts';
import { Secret } from '../../../proxies/secret.ts';
import { type HandClock, handClock, handLease, settled } from './handclock.ts';

type Asked = { path: string; form: Record<string, string>; headers: IncomingMessage['headers'] };
type Reply = {
  status?: number;
  json?: unknown;
  text?: string;
  headers?: Record<string, string>;
  never?: true;
};
type Script = (asked: Asked) => Reply;

const device = {
  device_code: 'device-code-1',
  user_code: 'WDJB-MJHT',
  verification_uri: 'https://login.example.com/device',
  expires_in: 900,
  interval: 5,
};
const token = (nth: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  access_token: `access-${nth}`,
  refresh_token: `refresh-${nth}`,
  token_type: 'Bearer',
  expires_in: 3600,
  ...more,
});

/** Not a moment that any of the tests names. */
const start = Date.UTC(2026, 10, 21, 12);

async function given(t: TestContext, script: Script) {
  const asked: Asked[] = [];
  let under = 0;
  const server = createServer(async (req: IncomingMessage, res: ServerResponse) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    const own = {
      path: req.url ?? '',
      form: Object.fromEntries(new URLSearchParams(body)),
      headers: req.headers,
    };
    asked.push(own);
    const { status = 200, json, text, headers, never } = script(own);
    if (never) return;
    res.writeHead(status, { 'content-type': 'application/json', ...headers });
    res.end(text ?? JSON.stringify(json));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  const provider: Provider = {
    name: 'claude',
    kind: 'anthropic',
    baseUrl: 'https://api.example.com',
    login: {
      deviceUrl: `${origin}/device`,
      tokenUrl: `${origin}/token`,
      clientId: 'holdfast',
      scope: 'models',
    },
  };
  const clock: HandClock = handClock(start);
  const lease = handLease();
  const saved = new Map<string, string>();
  const disk = { full: false };
  const store = {
    read: async (name: string) => saved.get(name),
    write: async (name: string, text: string) => {
      if (disk.full) throw new Error('ENOSPC');
      saved.set(name, text);
    },
  };
  const counting = async (url: string, init: RequestInit): Promise<Response> => {
    under += 1;
    try {
      return await fetch(url, init);
    } finally {
      under -= 1;
    }
  };
  const open = () => createLogins({ store, fetch: counting, clock, armed: lease });
  const logins = open();
  t.after(() => {
    logins.close();
    server.close();
    server.closeAllConnections();
  });
  /** The clock goes on, and what is on its way over the socket arrives. */
  const turn = async (ms: number): Promise<void> => {
    await clock.turn(ms);
    await quiet();
  };
  const quiet = async (): Promise<void> => {
    await settled();
    while (under > 0) await settled();
    for (let nth = 0; nth < 5; nth += 1) await settled();
  };
  return { provider, logins, asked, clock, lease, saved, disk, open, turn, quiet, origin };
}

const holds = async (logins: ReturnType<typeof createLogins>, provider: Provider): Promise<string> => {
  const got = await logins.token(provider);
  return got instanceof Secret ? got.reveal() : `denied ${got.rule}`;
};

const ok = <T extends object>(value: T | Denial): T => {
  assert.ok(!('allow' in value), JSON.stringify(value));
  return value as T;
};

/** Logged in, at the clock's beginning, with the first token. */
async function loggedIn(t: TestContext, script: Script, first = token(1)) {
  let granted = false;
  const world = await given(t, (own) => {
    if (own.path === '/device') return { json: device };
    if (granted) return script(own);
    granted = true;
    return { json: first };
  });
  const { done } = ok(await world.logins.begin(world.provider));
  await world.turn(5000);
  assert.equal(await done, undefined);
  world.asked.length = 0;
  return world;
}

test('a person enters the code elsewhere, and the token is held: pending, slower, then granted', async (t) => {
  const replies: Reply[] = [
    { status: 400, json: { error: 'authorization_pending' } },
    { status: 400, json: { error: 'slow_down' } },
    { status: 400, json: { error: 'authorization_pending' } },
    { json: token(1) },
  ];
  const world = await given(t, ({ path }) =>
    path === '/device' ? { json: device } : (replies.shift() as Reply),
  );
  const { provider, logins, asked, saved, turn } = world;
  assert.equal(await holds(logins, provider), 'denied login-needed');
  const prompt = ok(await logins.begin(provider));
  assert.equal(prompt.userCode, 'WDJB-MJHT');
  assert.equal(prompt.verificationUri, 'https://login.example.com/device');
  assert.equal(prompt.expiresAt.getTime(), start + 900_000);
  assert.deepEqual(asked[0]?.form, { client_id: 'holdfast', scope: 'models' });
  assert.equal(logins.standing()[0]?.state, 'asking');
  const polls: number[] = [];
  for (const ms of [4999, 1, 5000, 9999, 1, 9999, 1]) {
    await turn(ms);
    polls.push(asked.length - 1);
  }
  assert.deepEqual(polls, [0, 1, 2, 2, 3, 3, 4], 'every 5 s, and every 10 s when asked to slow down');
  assert.equal(await prompt.done, undefined);
  assert.deepEqual(asked[1]?.form, {
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code: 'device-code-1',
    client_id: 'holdfast',
  });
  assert.equal(await holds(logins, provider), 'access-1');
  assert.deepEqual(logins.standing(), [{ provider: 'claude', state: 'held', expiresAt: null, warn: null }]);
  assert.match(saved.get('claude') ?? '', /"refresh":"refresh-1"/);
});

test('no, too late, and an answer that is none end the login with a word', async (t) => {
  const cases: [Reply, string, RegExp][] = [
    [{ status: 400, json: { error: 'access_denied' } }, 'login-not-granted', /the person said no/],
    [{ status: 400, json: { error: 'expired_token' } }, 'login-not-in-time', /nobody entered the code/],
    [{ status: 400, json: { error: 'refresh-1 access-1' } }, 'login-not-granted', /another-error/],
    [{ status: 200, json: { access_token: 'a b', token_type: 'bearer' } }, 'login-not-granted', /malformed/],
    [{ status: 200, json: { access_token: 'a', token_type: 'mac' } }, 'login-not-granted', /malformed/],
    [{ status: 404, text: '<html>' }, 'login-not-granted', /not-json/],
    [{ status: 200, text: `"${'x'.repeat(70_000)}"` }, 'login-not-granted', /answer-too-long/],
  ];
  for (const [reply, rule, reason] of cases) {
    const { provider, logins, turn } = await given(t, ({ path }) =>
      path === '/device' ? { json: device } : reply,
    );
    const { done } = ok(await logins.begin(provider));
    await turn(5000);
    const denial = await done;
    assert.equal(denial?.rule, rule);
    assert.match(denial?.reason ?? '', reason);
    assert.match(denial?.hint ?? '', /holdfast models login claude/);
    assert.equal(logins.standing()[0]?.state, 'none');
  }
});

test('a code is asked for until it has run out, less often while the server is away', async (t) => {
  const { provider, logins, asked, turn } = await given(t, ({ path }) =>
    path === '/device'
      ? { json: { ...device, interval: undefined, expires_in: '120' } }
      : { status: 503, text: '' },
  );
  const { done } = ok(await logins.begin(provider));
  for (let second = 0; second < 200; second += 5) await turn(5000);
  assert.equal((await done)?.rule, 'login-not-in-time');
  assert.equal(asked.length - 1, 4, 'after 5, 15, 35 and 75 s');
});

test('a code that could fool a person is not shown', async (t) => {
  const odd = [
    { user_code: 'a\u001b[2J' },
    { user_code: '' },
    { user_code: 'x'.repeat(65) },
    { verification_uri: 'javascript:alert(1)' },
    { verification_uri: 'http://login.example.com/' },
    { verification_uri: 'https://user:pass@login.example.com/' },
    { verification_uri: 'https://login.example.com/\u202e' },
    { device_code: 7 },
    { expires_in: -1 },
    { expires_in: undefined },
  ];
  for (const each of odd) {
    const { provider, logins } = await given(t, () => ({ json: { ...device, ...each } }));
    const begun = await logins.begin(provider);
    assert.ok('allow' in begun && begun.rule === 'login-not-granted', JSON.stringify(each));
    assert.equal(logins.standing()[0]?.state, 'none');
  }
});

test('renewed five minutes ahead, beside the exchange that still has the old one, and once for all', async (t) => {
  const { provider, logins, asked, saved, turn, quiet } = await loggedIn(t, () => ({
    json: token(2, { refresh_token: undefined }),
  }));
  await turn(3_299_000);
  assert.equal(await holds(logins, provider), 'access-1');
  assert.equal(asked.length, 0);
  await turn(1000);
  const many = await Promise.all(Array.from({ length: 50 }, () => holds(logins, provider)));
  assert.deepEqual([...new Set(many)], ['access-1']);
  await quiet();
  assert.equal(asked.length, 1);
  assert.deepEqual(asked[0]?.form, {
    grant_type: 'refresh_token',
    refresh_token: 'refresh-1',
    client_id: 'holdfast',
    scope: 'models',
  });
  assert.equal(await holds(logins, provider), 'access-2');
  assert.match(saved.get('claude') ?? '', /"access":"access-2".*"refresh":"refresh-1"/);
});

test('waits for a new one when the old one has run out, once for all', async (t) => {
  const { provider, logins, asked, turn } = await loggedIn(t, () => ({ json: token(2) }));
  await turn(3_600_000);
  const many = await Promise.all(Array.from({ length: 50 }, () => holds(logins, provider)));
  assert.deepEqual([...new Set(many)], ['access-2']);
  assert.equal(asked.length, 1);
});

test('a login that was withdrawn says which command brings it back, and is not asked for again', async (t) => {
  const { provider, logins, asked, turn, quiet } = await loggedIn(t, () => ({
    status: 400,
    json: { error: 'invalid_grant' },
  }));
  await turn(3_400_000);
  assert.equal(await holds(logins, provider), 'access-1', 'the old one still holds');
  await quiet();
  assert.equal(await holds(logins, provider), 'access-1');
  await turn(200_000);
  const denial = await logins.token(provider);
  assert.ok('allow' in denial);
  assert.equal(denial.rule, 'login-needed');
  assert.match(denial.hint, /holdfast models login claude/);
  assert.equal(denial.retryAfterS, undefined);
  assert.equal(asked.length, 1);
  const [standing] = logins.standing();
  assert.equal(standing?.state, 'expired');
  assert.match(standing?.warn ?? '', /holdfast models login claude/);
});

test('a server that is away is asked again after 30 s; the old token serves as long as it holds', async (t) => {
  let away = true;
  const { provider, logins, asked, turn, quiet } = await loggedIn(t, () =>
    away ? { status: 502, text: 'bad' } : { json: token(2) },
  );
  await turn(3_400_000);
  assert.equal(await holds(logins, provider), 'access-1');
  await quiet();
  assert.equal(await holds(logins, provider), 'access-1');
  assert.equal(asked.length, 1);
  await turn(200_000);
  const denial = await logins.token(provider);
  assert.ok('allow' in denial);
  assert.equal(denial.rule, 'login-not-renewed');
  assert.equal(denial.retryAfterS, 30);
  assert.equal(asked.length, 2);
  assert.equal(await holds(logins, provider), 'denied login-not-renewed');
  assert.equal(asked.length, 2);
  away = false;
  await turn(30_000);
  assert.equal(await holds(logins, provider), 'access-2');
});

test('says a day ahead that it will expire', async (t) => {
  const day = 86_400;
  const { logins, turn } = await loggedIn(
    t,
    () => ({ json: token(2) }),
    token(1, { refresh_token_expires_in: 3 * day }),
  );
  const [before] = logins.standing();
  assert.equal(before?.expiresAt?.getTime(), start + 5000 + 3 * day * 1000);
  assert.equal(before?.warn, null);
  await turn(2 * day * 1000 + 1);
  assert.match(logins.standing()[0]?.warn ?? '', /expires within a day.*holdfast models login claude/);
  await turn(day * 1000);
  assert.equal(logins.standing()[0]?.state, 'expired');
});

test('without a refresh token it is what it is: until it has run out', async (t) => {
  const { provider, logins, asked, turn } = await loggedIn(
    t,
    () => assert.fail(),
    token(1, { refresh_token: undefined }),
  );
  assert.match(logins.standing()[0]?.warn ?? '', /within a day/);
  await turn(3_599_000);
  assert.equal(await holds(logins, provider), 'access-1');
  await turn(1000);
  assert.equal(await holds(logins, provider), 'denied login-needed');
  assert.equal(asked.length, 0);
});

test('survives a restart; what was saved for another server or client is not used', async (t) => {
  const { provider, logins, open, saved, asked } = await loggedIn(t, () => assert.fail());
  logins.close();
  const again = open();
  again.keep([provider]);
  await settled();
  assert.equal(again.standing()[0]?.state, 'held');
  assert.equal(await holds(again, provider), 'access-1');
  const { login } = provider;
  assert.ok(login);
  for (const changed of [{ tokenUrl: 'https://evil.example/token' }, { clientId: 'other' }]) {
    assert.equal(
      await holds(open(), { ...provider, login: { ...login, ...changed } }),
      'denied login-needed',
    );
  }
  for (const text of [
    '',
    '{',
    '[]',
    '{"version":1}',
    saved.get('claude')?.replace('"version":1', '"version":2') ?? '',
  ]) {
    saved.set('claude', text);
    assert.equal(await holds(open(), provider), 'denied login-needed', text);
  }
  assert.equal(asked.length, 0);
  again.keep([{ ...provider, login: { ...login, clientId: 'other' } }]);
  await settled();
  assert.equal(again.standing()[0]?.state, 'none');
  again.keep([]);
  assert.deepEqual(again.standing(), []);
});

test('a full disk keeps the token in use and says so', async (t) => {
  const { provider, logins, disk, turn } = await loggedIn(t, () => ({ json: token(2) }));
  disk.full = true;
  await turn(3_600_000);
  assert.equal(await holds(logins, provider), 'access-2');
  assert.match(logins.standing()[0]?.warn ?? '', /could not be saved/);
});

test('a redirect is refused: the form goes nowhere else', async (t) => {
  let reached = false;
  const other = await given(t, () => {
    reached = true;
    return { json: token(9) };
  });
  const { provider, logins, turn } = await loggedIn(t, () => ({
    status: 307,
    json: {},
    headers: { location: `${other.origin}/token` },
  }));
  await turn(3_600_000);
  assert.equal(await holds(logins, provider), 'denied login-not-renewed');
  assert.equal(reached, false);
});

test('nothing leaves without the lease, and losing it ends a login under way', async (t) => {
  const { provider, logins, asked, lease, turn } = await loggedIn(t, () => ({ json: token(2) }));
  lease.lose();
  const begun = await logins.begin(provider);
  assert.ok('allow' in begun && begun.rule === 'closed');
  await turn(3_600_000);
  assert.equal(await holds(logins, provider), 'denied closed');
  assert.equal(asked.length, 0);
  lease.restore();
  const { done } = ok(await logins.begin(provider));
  lease.lose();
  assert.equal((await done)?.rule, 'closed');
});

test('a lost lease ends a renewal under way', async (t) => {
  const { provider, logins, lease, turn, asked } = await loggedIn(t, () => ({ never: true }));
  await turn(3_600_000);
  const waiting = holds(logins, provider);
  while (asked.length === 0) await settled();
  lease.lose();
  assert.equal(await waiting, 'denied login-not-renewed');
});

test('a second login for the same provider ends the first, and a signal ends it too', async (t) => {
  const { provider, logins } = await given(t, () => ({ json: device }));
  const first = ok(await logins.begin(provider));
  const stop = new AbortController();
  const second = ok(await logins.begin(provider, stop.signal));
  assert.equal((await first.done)?.rule, 'login-stopped');
  assert.equal(logins.standing()[0]?.state, 'asking');
  stop.abort();
  assert.equal((await second.done)?.rule, 'login-stopped');
  assert.equal(logins.standing()[0]?.state, 'none');
});

test('a server that never answers is left after 30 s', async (t) => {
  const { provider, logins, clock } = await given(t, () => ({ never: true }));
  const beginning = logins.begin(provider);
  await settled();
  await clock.turn(30_000);
  const begun = await beginning;
  assert.ok('allow' in begun);
  assert.match(begun.reason, /unreachable/);
});

test('no token is ever in an error, a standing or a print', async (t) => {
  const echo = (own: Asked): Reply => ({
    status: 400,
    json: {
      error: `bad ${own.form.refresh_token ?? own.form.device_code}`,
      error_description: JSON.stringify(own.form),
    },
  });
  const world = await loggedIn(t, echo);
  await world.turn(3_600_000);
  const said = [await world.logins.token(world.provider), world.logins.standing(), world.logins];
  const text = said.map((each) => `${JSON.stringify(each)}${inspect(each, { depth: 9 })}`).join('');
  assert.doesNotMatch(text, /access-1|refresh-1|device-code-1/);

  const fresh = await given(t, (own) => (own.path === '/device' ? { json: device } : echo(own)));
  const { done } = ok(await fresh.logins.begin(fresh.provider));
  await fresh.turn(5000);
  assert.doesNotMatch(JSON.stringify(await done), /device-code-1/);
});

test('a provider without a login says so', async (t) => {
  const { provider, logins } = await given(t, () => assert.fail());
  const { login: _, ...keyed } = provider;
  assert.equal(await holds(logins, keyed), 'denied no-login');
});
