/** What is said in the chat and over the `turn` socket: commands, one turn at a time, refusals in words, and what stays of it. */
import assert from 'node:assert/strict';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { openHistory } from '../../appliance/gateway/history.ts';
import { stream } from '../../appliance/socket.ts';
import { type Chat, guestSays, openChat, until } from './chat.ts';

type Event = { event: string; text?: string; reason?: string; hint?: string; approvals?: { id: string }[] };

describe('a turn', () => {
  let chat: Chat;
  beforeEach(async () => {
    chat = await openChat();
  });
  afterEach(async () => {
    await chat.close();
  });

  const turn = async (text: string, agent = 'main', signal?: AbortSignal): Promise<Event[]> => {
    const events: Event[] = [];
    const lines = stream(
      chat.socket('turn'),
      'POST /turn',
      { agent, text, by: 'cli' },
      signal ? { signal } : {},
    );
    for await (const line of lines) events.push(line as Event);
    return events;
  };
  const said = (events: Event[]): string =>
    events.map((each) => (each.event === 'delta' ? each.text : '')).join('');
  const file = (): string => join(chat.folder, 'history/main.jsonl');
  const history = (): { from: string; text: string; end?: string; note?: string }[] =>
    (existsSync(file()) ? readFileSync(file(), 'utf8') : '')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));

  it('streams what the guest says and keeps it', async () => {
    chat.guest = guestSays(['Hello', ', you.']);
    const events = await turn('Hi');
    assert.equal(said(events), 'Hello, you.');
    assert.equal(events.at(-1)?.event, 'done');
    assert.deepEqual(
      history().map(({ from, text, end }) => ({ from, text, end })),
      [
        { from: 'operator', text: 'Hi', end: undefined },
        { from: 'agent', text: 'Hello, you.', end: 'done' },
      ],
    );
  });

  it('tells llm which turn is open before the guest is asked, and that it closed', async () => {
    const seen: unknown[] = [];
    chat.guest = (req, res) => {
      seen.push(...chat.around.turns);
      guestSays(['Yes.'])(req, res);
    };
    await turn('one');
    await turn('two');
    await until(() => chat.around.turns.length === 4);
    const [first, closed, second, last] = chat.around.turns;
    assert.match(first?.turn ?? '', /^[0-9a-f-]{36}$/);
    assert.deepEqual([first?.agent, closed?.turn, last?.turn], ['main', null, null]);
    assert.ok(second?.turn && second.turn !== first?.turn);
    assert.deepEqual(seen.slice(0, 1), [first]);
    await turn('/run true');
    assert.equal(chat.around.turns.length, 4, 'what Holdfast itself runs is no turn of the agent');
  });

  it('goes on when llm does not hear of it, and says so', async () => {
    const alone = await openChat({ withoutLlm: true });
    try {
      alone.guest = guestSays(['Hello.']);
      const events: Event[] = [];
      for await (const line of stream(alone.socket('turn'), 'POST /turn', {
        agent: 'main',
        text: 'Hi',
        by: 'cli',
      }))
        events.push(line as Event);
      assert.equal(said(events), 'Hello.');
      await until(() => alone.untold.length === 2);
      assert.deepEqual(alone.faults, []);
    } finally {
      await alone.close();
    }
  });

  it('gives the guest the talk until now, without commands', async () => {
    const bodies: { messages: unknown }[] = [];
    chat.guest = (req, res) => {
      let body = '';
      req.on('data', (bytes) => {
        body += bytes;
      });
      req.on('end', () => {
        bodies.push(JSON.parse(body));
        guestSays([`answer ${bodies.length}`])(req, res);
      });
    };
    await turn('one');
    await turn('/help');
    await turn('two');
    assert.deepEqual(bodies.at(-1)?.messages, [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 'answer 1' },
      { role: 'user', content: 'two' },
    ]);
  });

  it('refuses a second message while one is open, in words', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays(['first', held]);
    const first = turn('one');
    await until(async () => history().length === 1);
    const second = await turn('two');
    assert.deepEqual(
      second.map((each) => each.event),
      ['failed'],
    );
    assert.match(second[0]?.reason ?? '', /still answering/);
    assert.equal((await turn('/status')).at(-1)?.event, 'done', 'a command is answered meanwhile');
    release();
    assert.equal((await first).at(-1)?.event, 'done');
  });

  it('opens one turn for two messages that come at once', async () => {
    chat.guest = guestSays(['yes', new Promise((resolve) => setTimeout(resolve, 100))]);
    const ends = (await Promise.all([turn('one'), turn('two')])).map((events) => events.at(-1)?.event);
    assert.deepEqual(ends.sort(), ['done', 'failed']);
  });

  it('is refused while everything is killed or closed, and when the keeper is gone', async () => {
    chat.around.state = 'killed';
    assert.match((await turn('hello'))[0]?.reason ?? '', /everything is stopped: a test/);
    chat.around.state = 'closed';
    assert.match((await turn('/run ls'))[0]?.reason ?? '', /doors are closed/);
    assert.equal(chat.around.runs.length, 0);
  });

  it('fails with the reason, and keeps what came until then', async () => {
    chat.guest = guestSays(['half an', new Promise((resolve) => setTimeout(resolve, 50))], 'cut');
    const events = await turn('hello');
    assert.equal(said(events), 'half an');
    assert.equal(events.at(-1)?.event, 'failed');
    assert.equal(history().at(-1)?.end, 'failed');
    assert.equal(history().at(-1)?.text, 'half an');
  });

  it('says what waits for the operator, and when it no longer does', async () => {
    const approval = {
      id: 'ap1',
      agent: 'main',
      tool: 'shell',
      script: 'ls',
      by: 'agent',
      askedAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
    };
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays(['wait', held]);
    chat.around.approvals = [approval, { ...approval, id: 'ap2', agent: 'other' }];
    setTimeout(() => {
      chat.around.approvals = [];
      setTimeout(release, 300);
    }, 300);
    const waits = (await turn('hello')).filter((each) => each.event === 'waiting');
    assert.deepEqual(
      waits.map((each) => each.approvals?.map(({ id }) => id)),
      [['ap1'], []],
    );
  });

  it('ends when the caller of the socket goes away, and the guest sees it', async () => {
    let left = false;
    chat.guest = (req, res) => {
      guestSays(['word', new Promise(() => {})])(req, res);
      res.on('close', () => {
        left = true;
      });
    };
    const gone = new AbortController();
    const events = turn('hello', 'main', gone.signal);
    events.catch(() => {});
    await until(() => history().length === 1);
    gone.abort();
    await until(() => left);
    await until(() => history().at(-1)?.end === 'stopped');
  });

  it('says how to connect a model when there is none, and asks nobody', async () => {
    chat.part.agents = { main: { modelReady: false } };
    let asked = false;
    chat.guest = () => {
      asked = true;
    };
    const [event] = await turn('hello');
    assert.equal(event?.event, 'failed');
    assert.match(event?.hint ?? '', /agents\.main\.model/);
    assert.ok(!asked);
    assert.match((await turn('/help'))[0]?.text ?? '', /\/run COMMAND/);
  });

  it('runs a command in the sandbox and shows its output and end', async () => {
    chat.around.run = async function* () {
      yield { event: 'waiting', id: 'ap1', expiresAt: new Date().toISOString() };
      yield { event: 'started' };
      yield { event: 'output', stream: 'stdout', text: 'Linux\u001b[31m\n' };
      yield { event: 'exit', code: 3, timedOut: false, ms: 12.4 };
    };
    const events = await turn('/run uname -a\nls');
    assert.deepEqual(chat.around.runs, [{ agent: 'main', command: 'uname -a\nls', by: 'cli' }]);
    assert.equal(said(events), 'Linux[31m\n');
    assert.equal(events.find((each) => each.event === 'note')?.text, 'Exit code 3 after 12 ms.');
    assert.equal(events.at(-1)?.event, 'done');
  });

  it('says why a command was not run', async () => {
    chat.around.run = async function* () {
      yield { event: 'refused', reason: 'nobody said yes', hint: 'Ask again.' };
    };
    const events = await turn('/run ls');
    assert.deepEqual(events.at(-1), { event: 'failed', reason: 'nobody said yes', hint: 'Ask again.' });
  });

  it('does not take a run that was cut for one that ended', async () => {
    chat.around.run = async function* () {
      yield { event: 'started' };
    };
    assert.match((await turn('/run ls')).at(-1)?.reason ?? '', /cut off/);
  });

  it('kills on /kill even while a turn is open, and gives the receipt', async () => {
    chat.guest = guestSays(['on', new Promise(() => {})]);
    const open = turn('hello');
    await until(() => history().length === 1);
    const events = await turn('/kill it went wild');
    assert.deepEqual(chat.around.trips, [{ reason: 'it went wild', by: 'cli' }]);
    assert.match(events[0]?.text ?? '', /State: killed\. Receipt trip-7/);
    assert.match((await open).at(-1)?.reason ?? '', /everything was stopped/);
  });

  it('gives help for a command that does not exist, and never hands it to the guest', async () => {
    assert.match((await turn('/kil now'))[0]?.text ?? '', /\/kill \[REASON\]/);
    assert.equal(chat.around.trips.length, 0);
  });

  it('reports the state, the world with its missing wall, the model and what waits', async () => {
    chat.around.worlds = [
      {
        agent: 'main',
        state: 'refused',
        why: 'a wall is missing',
        walls: [
          { wall: 'network', state: 'stands', detail: 'only lo' },
          {
            wall: 'mounts',
            state: 'missing',
            detail: 'namespaces are forbidden',
            fix: 'sudo cp the profile',
          },
        ],
      },
    ];
    const text = (await turn('/status'))[0]?.text ?? '';
    assert.match(text, /State {4}armed since 2026-01-02/);
    assert.match(text, /refused: a wall is missing, 1 of 2 walls stand/);
    assert.match(text, /mounts: namespaces are forbidden\. sudo cp the profile/);
    assert.match(text, /practice by practice/);
    assert.match(text, /Waiting {2}nothing/);
  });

  it('refuses an agent that is not there, nothing at all, and too much', async () => {
    assert.match((await turn('hello', 'scout'))[0]?.reason ?? '', /no agent scout/);
    assert.match((await turn('hello', '__proto__'))[0]?.reason ?? '', /no agent/);
    assert.match((await turn('  \u0000 '))[0]?.reason ?? '', /nothing to say/);
    assert.match((await turn('x'.repeat(40_000)))[0]?.reason ?? '', /32768 fit/);
    await assert.rejects(
      stream(chat.socket('turn'), 'POST /turn', { agent: 'main', text: 'x' }).next(),
      /a turn is/,
    );
  });
});

const mustNot = (error: unknown): void => assert.fail(String(error));

describe('the history', () => {
  it('survives a restart, and says what was not answered', async () => {
    const chat = await openChat();
    const path = join(chat.folder, 'history/x.jsonl');
    openHistory(path, mustNot).add({ from: 'operator', text: 'are you there?' });
    appendFileSync(path, '{"at":"2026-01-01T00:00'); // power loss in the midst of a line
    const again = openHistory(path, mustNot);
    assert.deepEqual(
      again.entries().map((each) => [each.from, each.text, each.end]),
      [
        ['operator', 'are you there?', undefined],
        ['holdfast', '', 'failed'],
      ],
    );
    assert.match(again.entries()[1]?.note ?? '', /restarted/);
    assert.equal(openHistory(path, mustNot).entries().length, 2);
    await chat.close();
  });

  it('goes on in memory where the disk does not take it, and says so', () => {
    const faults: unknown[] = [];
    const history = openHistory('/dev/null/history/x.jsonl', (error) => faults.push(error));
    history.add({ from: 'operator', text: 'hello' });
    assert.equal(history.entries()[0]?.text, 'hello');
    assert.equal(faults.length, 2);
  });

  it('keeps the newest 200 entries, in memory and on disk', async () => {
    const chat = await openChat();
    const path = join(chat.folder, 'history/x.jsonl');
    const history = openHistory(path, mustNot);
    for (let at = 0; at < 450; at += 1) history.add({ from: 'agent', text: `said ${at}`, end: 'done' });
    assert.equal(history.entries().length, 200);
    assert.equal(history.entries().at(-1)?.text, 'said 449');
    assert.ok(readFileSync(path, 'utf8').split('\n').length <= 401);
    assert.equal(openHistory(path, mustNot).entries()[0]?.text, 'said 250');
    await chat.close();
  });
});
