/** The way from the controller's login into the chat: one code, one minute, one state, one place to go. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from '../../appliance/socket.ts';
import { chat, type Desk, form, password, setUp, sitDown } from './desk.ts';

const state = 'Xk3_9Qh2-aB7cD1eF5gH0w';

async function codeFor(desk: Desk, cookie: string, of = state): Promise<string> {
  const answer = await desk.request(`/chat-login?state=${of}`, {}, cookie);
  assert.equal(answer.status, 303);
  const to = new URL(answer.headers.get('location') ?? '');
  assert.equal(`${to.origin}${to.pathname}`, `${chat}/login`);
  assert.equal(to.searchParams.get('state'), of);
  return to.searchParams.get('code') ?? '';
}

const redeem = (desk: Desk, body: unknown): Promise<{ session: string; operator: string }> =>
  call(desk.socket('session'), 'POST /redeem', body) as Promise<{ session: string; operator: string }>;
const check = (desk: Desk, session: string): Promise<unknown> =>
  call(desk.socket('session'), 'POST /check', { session });

test('a logged-in operator goes straight to the chat, and the gateway gets a session for the code', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const { session, operator } = await redeem(desk, { code: await codeFor(desk, cookie), state });
  assert.equal(operator, 'operator');
  assert.deepEqual(await check(desk, session), { ok: true, operator: 'operator' });
  await call(desk.socket('session'), 'POST /end', { session });
  assert.deepEqual(await check(desk, session), { ok: false });
});

test('the code works once, for a minute, and for the state that it was made for', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const used = await codeFor(desk, cookie);
  await redeem(desk, { code: used, state });
  await assert.rejects(redeem(desk, { code: used, state }), { code: 'bad-code' });

  const old = await codeFor(desk, cookie);
  desk.clock.ms += 60_000;
  await assert.rejects(redeem(desk, { code: old, state }), { code: 'bad-code' });

  const stolen = await codeFor(desk, cookie);
  await assert.rejects(redeem(desk, { code: stolen, state: 'aaaaaaaaaaaaaaaaaaaa' }), { code: 'bad-code' });
  await assert.rejects(
    redeem(desk, { code: stolen, state }),
    { code: 'bad-code' },
    'burnt by the wrong state',
  );
  await assert.rejects(redeem(desk, { code: await codeFor(desk, cookie) }), { code: 'bad-body' });
  for (const code of ['', 'x', 'A'.repeat(43)])
    await assert.rejects(redeem(desk, { code, state }), { code: 'bad-code' });
});

test('of two that bring the same code at once one gets a session', async (t) => {
  const desk = await sitDown(t);
  const code = await codeFor(desk, await setUp(desk));
  const tries = await Promise.allSettled([redeem(desk, { code, state }), redeem(desk, { code, state })]);
  assert.equal(tries.filter((each) => each.status === 'fulfilled').length, 1);
});

test('a stranger is asked once more from our own site, then for the password, then sent to the chat', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  const first = await desk.request(`/chat-login?state=${state}`, {
    headers: { 'sec-fetch-site': 'cross-site' },
  });
  assert.match(await first.text(), new RegExp(`content="0;url=/chat-login\\?state=${state}&amp;again=1"`));
  const second = await (await desk.request(`/chat-login?state=${state}&again=1`)).text();
  assert.match(second, new RegExp(`<input type="hidden" name="state" value="${state}"`));
  const wrong = await desk.request('/login', form({ password: 'wrong', state }));
  assert.equal(wrong.status, 401);
  assert.match(await wrong.text(), /name="state"/, 'the way on is kept');
  const right = await desk.request('/login', form({ password, state }));
  assert.ok(right.headers.get('location')?.startsWith(`${chat}/login?code=`));
  assert.equal(right.headers.getSetCookie().length, 1, 'the controller knows the operator from now on, too');
});

test('whatever the request says, the only other place that is ever redirected to is the chat', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const odd = [
    'state=',
    `state=${state}&next=http://evil.test`,
    `state=${state}%0d%0aLocation:%20http://evil.test`,
    'state=http://evil.test/aaaaaaaaaaaa',
    `state=${state}&redirect_uri=//evil.test`,
    'state[]=aaaaaaaaaaaaaaaaaaaa',
    `state=${'a'.repeat(500)}`,
    '',
    `state=${state}@evil.test`,
  ];
  for (const query of odd) {
    for (const host of ['127.0.0.1:8080', 'evil.test']) {
      const answer = await desk.request(`/chat-login?${query}`, { headers: { host } }, cookie);
      const to = answer.headers.get('location');
      assert.ok(to === null || to.startsWith(`${chat}/login?`), `${query}: ${to}`);
    }
  }
  const after = await desk.request('/login', form({ password, state: '//evil.test/aaaaaaaaa' }));
  assert.equal(after.status, 400);
});

test('a chat session opens nothing at the controller, and a controller session nothing at the chat', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const { session } = await redeem(desk, { code: await codeFor(desk, cookie), state });
  assert.equal((await desk.request('/', {}, `holdfast=${session}`)).headers.get('location'), '/login');
  assert.equal((await desk.request('/kill', form({}), `holdfast=${session}`)).status, 401);
  assert.deepEqual(await check(desk, cookie.split('=')[1] ?? ''), { ok: false });
  assert.deepEqual(await call(desk.socket('session'), 'POST /end', { session: cookie.split('=')[1] }), {
    ended: false,
  });
  assert.equal((await desk.request('/', {}, cookie)).status, 200);
});

test('logging out at the controller ends the chat sessions that came from it', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const { session } = await redeem(desk, { code: await codeFor(desk, cookie), state });
  await desk.request('/logout', form({}), cookie);
  assert.deepEqual(await check(desk, session), { ok: false });
});

test('the logout that the chat links to is a page with a form, and nothing is ended by the link', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const page = await (await desk.request('/logout', {}, cookie)).text();
  assert.equal(page.match(/action="\/logout"/g)?.length, 1);
  assert.equal((await desk.request('/', {}, cookie)).status, 200);
});

test('a code outlives neither the session that it came from nor a restart', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const code = await codeFor(desk, cookie);
  await desk.request('/logout', form({}), cookie);
  await assert.rejects(redeem(desk, { code, state }), { code: 'bad-code' });
});

test('the session socket in hostile hands lists nothing, approves nothing and gives no other session', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  for (const route of [
    'GET /sessions',
    'GET /',
    'POST /login',
    'POST /approvals',
    'POST /rearm',
    'POST /session',
  ]) {
    const body = route.startsWith('GET') ? undefined : {};
    await assert.rejects(call(desk.socket('session'), route, body), { status: 404 }, route);
  }
  for (const body of [
    {},
    { session: 5 },
    { session: ['x'] },
    { session: 'x', surface: 'controller' },
    null,
  ]) {
    await assert.rejects(call(desk.socket('session'), 'POST /check', body), { status: 400 });
  }
});
