/** Login, back-off, and the life of a session. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absoluteMs, idleMs } from '../../appliance/controller/session.ts';
import { cookieOf, form, password, setUp, sitDown } from './desk.ts';

const login = (given: string): RequestInit => form({ password: given });

test('the cookie is HttpOnly and SameSite=Strict, its id has 256 bits, and each login makes another', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  const answers = [
    await desk.request('/login', login(password)),
    await desk.request('/login', login(password)),
  ];
  const ids = answers.map((each) => {
    assert.equal(each.status, 303);
    const [cookie = ''] = each.headers.getSetCookie();
    assert.match(cookie, /^holdfast=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    return cookie;
  });
  assert.notEqual(ids[0], ids[1]);
});

test('a session id that was planted before the login is worth nothing after it', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  const planted = `holdfast=${'A'.repeat(43)}`;
  const answer = await desk.request('/login', login(password), planted);
  assert.notEqual(cookieOf(answer), planted);
  assert.equal((await desk.request('/', {}, planted)).status, 303);
});

test('a wrong password is refused, told and put on record', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  const answer = await desk.request('/login', login('not the password'));
  assert.equal(answer.status, 401);
  assert.equal(answer.headers.getSetCookie().length, 0);
  assert.match(await answer.text(), /The password is wrong/);
  assert.equal(desk.acts().at(-1)?.act, 'login-refused');
});

test('after five wrong passwords the right one has to wait too, longer each time, at most five minutes', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  for (let miss = 0; miss < 5; miss += 1)
    assert.equal((await desk.request('/login', login('wrong'))).status, 401);
  assert.equal((await desk.request('/login', login(password))).status, 429);
  desk.clock.ms += 1_001;
  assert.equal((await desk.request('/login', login('wrong'))).status, 401);
  desk.clock.ms += 1_001;
  assert.equal((await desk.request('/login', login(password))).status, 429);
  for (let miss = 0; miss < 20; miss += 1) {
    desk.clock.ms += 300_001;
    assert.equal((await desk.request('/login', login('wrong'))).status, 401);
  }
  desk.clock.ms += 300_001;
  assert.equal((await desk.request('/login', login(password))).status, 303);
  assert.equal((await desk.request('/login', login('wrong'))).status, 401, 'the count starts anew');
});

test('many guesses at once are no way around the back-off', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  const answers = await Promise.all(Array.from({ length: 30 }, () => desk.request('/login', login('wrong'))));
  const counts = [401, 429].map((status) => answers.filter((each) => each.status === status).length);
  assert.deepEqual(counts, [5, 25]);
});

test('the wait outlives a restart, and a clock set back does not make it longer', async (t) => {
  const desk = await sitDown(t);
  await setUp(desk);
  for (let miss = 0; miss < 5; miss += 1) await desk.request('/login', login('wrong'));
  assert.equal(desk.db.prepare('SELECT failures FROM backoff').get()?.failures, 5);
  desk.clock.ms -= 365 * 86_400_000;
  const answer = await desk.request('/login', login(password));
  assert.equal(answer.status, 429);
  assert.match(await answer.text(), /counts in [0-9]+ (s|min)/);
});

test('a session ends when it was idle, and after a day in any case', async (t) => {
  const desk = await sitDown(t);
  const first = await setUp(desk);
  desk.clock.ms += idleMs;
  assert.equal((await desk.request('/', {}, first)).status, 303);

  const second = cookieOf(await desk.request('/login', login(password)));
  for (let spent = 0; spent < absoluteMs - idleMs; spent += idleMs / 2) {
    assert.equal((await desk.request('/', {}, second)).status, 200);
    desk.clock.ms += idleMs / 2;
  }
  desk.clock.ms += idleMs;
  assert.equal((await desk.request('/', {}, second)).status, 303);
});

test('a page that refreshes itself does not keep a session alive', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  for (let at = 0; at < 3; at += 1) {
    desk.clock.ms += idleMs / 3 - 1_000;
    assert.equal((await desk.request('/?auto=1', {}, cookie)).status, 200);
  }
  desk.clock.ms += idleMs / 3 + 3_000;
  assert.equal((await desk.request('/?auto=1', {}, cookie)).status, 303);
});

test('logout ends the session and takes the cookie back', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const answer = await desk.request('/logout', form({}), cookie);
  assert.match(answer.headers.getSetCookie()[0] ?? '', /^holdfast=; .*Max-Age=0/);
  assert.equal((await desk.request('/', {}, cookie)).headers.get('location'), '/login');
});

test('a link from another site finds the operator logged in: the page asks once more from its own site', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const first = await desk.request('/exchanges', { headers: { 'sec-fetch-site': 'cross-site' } });
  assert.match(await first.text(), /http-equiv="refresh" content="0;url=\/exchanges"/);
  assert.equal((await desk.request('/exchanges', {}, cookie)).status, 200);
  assert.equal((await desk.request('/exchanges')).headers.get('location'), '/login');
});
