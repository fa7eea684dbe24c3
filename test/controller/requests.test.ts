/** What every request must carry and every page says, over all routes that there are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askOf, controller, type Desk, form, jobFor, setUp, sitDown } from './desk.ts';

const routesOf = (desk: Desk, method: string): string[] => [
  ...new Set(
    desk.app.routes
      .filter((route) => route.method === method)
      .map((route) => route.path.replace(':id', '0123456789abcdef')),
  ),
];

const everyPage = async (desk: Desk, cookie: string): Promise<[string, Response][]> => {
  const pages: [string, Response][] = [];
  for (const path of [
    ...routesOf(desk, 'GET'),
    '/no-such-page',
    '/exchanges?door=llm',
    '/chat-login?state=0123456789abcdef',
  ]) {
    pages.push([`${path}, logged in`, await desk.request(path, {}, cookie)]);
    pages.push([`${path}, a stranger`, await desk.request(path)]);
  }
  pages.push(['wrong host', await desk.request('/', { headers: { host: 'localhost:8080' } })]);
  pages.push([
    'foreign form',
    await desk.request('/kill', { ...form({}), headers: { origin: 'http://evil.test' } }),
  ]);
  pages.push(['wrong login', await desk.request('/login', form({ password: 'x' }))]);
  pages.push(['logged out press', await desk.request('/kill', form({}))]);
  pages.push(['bad form', await desk.request('/login', form({ other: 'x' }), cookie)]);
  pages.push(['no such approval', await desk.request('/approvals/nothing/deny', form({}), cookie)]);
  return pages;
};

test('only 127.0.0.1 with the port is answered; any other name gets a page that says the right address', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  for (const host of [
    'localhost:8080',
    '127.0.0.1',
    '127.0.0.1:8081',
    '127.0.0.1:80800',
    'evil.test',
    '[::1]:8080',
    '127.0.0.1:8080.evil.test',
    'LOCALHOST:8080',
  ]) {
    for (const path of ['/', '/login', '/exchanges', '/nothing']) {
      const answer = await desk.request(path, { headers: { host } }, cookie);
      assert.equal(answer.status, 421, `${host} ${path}`);
      assert.match(await answer.text(), /http:\/\/127\.0\.0\.1:8080\//);
    }
  }
  const without = await desk.app.request('http://evil.test/', { headers: { host: '127.0.0.1:8080' } });
  assert.equal(without.status, 421, 'an absolute request target');
});

test('every unsafe route refuses another Origin, none, and a Sec-Fetch-Site that is not ours', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const unsafe = routesOf(desk, 'POST');
  assert.deepEqual(
    unsafe.sort(),
    [
      '/approvals/0123456789abcdef/approve',
      '/approvals/0123456789abcdef/deny',
      '/kill',
      '/login',
      '/logout',
      '/rearm',
      '/setup',
    ],
    'a new unsafe route belongs into this list',
  );
  const wrong: Record<string, string>[] = [
    { origin: '' },
    { origin: 'null' },
    { origin: 'http://localhost:8080' },
    { origin: 'http://localhost:18789' },
    { origin: 'http://127.0.0.1:18789' },
    { origin: 'https://127.0.0.1:8080' },
    { origin: `${controller}/` },
    { origin: 'http://127.0.0.1:8080.evil.test' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'none' },
  ];
  const before = desk.acts().length;
  for (const path of unsafe) {
    for (const headers of wrong) {
      const answer = await desk.request(path, { ...form({}), headers }, cookie);
      assert.equal(answer.status, 403, `${path} ${JSON.stringify(headers)}`);
    }
  }
  assert.equal(desk.keeper.presses.length, 0);
  assert.equal(desk.acts().length, before, 'nothing was done, so nothing is on record');
  assert.equal((await desk.request('/', {}, cookie)).status, 200, 'not logged out either');
});

test('methods that no page uses do nothing, and are refused from elsewhere', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    assert.equal(
      (await desk.request('/kill', { method, headers: { origin: 'http://evil.test' } }, cookie)).status,
      403,
    );
    assert.equal((await desk.request('/kill', { method }, cookie)).status, 404);
  }
  assert.equal((await desk.request('/kill', {}, cookie)).status, 404, 'a link cannot press');
});

test('every unsafe route but set-up and login wants a session', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  for (const path of routesOf(desk, 'POST').filter((each) => each !== '/setup' && each !== '/login')) {
    const answer = await desk.request(path, form({}));
    assert.equal(answer.status, 401, path);
  }
  assert.equal(desk.keeper.presses.length, 0);
});

test('every page carries the whole policy, and none has inline script, style or handlers', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const { id } = await desk.inbox.ask(askOf(jobFor('main', 'ls')));
  desk.visit(id);
  for (const [name, answer] of await everyPage(desk, cookie)) {
    const { headers } = answer;
    const asset = /\.(css|svg)/.test(name);
    const policy = headers.get('content-security-policy') ?? '';
    assert.match(policy, /^default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'/, name);
    assert.match(policy, /base-uri 'none'; frame-ancestors 'none'$/, name);
    assert.ok(!/unsafe|script-src|\*|data:/.test(policy), name);
    assert.equal(headers.get('x-content-type-options'), 'nosniff', name);
    assert.equal(headers.get('referrer-policy'), 'same-origin', name);
    assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin', name);
    assert.match(headers.get('cache-control') ?? '', asset ? /immutable/ : /no-store/, name);
    const text = await answer.text();
    if (asset || !headers.get('content-type')?.includes('html')) continue;
    assert.ok(
      !/<script|<style|<iframe|<object|<embed|\sstyle=|\son[a-z]+=|javascript:|<img/i.test(text),
      name,
    );
    assert.ok(
      !/\b(?:src|href|action)="(?:https?:)?\/\/(?!127\.0\.0\.1:8080|localhost:18789)/.test(text),
      name,
    );
  }
});

test('only the way into the chat may lead a form to the chat', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const policy = async (path: string, with_?: string): Promise<string> =>
    (await desk.request(path, {}, with_)).headers.get('content-security-policy') ?? '';
  assert.match(
    await policy('/chat-login?state=0123456789abcdef&again=1'),
    /form-action 'self' http:\/\/localhost:18789;/,
  );
  assert.match(await policy('/login'), /form-action 'self';/);
  assert.match(await policy('/', cookie), /form-action 'self';/);
});

test('KILL stands in the header of every page of the operator, and on none of a stranger', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const button = /<form class="kill" method="post" action="\/kill">/;
  for (const path of ['/', '/exchanges', '/killed', '/no-such-page']) {
    assert.match(await (await desk.request(path, {}, cookie)).text(), button, path);
  }
  assert.match(
    await (await desk.request('/approvals/x/deny', form({}), cookie)).text(),
    button,
    'on an error too',
  );
  for (const path of ['/login', '/chat-login?state=0123456789abcdef&again=1']) {
    const text = await (await desk.request(path)).text();
    assert.doesNotMatch(text, button, path);
    assert.ok(!text.includes('testbox'), 'a stranger is not told the name either');
  }
});

test('a form with more, fewer, doubled or too many fields is refused in words', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  const send = (body: string, type = 'application/x-www-form-urlencoded'): Promise<Response> | Response =>
    desk.request('/login', { method: 'POST', body, headers: { 'content-type': type } });
  assert.equal((await send('password=a&password=b')).status, 400);
  assert.equal((await send('password=a&admin=1')).status, 400);
  assert.equal((await send('')).status, 400);
  assert.equal((await send('{"password":"a"}', 'application/json')).status, 415);
  assert.equal((await send('password=a', 'multipart/form-data; boundary=x')).status, 415);
  assert.equal((await send(`password=${'a'.repeat(20_000)}`)).status, 413);
  assert.equal((await send('state=%00&password=a')).status, 400);
});

test('who asks for JSON gets a problem as JSON', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const answer = await desk.request(
    '/approvals/x/deny',
    { ...form({}), headers: { accept: 'application/json' } },
    cookie,
  );
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  assert.equal(((await answer.json()) as { type: string }).type, 'holdfast:no-approval');
});
