/** The verbs that talk to a running Holdfast: what they send, what they print, how they end. */
import assert from 'node:assert/strict';
import { basename, dirname } from 'node:path';
import { test } from 'node:test';
import { fakeAppliance, holdfast, holdfastFrom, lines, tempHome } from './fake.ts';
import { problem, type Question } from './problem.ts';

const status = {
  state: 'armed',
  home: '/h',
  mode: 'root',
  version: 'abc',
  controllerUrl: 'http://127.0.0.1:8080',
  chatUrl: 'http://localhost:18789',
  processes: [{ name: 'keeper', state: 'running', pid: 7, sinceMs: Date.now(), restarts: 0 }],
  worlds: [
    {
      agent: 'main',
      state: 'refused',
      why: 'no \u001b[31m',
      walls: [{ wall: 'network', state: 'missing', detail: 'd', fix: 'do this' }],
    },
  ],
  tools: { state: 'ready' },
  pending: [{ id: 'a1', agent: 'main', tool: 'shell', script: 'rm \u202e-rf' }],
};

test('status is a table for people and the answer itself as JSON', async (t) => {
  const home = await fakeAppliance(t, { decide: { 'GET /status': () => status } });
  const people = await holdfast('status', '--home', home);
  assert.equal(people.code, 0, people.err);
  assert.match(people.out, /^ARMED\n/);
  assert.match(people.out, /keeper +running +7 /);
  assert.match(people.out, /missing +network +do this/);
  assert.match(people.out, /a1 +main +shell +rm ⟨U\+202E⟩-rf/);
  assert.doesNotMatch(people.out.replaceAll('\n', ''), /\p{Cc}|\u202e/u);
  const script = await holdfast('status', '--home', home, '--json');
  assert.deepEqual(JSON.parse(script.out), status);
});

test('status asks the launcher when the controller is dead', async (t) => {
  const home = await fakeAppliance(t, { launch: { 'GET /status': () => ({ ...status, state: 'closed' }) } });
  const ran = await holdfast('status', '--home', home);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /^CLOSED\n/);
});

test('kill goes to the keeper alone, and works with the controller dead', async (t) => {
  const asked: unknown[] = [];
  const steps = [{ name: 'lease dropped', ms: 0.2, ok: true }];
  const home = await fakeAppliance(t, {
    trip: {
      'POST /trip': ({ body }: Question) => {
        asked.push(body);
        return { id: 'r1', at: '2026-01-01T00:00:00Z', reason: 'smoke', by: 'x', state: 'killed', steps };
      },
    },
  });
  const ran = await holdfast('kill', '--home', home, '--reason', 'smoke');
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.out, /KILLED at .*: smoke/);
  assert.match(ran.out, /lease dropped +0\.2 +yes/);
  assert.deepEqual(asked, [{ reason: 'smoke', by: 'operator (cli)' }]);
});

test('kill says with its exit code that a step failed', async (t) => {
  const steps = [{ name: 'worlds', ms: 1, ok: false, detail: 'still there' }];
  const home = await fakeAppliance(t, { trip: { 'POST /trip': () => ({ state: 'killed', steps }) } });
  const ran = await holdfast('kill', '--home', home);
  assert.equal(ran.code, 1);
  assert.match(ran.out, /worlds +1 +NO +still there/);
});

test('rearm needs a reason, and a refusal is told and is exit 3', async (t) => {
  const home = await fakeAppliance(t, {
    decide: {
      'POST /rearm': () => {
        throw problem('not-killed', 409, 'nothing is killed', 'There is nothing to re-arm.');
      },
    },
  });
  assert.equal((await holdfast('rearm', '--home', home)).code, 2);
  const ran = await holdfast('rearm', '--home', home, '--reason', 'all is well');
  assert.deepEqual([ran.code, ran.out], [3, '']);
  assert.equal(ran.err, 'holdfast: nothing is killed\nThere is nothing to re-arm.\n');
});

test('approvals are listed, approved and denied by id', async (t) => {
  const asked: unknown[] = [];
  const home = await fakeAppliance(t, {
    decide: {
      'GET /approvals': () => status.pending,
      'POST /approvals/:id': ({ params, body }: Question) => {
        asked.push([params.id, body]);
        return { id: params.id, state: 'approved' };
      },
    },
  });
  assert.match((await holdfast('approvals', 'list', '--home', home)).out, /a1 +main +shell/);
  assert.equal((await holdfast('approvals', 'approve', 'a/1', '--home', home)).out, 'a/1 approved\n');
  await holdfast('approvals', 'deny', 'a2', '--home', home);
  assert.deepEqual(asked, [
    ['a/1', { decision: 'yes' }],
    ['a2', { decision: 'no' }],
  ]);
});

test("run streams the output apart and ends with the command's own code", async (t) => {
  const asked: unknown[] = [];
  const home = await fakeAppliance(t, {
    run: {
      'POST /run': ({ body }: Question) => {
        asked.push(body);
        return lines(
          { event: 'waiting', id: 'a1', expiresAt: 'noon' },
          { event: 'started' },
          { event: 'output', stream: 'stdout', text: 'one\u001b[2J\n' },
          { event: 'output', stream: 'stderr', text: 'two\n' },
          { event: 'exit', code: 7, timedOut: false, ms: 3 },
        );
      },
    },
  });
  const ran = await holdfast(
    'run',
    '--home',
    home,
    '--agent',
    'scout',
    '--timeout',
    '9',
    'ls',
    '-la',
    "it's",
  );
  assert.deepEqual([ran.code, ran.out], [7, 'one⟨U+001B⟩[2J\n']);
  assert.match(ran.err, /waits for your yes until noon: holdfast approvals approve a1 --home \S+\ntwo\n$/);
  const command = `ls -la 'it'\\''s'`;
  assert.deepEqual(asked, [{ agent: 'scout', command, timeoutSeconds: 9, by: 'operator (cli)' }]);
});

test('run: refused is 3, timed out 124, killed 137, cut off 1', async (t) => {
  const ends: Record<string, Record<string, unknown>[]> = {
    refused: [{ event: 'refused', reason: 'you said no', hint: 'ask again' }],
    late: [{ event: 'exit', code: null, timedOut: true, ms: 1 }],
    dead: [{ event: 'exit', code: null, timedOut: false, ms: 1 }],
    cut: [{ event: 'started' }],
  };
  const home = await fakeAppliance(t, {
    run: {
      'POST /run': ({ body }: Question) => lines(...(ends[(body as { command: string }).command] ?? [])),
    },
  });
  const codes = await Promise.all(
    Object.keys(ends).map(async (end) => (await holdfast('run', '--home', home, end)).code),
  );
  assert.deepEqual(codes, [3, 124, 137, 1]);
});

test('run takes one text as it stands, with its options after it', async (t) => {
  let command: unknown;
  const home = await fakeAppliance(t, {
    run: {
      'POST /run': ({ body }: Question) => {
        ({ command } = body as { command: string });
        return lines({ event: 'exit', code: 0, ms: 1 });
      },
    },
  });
  await holdfast('run', '--home', home, 'echo $HOME | wc');
  assert.equal(command, 'echo $HOME | wc');
  await holdfast('run', '--home', home, 'ls', '--home', '/x', '--help');
  assert.equal(command, 'ls --home /x --help');
});

test('ask prints the answer as it comes, and asks for approvals beside it', async (t) => {
  const home = await fakeAppliance(t, {
    turn: {
      'POST /turn': ({ body }: Question) => {
        assert.deepEqual(body, { agent: 'main', text: 'hello there', by: 'operator (cli)' });
        return lines(
          { event: 'delta', text: 'Hel' },
          { event: 'waiting', approvals: [{ id: 'a9', script: 'date' }] },
          { event: 'delta', text: 'lo \u009b1m' },
          { event: 'done' },
        );
      },
    },
  });
  const ran = await holdfast('ask', '--home', home, 'hello', 'there');
  assert.deepEqual([ran.code, ran.out], [0, 'Hel\nlo ⟨U+009B⟩1m\n']);
  assert.match(ran.err, /waits for your yes: date\n {2}holdfast approvals approve a9/);
});

test('ask fails with the reason and the hint', async (t) => {
  const events = [{ event: 'failed', reason: 'no model', hint: 'connect one' }];
  const home = await fakeAppliance(t, { turn: { 'POST /turn': () => lines(...events) } });
  const ran = await holdfast('ask', '--home', home, 'x');
  assert.deepEqual([ran.code, ran.out, ran.err], [1, '', 'holdfast: no model\nconnect one\n']);
  const script = await holdfast('ask', '--home', home, '--json', 'x');
  assert.deepEqual(JSON.parse(script.out), events[0]);
});

test('what a door refused names Holdfast once, and a relative home is from where the person is', async (t) => {
  const reason = 'Holdfast (no-price): nobody has said what gpt-9 costs';
  const home = await fakeAppliance(t, {
    turn: { 'POST /turn': () => lines({ event: 'failed', reason, hint: 'Say it.' }) },
  });
  const ran = await holdfastFrom(dirname(home), 'ask', '--home', basename(home), 'x');
  assert.deepEqual([ran.code, ran.err], [1, `${reason}\nSay it.\n`]);
});

test('nobody there is exit 4, with how to start', async (t) => {
  const home = tempHome(t);
  for (const args of [
    ['status'],
    ['kill'],
    ['rearm', '--reason', 'well'],
    ['approvals', 'list'],
    ['run', 'x'],
    ['ask', 'x'],
    ['config', 'apply'],
  ]) {
    const [verb = '', ...rest] = args;
    const split = ['approvals', 'config'].includes(verb)
      ? [verb, rest[0] ?? '', '--home', home]
      : [verb, '--home', home, ...rest];
    const ran = await holdfast(...split);
    if (verb === 'config') assert.equal(ran.code, 78, ran.err);
    else assert.deepEqual([ran.code, /npm start/.test(ran.err)], [4, true], `${args}: ${ran.err}`);
  }
});

test('an answer that is no receipt is a fault', async (t) => {
  const home = await fakeAppliance(t, { trip: { 'POST /trip': () => 'no receipt' } });
  assert.equal((await holdfast('kill', '--home', home)).code, 1);
});
