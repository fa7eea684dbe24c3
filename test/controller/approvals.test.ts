/** A question from the ask socket to the yes or no of the operator, and everything that must not become a yes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { call } from '../../appliance/socket.ts';
import { approvalSchema, type Job, type SignedApproval, verifyApproval } from '../../sandbox/approval.ts';
import { askOf, type Desk, form, jobFor, setUp, sitDown } from './desk.ts';

type Answer = { id: string; state: string; expiresAt: string; approval?: SignedApproval; reason?: string };

const ask = async (desk: Desk, job: Job): Promise<Answer> =>
  (await call(desk.socket('ask'), 'POST /approvals', askOf(job))) as Answer;
const wait = (desk: Desk, id: string, waitMs = 0): Promise<Answer> =>
  call(desk.socket('ask'), `GET /approvals/${id}?waitMs=${waitMs}`) as Promise<Answer>;
const yes = (desk: Desk, cookie: string, id: string, digest: string): Response | Promise<Response> =>
  desk.request(`/approvals/${id}/approve`, form({ digest }), cookie);

test('a yes on the page reaches the call that waits, signed for exactly that job', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const job = jobFor('main', 'git log --oneline | head -5');
  const { id, expiresAt } = await ask(desk, job);
  assert.ok(Date.parse(expiresAt) <= Date.parse(job.expiresAt));
  const waiting = wait(desk, id, 20_000);
  const page = await (await desk.request('/', {}, cookie)).text();
  assert.match(page, /main asks to run a command/);
  assert.match(page, /git log --oneline \| head -5/);
  assert.match(page, /silence is no in 14 min/);
  const answer = await yes(desk, cookie, id, askOf(job).digest);
  assert.equal(answer.headers.get('location'), '/');

  const { state, approval } = await waiting;
  assert.equal(state, 'approved');
  const signed = approvalSchema.parse(approval);
  assert.equal(verifyApproval(desk.publicKey, job, signed, Date.now()).allow, true);
  const other = { ...job, script: 'rm -rf /' };
  assert.equal(verifyApproval(desk.publicKey, other, signed, Date.now()).allow, false);
  assert.deepEqual(
    desk
      .acts()
      .filter((each) => each.act === 'approve')
      .map(({ by, from, id: of, agent }) => ({ by, from, of, agent })),
    [{ by: 'operator', from: 'page', of: id, agent: 'main' }],
  );
});

test('a no reaches the call that waits at once, without a signature', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const { id } = await ask(desk, jobFor('main', 'ls'));
  const waiting = wait(desk, id, 20_000);
  assert.equal((await desk.request(`/approvals/${id}/deny`, form({}), cookie)).status, 303);
  const { state, approval, reason } = await waiting;
  assert.deepEqual([state, approval, reason], ['denied', undefined, 'operator said no.']);
});

test('a decision is final: no second one, of either kind', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  for (const first of ['approve', 'deny'] as const) {
    const job = jobFor('main', `echo ${first}`);
    const { id } = await ask(desk, job);
    const fields = { approve: form({ digest: askOf(job).digest }), deny: form({}) };
    assert.equal((await desk.request(`/approvals/${id}/${first}`, fields[first], cookie)).status, 303);
    for (const second of ['approve', 'deny'] as const) {
      assert.equal((await desk.request(`/approvals/${id}/${second}`, fields[second], cookie)).status, 409);
    }
  }
});

test('of many yeses and noes at once one counts', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const job = jobFor('main', 'ls');
  const { id } = await ask(desk, job);
  desk.visit(id);
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, at) =>
      at % 2
        ? yes(desk, cookie, id, askOf(job).digest)
        : desk.request(`/approvals/${id}/deny`, form({}), cookie),
    ),
  );
  assert.equal(answers.filter((each) => each.status === 303).length, 1);
});

test('silence is no: the waiting call is told when the time is over, and a late yes is refused', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const job = jobFor('main', 'ls', 300);
  const { id } = await ask(desk, job);
  const began = performance.now();
  const waiting = wait(desk, id, 20_000);
  setTimeout(() => {
    desk.clock.ms += 300;
  }, 200);
  const { state, reason } = await waiting;
  assert.equal(state, 'expired');
  assert.match(reason ?? '', /silence is no/);
  assert.ok(performance.now() - began < 5_000);
  const late = await yes(desk, cookie, id, askOf(job).digest);
  assert.equal(late.status, 409);
  assert.equal((await wait(desk, id)).approval, undefined);
});

test('a yes for a call that went away is impossible: withdrawn, silent, or cut off', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const [withdrawn, silent] = [jobFor('main', 'one'), jobFor('main', 'two')];

  const first = await ask(desk, withdrawn);
  await call(desk.socket('ask'), `DELETE /approvals/${first.id}`, { why: 'the client cancelled' });
  assert.equal((await yes(desk, cookie, first.id, askOf(withdrawn).digest)).status, 409);
  assert.equal((await wait(desk, first.id)).state, 'withdrawn');

  const second = await ask(desk, silent);
  const cut = new AbortController();
  const waiting = call(desk.socket('ask'), `GET /approvals/${second.id}?waitMs=20000`, undefined, {
    signal: cut.signal,
  });
  cut.abort();
  await assert.rejects(waiting);
  await new Promise((resolve) => setTimeout(resolve, 50));
  desk.clock.ms += 5_001;
  const answer = await yes(desk, cookie, second.id, askOf(silent).digest);
  assert.equal(answer.status, 409);
  assert.match(await answer.text(), /The call that asked is gone/);
  desk.clock.ms += 10_000;
  desk.inbox.sweep();
  assert.equal((await wait(desk, second.id)).state, 'withdrawn');
  assert.equal(desk.acts().filter((each) => each.act === 'approve').length, 0);
});

test('a yes that was signed is worth nothing to anybody once its call is gone', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const job = jobFor('main', 'ls');
  const { id } = await ask(desk, job);
  await yes(desk, cookie, id, askOf(job).digest);
  await call(desk.socket('ask'), `DELETE /approvals/${id}`, { why: 'the client cancelled' });
  const { state, approval } = await wait(desk, id);
  assert.deepEqual([state, approval], ['approved', undefined]);
});

test('the page offers no yes for a call that is gone, and says why', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  await ask(desk, jobFor('main', 'ls'));
  desk.clock.ms += 6_000;
  const page = await (await desk.request('/', {}, cookie)).text();
  assert.match(page, /<button disabled[^>]*>Yes, run it once<\/button>/);
  assert.match(page, /The call that asked is gone/);
});

test('a yes is for what the page showed', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const job = jobFor('main', 'ls');
  const { id } = await ask(desk, job);
  assert.equal((await yes(desk, cookie, id, 'ab'.repeat(32))).status, 409);
  assert.equal((await wait(desk, id)).state, 'pending');
});

test('without a record there is no yes; a no counts even so', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const [one, two] = [jobFor('main', 'one'), jobFor('main', 'two')];
  const first = await ask(desk, one);
  const second = await ask(desk, two);
  desk.disk.full = true;
  assert.equal((await yes(desk, cookie, first.id, askOf(one).digest)).status, 503);
  assert.equal((await wait(desk, first.id)).state, 'pending');
  assert.equal((await desk.request(`/approvals/${second.id}/deny`, form({}), cookie)).status, 503);
  assert.equal((await wait(desk, second.id)).state, 'denied');
});

test('nothing is approved unless armed, nor what was asked before a kill', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const job = jobFor('main', 'ls');
  const { id } = await ask(desk, job);
  desk.visit(id);
  for (const state of ['killed', 'closed'] as const) {
    desk.keeper.state = state;
    assert.equal((await yes(desk, cookie, id, askOf(job).digest)).status, 409);
    await assert.rejects(ask(desk, jobFor('main', 'more')), { code: 'not-armed' });
  }
  Object.assign(desk.keeper, { state: 'armed', epoch: 2 });
  const answer = await yes(desk, cookie, id, askOf(job).digest);
  assert.equal(answer.status, 409);
  assert.match(await answer.text(), /asked before the last kill/);
});

test('without a keeper nothing can be asked or approved', async (t) => {
  const desk = await sitDown(t);
  const cookie = await setUp(desk);
  const job = jobFor('main', 'ls');
  const { id } = await ask(desk, job);
  desk.servers.trip.close();
  desk.servers.trip.closeAllConnections();
  assert.equal((await yes(desk, cookie, id, askOf(job).digest)).status, 409);
  await assert.rejects(ask(desk, jobFor('main', 'more')), { code: 'not-armed' });
});

test('who may ask cannot decide: the ask socket has no route for a yes', async (t) => {
  const desk = await sitDown(t);
  const { id } = await ask(desk, jobFor('main', 'ls'));
  for (const route of [
    `POST /approvals/${id}`,
    `POST /approvals/${id}/approve`,
    `PUT /approvals/${id}`,
    'POST /rearm',
    'POST /config/apply',
    'POST /setup-code',
    'POST /agents',
    'GET /status',
  ]) {
    const body = route.startsWith('GET') ? undefined : { decision: 'yes' };
    await assert.rejects(call(desk.socket('ask'), route, body), { status: 404 }, route);
  }
  assert.equal((await wait(desk, id)).state, 'pending');
});

test('the gateway may look and deny, with its name on record', async (t) => {
  const desk = await sitDown(t);
  const job = jobFor('scout', 'ls -la');
  const { id } = await ask(desk, job);
  await ask(desk, jobFor('main', 'pwd'));
  const list = (await call(desk.socket('ask'), 'GET /approvals?agent=scout')) as Record<string, unknown>[];
  assert.deepEqual(
    list.map(({ id: of, agent, tool, script }) => ({ of, agent, tool, script })),
    [{ of: id, agent: 'scout', tool: 'shell', script: 'ls -la' }],
  );
  assert.ok(
    Number.isFinite(Date.parse(String(list[0]?.askedAt))) && !JSON.stringify(list).includes(job.nonce),
  );
  await call(desk.socket('ask'), `POST /approvals/${id}/deny`, { by: 'chat operator' });
  assert.equal((await wait(desk, id)).state, 'denied');
  const { act, by, from } = desk.acts().at(-1) ?? {};
  assert.deepEqual([act, by, from], ['deny', 'chat operator', 'ask']);
});

test('what is asked must be whole: job, digest and agent have to agree, and the agent must exist', async (t) => {
  const desk = await sitDown(t);
  const job = jobFor('main', 'ls');
  const wrong: unknown[] = [
    { ...askOf(job), digest: 'ab'.repeat(32) },
    { ...askOf(job), agent: 'scout' },
    { ...askOf(job), extra: 1 },
    { ...askOf(job), job: { ...job, script: '' } },
    { ...askOf(job), job: { ...job, profile: 'root' } },
    askOf(jobFor('main', 'ls', -1)),
    askOf(jobFor('main', 'ls', 86_400_000)),
    { ...askOf(job), by: 'x'.repeat(300) },
    [],
    'ls',
    null,
  ];
  for (const body of wrong)
    await assert.rejects(call(desk.socket('ask'), 'POST /approvals', body), { status: 400 });
  const nobody = jobFor('nobody', 'ls');
  await assert.rejects(ask(desk, nobody), { status: 404 });
  assert.equal(desk.inbox.pending().length, 0);
});

test('an agent cannot fill the page: the twenty-first question is refused, others are not', async (t) => {
  const desk = await sitDown(t);
  for (let at = 0; at < 20; at += 1) await ask(desk, jobFor('main', `echo ${at}`));
  await assert.rejects(ask(desk, jobFor('main', 'echo 20')), { code: 'too-many', status: 429 });
  await ask(desk, jobFor('scout', 'ls'));
});

test('the same job asked again is the same question, not a second one', async (t) => {
  const desk = await sitDown(t);
  const job = jobFor('main', 'ls');
  assert.equal((await ask(desk, job)).id, (await ask(desk, job)).id);
  assert.equal(desk.inbox.pending().length, 1);
});

test('after a restart a question waits only for a call that comes back', async (t) => {
  const before = await sitDown(t);
  const [back, lost] = [jobFor('main', 'back'), jobFor('main', 'lost')];
  const [one, two] = [await ask(before, back), await ask(before, lost)];
  await before.close();
  const after = await sitDown(t, { folder: before.folder });
  const cookie = await setUp(after);
  assert.equal((await yes(after, cookie, one.id, askOf(back).digest)).status, 409, 'nobody came back yet');
  const waiting = wait(after, one.id, 20_000);
  await new Promise((resolve) => setTimeout(resolve, 50));
  after.clock.ms += 15_001;
  after.inbox.sweep();
  assert.equal((await wait(after, two.id)).state, 'withdrawn');
  assert.equal((await yes(after, cookie, one.id, askOf(back).digest)).status, 303);
  assert.equal((await waiting).state, 'approved');
});

test('decided questions do not fill the disk', async (t) => {
  const desk = await sitDown(t);
  for (let at = 0; at < 1_010; at += 1) {
    const { id } = await desk.inbox.ask(askOf(jobFor('main', `echo ${at}`)));
    desk.inbox.withdraw(id, 'gone');
  }
  desk.inbox.sweep();
  assert.equal(desk.db.prepare('SELECT count(*) AS n FROM approval').get()?.n, 500);
});

test('garbage on the ask socket is refused with words, and the socket lives on', async (t) => {
  const desk = await sitDown(t);
  for (const [route, body] of [
    ['GET /approvals/nothing', undefined],
    ['DELETE /approvals/nothing', { why: 'x' }],
    ['POST /approvals/nothing/deny', { by: 'x' }],
    ['POST /approvals', { job: { __proto__: null } }],
    ['GET /approvals/%2e%2e?waitMs=nonsense', undefined],
  ] as const) {
    await assert.rejects(
      call(desk.socket('ask'), route, body),
      (error: { status: number }) => error.status < 500,
    );
  }
  assert.deepEqual(await call(desk.socket('ask'), 'GET /approvals'), []);
});
