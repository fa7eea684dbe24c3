/** The one-time setup code and the operator that it makes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from '../../appliance/socket.ts';
import { form, password, setUp, sitDown } from './desk.ts';

test('a new machine leads every page to the set-up, and after it to the login', async (t) => {
  const desk = await sitDown(t);
  for (const path of ['/', '/exchanges', '/login', '/killed']) {
    assert.equal((await desk.request(path)).headers.get('location'), '/setup', path);
  }
  await setUp(desk);
  assert.equal((await desk.request('/')).headers.get('location'), '/login');
  assert.equal((await desk.request('/setup')).headers.get('location'), '/login');
});

test('the code has at least 60 bits, is shown in groups, and is read whatever its case and groups', async (t) => {
  const desk = await sitDown(t);
  const code = desk.setupCode.renew();
  assert.match(code, /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}$/);
  assert.ok(code.replaceAll('-', '').length * 5 >= 60);
  const many = new Set(Array.from({ length: 200 }, () => desk.setupCode.renew()));
  assert.equal(many.size, 200);
  const last = desk.codes.at(-1) ?? '';
  const spelt = last.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
  assert.equal(desk.setupCode.matches(spelt), true);
});

test('only the hash of the code is on disk', async (t) => {
  const desk = await sitDown(t);
  const code = desk.setupCode.renew();
  const row = desk.db.prepare('SELECT * FROM setup_code').get() ?? {};
  const bytes = Object.values(row).map((value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : String(value),
  );
  assert.ok(bytes.every((value) => !value.includes(code) && !value.includes(code.replaceAll('-', ''))));
});

test('sets the operator up once: a second set-up is refused and changes nothing', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  assert.equal((await desk.request('/', {}, cookie)).status, 200);
  const again = await desk.request(
    '/setup',
    form({ code: desk.setupCode.renew(), password: 'another password', again: 'another password' }),
  );
  assert.equal(again.status, 409);
  assert.equal((await desk.operator.prove('another password')).allow, false);
  assert.equal((await desk.operator.prove(password)).allow, true);
});

test('of two set-ups with the same code at the same time exactly one wins', async (t) => {
  const desk = await sitDown(t);
  const code = desk.setupCode.renew();
  const tries = ['first password here', 'second password here'].map((each) =>
    desk.request('/setup', form({ code, password: each, again: each })),
  );
  const answers = await Promise.all(tries);
  assert.equal(answers.filter((each) => each.status === 303).length, 1);
  assert.equal(desk.db.prepare('SELECT count(*) AS n FROM setup_code').get()?.n, 0);
  assert.equal(desk.acts().filter((each) => each.act === 'setup-refused').length, 1);
});

test('ten wrong codes make a new one, which is announced and nowhere else', async (t) => {
  const desk = await sitDown(t);
  const first = desk.setupCode.renew();
  for (let miss = 1; miss <= 9; miss += 1) assert.equal(desk.setupCode.matches(`AAAA-${miss}`), false);
  assert.deepEqual(desk.codes, [first]);
  const tenth = await desk.request('/setup', form({ code: 'ZZZZ', password, again: password }));
  assert.equal(tenth.status, 401);
  const [, second = ''] = desk.codes;
  assert.notEqual(second, first);
  assert.equal(desk.setupCode.matches(first), false);
  assert.equal(desk.setupCode.matches(second), true);
  const told = (await tenth.text()) + JSON.stringify(desk.acts());
  assert.ok(!told.includes(second) && !told.includes(second.replaceAll('-', '')));
});

test('a password that is too short, or two that differ, cost no code and no try', async (t) => {
  const desk = await sitDown(t);
  const code = desk.setupCode.renew();
  for (let at = 0; at < 12; at += 1) {
    assert.equal(
      (await desk.request('/setup', form({ code, password: 'short', again: 'short' }))).status,
      401,
    );
    assert.equal((await desk.request('/setup', form({ code, password, again: `${password}x` }))).status, 401);
  }
  assert.equal((await desk.request('/setup', form({ code, password, again: password }))).status, 303);
});

test('a code that was not the fault stays in its field, a wrong one does not', async (t) => {
  const desk = await sitDown(t);
  const code = desk.setupCode.renew();
  const typed = async (fields: Record<string, string>): Promise<string> =>
    (await desk.request('/setup', form({ code, password, again: password, ...fields }))).text();
  assert.ok((await typed({ again: `${password}x` })).includes(`value="${code}"`));
  assert.ok(!(await typed({ code: 'AAAA' })).includes('value='));
});

test('without a record of it there is no operator, and the code is still good', async (t) => {
  const desk = await sitDown(t);
  const code = desk.setupCode.renew();
  desk.disk.full = true;
  assert.equal((await desk.request('/setup', form({ code, password, again: password }))).status, 503);
  assert.equal(desk.operator.exists(), false);
  desk.disk.full = false;
  assert.equal((await desk.request('/setup', form({ code, password, again: password }))).status, 303);
});

test('the CLI gets a new code while there is no operator, and none afterwards', async (t) => {
  const desk = await sitDown(t);
  const { setupCode } = (await call(desk.socket('decide'), 'POST /setup-code', {})) as { setupCode: string };
  assert.equal(
    (await desk.request('/setup', form({ code: setupCode, password, again: password }))).status,
    303,
  );
  await assert.rejects(call(desk.socket('decide'), 'POST /setup-code', {}), { code: 'operator-exists' });
});

test('no password, code or session id is ever in the acts or in the database as it is', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const code = desk.codes[0] ?? '';
  const acts = JSON.stringify(desk.acts());
  const rows = JSON.stringify(
    ['operator', 'session', 'setup_code'].map((table) => desk.db.prepare(`SELECT * FROM ${table}`).all()),
  );
  for (const secret of [password, code, cookie.split('=')[1] ?? '?']) {
    assert.ok(!acts.includes(secret) && !rows.includes(secret));
  }
});
