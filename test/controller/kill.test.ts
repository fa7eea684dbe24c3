/** KILL on the page, its receipt, and the quiet way back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from '../../appliance/socket.ts';
import { form, password, setUp, sitDown } from './desk.ts';

const rearm = (fields: Partial<Record<'password' | 'reason', string>>): RequestInit =>
  form({ password, reason: 'the mail rule is mended', ...fields });

test('one press goes to the keeper, is on record, and shows the receipt step by step', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const press = await desk.request('/kill', form({}), cookie);
  assert.equal(press.status, 303);
  assert.equal(press.headers.get('location'), '/killed');
  assert.deepEqual(desk.keeper.presses, [{ reason: 'KILL was pressed on the page', by: 'operator' }]);
  assert.deepEqual(
    [desk.acts().at(-1)?.act, desk.acts().at(-1)?.receipt],
    ['kill', '5b0c9f6e-0d3f-4a63-9a37-0f6f6f0a7c11'],
  );
  const page = await (await desk.request('/killed', {}, cookie)).text();
  for (const words of [
    'lease dropped',
    '0.2 ms',
    'worlds verified empty',
    '152 ms',
    'data-state="killed"',
    'stays stopped until you re-arm',
  ]) {
    assert.ok(page.includes(words), words);
  }
  assert.ok(page.indexOf('id="rearm"') < page.indexOf('id="receipt"'), 'the way on comes first');
  assert.ok(page.indexOf('latch on disk') < page.indexOf('worlds and llm ended'), 'sorted by time');
  const [, since] = /Since ([\d:]+): /.exec(page) ?? [];
  assert.ok(since && page.includes(`7c11, ${since}, pressed by`), 'one moment of the press');
});

test('a press works with the launcher dead, and with a full disk', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  desk.servers.launch.close();
  desk.servers.launch.closeAllConnections();
  desk.disk.full = true;
  assert.equal((await desk.request('/kill', form({}), cookie)).status, 303);
  assert.equal(desk.keeper.presses.length, 1);
  const page = await (await desk.request('/killed', {}, cookie)).text();
  assert.match(page, /could not put it on record/);
  assert.match(page, /The launcher does not answer/);
});

test('a press that nobody took says so, and what to do', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  desk.servers.trip.close();
  desk.servers.trip.closeAllConnections();
  const answer = await desk.request('/kill', form({}), cookie);
  assert.equal(answer.status, 502);
  const page = await answer.text();
  assert.match(page, /did not get through/);
  assert.match(page, /npm run -s holdfast -- kill/);
  assert.match(page, /action="\/kill"/, 'it can be pressed again');
});

test('any body is good enough for a press', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const odd = { method: 'POST', body: 'x'.repeat(100_000), headers: { 'content-type': 'text/plain' } };
  assert.equal((await desk.request('/kill', odd, cookie)).status, 303);
});

test('a press that was made elsewhere shows its receipt here too', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  await call(desk.socket('trip'), 'POST /trip', { reason: '/kill in the chat', by: 'chat' });
  const page = await (await desk.request('/killed', {}, cookie)).text();
  assert.match(page, /pressed by chat/);
  assert.match(page, /\/kill in the chat/);
});

test('re-arming wants the password again and a reason, and says what will start', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  await desk.request('/kill', form({}), cookie);
  const page = await (await desk.request('/killed', {}, cookie)).text();
  assert.match(page, /These start anew, each in a new world: main\./);
  const tries: [RequestInit, number][] = [
    [rearm({ password: 'wrong' }), 401],
    [rearm({ password: '' }), 401],
    [rearm({ reason: '' }), 400],
    [rearm({ reason: '  x ' }), 400],
    [form({ password }), 400],
    [form({ reason: 'because' }), 400],
    [form({ password, reason: 'because', force: '1' }), 400],
  ];
  for (const [init, status] of tries)
    assert.equal((await desk.request('/rearm', init, cookie)).status, status);
  assert.equal(desk.keeper.rearms.length, 0);
  assert.equal((await desk.request('/rearm', rearm({}), cookie)).headers.get('location'), '/');
  assert.deepEqual(desk.keeper.rearms, [{ reason: 'the mail rule is mended', by: 'operator' }]);
  const { act, reason } = desk.acts().at(-1) ?? {};
  assert.deepEqual([act, reason], ['rearm', 'the mail rule is mended']);
});

test('wrong passwords at re-arm count as wrong logins', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  await desk.request('/kill', form({}), cookie);
  for (let miss = 0; miss < 5; miss += 1) await desk.request('/rearm', rearm({ password: 'wrong' }), cookie);
  assert.equal((await desk.request('/rearm', rearm({}), cookie)).status, 429);
  assert.equal((await desk.request('/login', form({ password }))).status, 429);
  assert.equal(desk.keeper.rearms.length, 0);
});

test('re-arming what is not killed does nothing, and no password is needed to hear that', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  assert.equal((await desk.request('/rearm', rearm({ password: 'wrong' }), cookie)).status, 409);
  assert.equal(desk.keeper.rearms.length, 0);
});

test('without a record there is no re-arm', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  await desk.request('/kill', form({}), cookie);
  desk.disk.full = true;
  assert.equal((await desk.request('/rearm', rearm({}), cookie)).status, 503);
  assert.equal(desk.keeper.rearms.length, 0);
});

test('the CLI re-arms over the decide socket with a reason; the ask and session sockets cannot', async (t) => {
  const desk = await sitDown(t);
  await call(desk.socket('trip'), 'POST /trip', { reason: 'test', by: 'cli' });
  for (const socket of ['ask', 'session']) {
    await assert.rejects(call(desk.socket(socket), 'POST /rearm', { reason: 'please' }), { status: 404 });
  }
  await assert.rejects(call(desk.socket('decide'), 'POST /rearm', {}), { status: 400 });
  await call(desk.socket('decide'), 'POST /rearm', { reason: 'checked by hand' });
  assert.equal(desk.keeper.state, 'armed');
  await assert.rejects(call(desk.socket('decide'), 'POST /rearm', { reason: 'again' }), {
    code: 'not-killed',
  });
});
