/** One call over the run socket of the real tools process: asked, answered, run, recorded; and what becomes of calls that are gone. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Problem } from '../../appliance/problem.ts';
import { stream } from '../../appliance/socket.ts';
import { verifyLedger } from '../../proxies/ledger/chain.ts';
import { createShell, type ShellEvent, type ShellParts } from '../../sandbox/shell.ts';
import { collect, type Line, type Stand, stand, until } from './stand.ts';

let here: Stand;
before(async () => {
  here = await stand();
  await here.startBroker();
  await here.startTools();
});
after(() => here.close());

const run = (command: string, signal?: AbortSignal, rest: object = {}): AsyncGenerator<unknown> =>
  stream(
    here.socket('run'),
    'POST /run',
    { agent: 'main', command, by: 'the test', ...rest },
    signal ? { signal } : {},
  );

const linesOf = (kind: string, from: number): Line[] =>
  here
    .ledger()
    .slice(from)
    .filter((line) => line.kind === kind);

describe('a call over the run socket', () => {
  test('waits for the yes, runs, and stands in the ledger at each step', async () => {
    const from = here.ledger().length;
    const asked = here.controller.question();
    const events: Line[] = [];
    const done = (async () => {
      for await (const event of run('echo hello; exit 3', undefined, { timeoutSeconds: 5 }))
        events.push(event as Line);
    })();
    const question = await asked;
    assert.equal(question.by, 'the test');
    assert.equal(question.job.script, 'echo hello; exit 3');
    assert.equal(question.job.timeoutMs, 5000);
    assert.deepEqual(
      linesOf('request', from).map(({ command }) => command),
      ['echo hello; exit 3'],
    );
    assert.equal(linesOf('run', from).length, 0, 'nothing ran yet');
    here.controller.yes(question.id);
    await done;
    assert.deepEqual(
      events.map(({ event }) => event),
      ['waiting', 'started', 'output', 'exit'],
    );
    assert.equal(events[0]?.id, question.id);
    assert.deepEqual([events[3]?.code, events[3]?.timedOut], [3, false]);
    const [ran] = linesOf('run', from);
    assert.deepEqual([ran?.digest, ran?.approval], [question.digest, question.id]);
    const [outcome] = await until('the outcome', () =>
      linesOf('outcome', from).length > 0 ? linesOf('outcome', from) : undefined,
    );
    assert.deepEqual([outcome?.verdict, outcome?.exit, outcome?.bytesOut], ['allow', 3, 6]);
    assert.equal((await verifyLedger(`${here.home}/audit/tools.jsonl`)).ok, true);
  });

  test('a no is told with its reason, and nothing runs', async () => {
    const from = here.ledger().length;
    const asked = here.controller.question();
    const all = collect(run('echo never'));
    here.controller.no((await asked).id);
    const { last } = await all;
    assert.deepEqual([last.event, last.reason], ['refused', 'denied: admin said no.']);
    assert.equal(linesOf('run', from).length, 0);
  });

  test('a longer time than the owner allows is cut to the owner’s', async () => {
    const asked = here.controller.question();
    const all = collect(run('echo', undefined, { timeoutSeconds: 3000 }));
    const { id, job } = await asked;
    assert.equal(job.timeoutMs, 20_000);
    here.controller.no(id);
    await all;
  });

  test('of a caller that goes away while it waits is withdrawn', async () => {
    const from = here.ledger().length;
    const leaving = new AbortController();
    const asked = here.controller.question();
    const all = collect(run('echo never', leaving.signal)).catch(() => {});
    const question = await asked;
    leaving.abort();
    await until('the withdrawal', () => question.state === 'withdrawn' || undefined);
    here.controller.yes(question.id);
    await all;
    await until('the outcome', () => linesOf('outcome', from)[0]);
    assert.deepEqual([linesOf('outcome', from)[0]?.rule, linesOf('run', from).length], ['withdrawn', 0]);
  });

  test('of a caller that goes away while it runs ends its container', async () => {
    const from = here.ledger().length;
    const leaving = new AbortController();
    const asked = here.controller.question();
    const all = collect(run('echo started; sleep 300', leaving.signal)).catch(() => {});
    here.controller.yes((await asked).id);
    await until('a container', async () => (await here.containers('running'))[0]);
    leaving.abort();
    await until('its end', async () => (await here.containers()).length === 0 || undefined);
    await all;
    const outcome = await until('the outcome', () => linesOf('outcome', from)[0]);
    assert.match(String(outcome.error), /gone/);
  });

  test('for an agent that is not, or a command that cannot be a job, is refused in words', async () => {
    await assert.rejects(collect(run('echo', undefined, { agent: 'nobody' })), /no agent nobody/);
    await assert.rejects(collect(run('')), /does not understand the call/);
    const { last: long } = await collect(run('ä'.repeat(33 * 1024)));
    assert.match(String(long.reason), /at most 65536 bytes/);
    const { last } = await collect(run('a\0b'));
    assert.match(String(last.reason), /cannot be a job: script.*NUL/);
  });

  test('without a lease is refused before anything is recorded or asked', async () => {
    here.keeper.state = 'killed';
    await until('the kill', async () => {
      const { last } = await collect(run('echo x', AbortSignal.timeout(300))).catch(() => ({
        last: {} as Line,
      }));
      return last.event === 'refused' ? last : undefined;
    });
    const before = [here.controller.asked.length, here.ledger().length];
    const { last } = await collect(run('echo x'));
    assert.match(String(last.reason), /not armed/);
    assert.deepEqual([here.controller.asked.length, here.ledger().length], before);
    here.keeper.state = 'armed';
  });
});

describe('when a neighbour is missing', () => {
  test('no image, no Docker, no controller and no broker are each told with what to do', async () => {
    const other = await stand();
    try {
      await other.startTools();
      const say = (): Promise<Line> =>
        collect(
          stream(other.socket('run'), 'POST /run', { agent: 'main', command: 'echo', by: 'the test' }),
        ).then(({ last }) => last);
      await until('the lease', async () =>
        /not armed/.test(String((await say()).reason)) ? undefined : true,
      );
      const noBroker = await say();
      assert.deepEqual([noBroker.event, /nothing answers/.test(String(noBroker.reason))], ['refused', true]);
      const { child } = await other.startBroker({ dockerSocket: `${other.home}/none.sock` });
      const noDocker = await say();
      assert.match(`${noDocker.reason} ${noDocker.hint}`, /engine does not answer.*docker/);
      child.kill('SIGKILL');
      await other.startBroker();
      other.controller.close();
      const noController = await until('the broker', async () => {
        const last = await say();
        return /ask\/sock/.test(String(last.reason)) ? last : undefined;
      });
      assert.equal(noController.event, 'refused');
    } finally {
      await other.close();
    }
  });
});

test('a broker that dies in the middle of a run is told to the caller, and stands in the ledger', async () => {
  const other = await stand();
  try {
    const { child } = await other.startBroker();
    await other.startTools();
    other.controller.mood = 'yes';
    const body = { agent: 'main', command: 'echo begun; sleep 300', by: 'the test' };
    const call = async (): Promise<Line> =>
      (await collect(stream(other.socket('run'), 'POST /run', body))).last;
    const last = until('an end that is not for want of a lease', async () => {
      const end = await call();
      return /not armed/.test(String(end.reason)) ? undefined : end;
    });
    await until('the run', async () => (await other.containers('running'))[0]);
    child.kill('SIGKILL');
    const { event, reason } = await last;
    assert.deepEqual([event, /cut off/.test(String(reason))], ['refused', true]);
    assert.match(String(other.ledger().findLast(({ kind }) => kind === 'outcome')?.reason), /cut off/);
  } finally {
    await other.close();
  }
});

describe('the core on its own', () => {
  const image = `sha256:${'a'.repeat(64)}`;
  type Parts = { [K in keyof ShellParts]?: ShellParts[K] };
  const shellWith = (change: Parts) => {
    const lines: Line[] = [];
    const reports: string[] = [];
    const parts: ShellParts = {
      ask: {
        open: async ({ job }) => ({ id: 'a1', expiresAt: job.expiresAt }),
        wait: async () => ({ state: 'denied' }),
        withdraw: async () => {},
      },
      broker: {
        profile: async () => ({ ready: true, image }),
        async *run() {},
      },
      record: async (line) => void lines.push(line),
      armed: { now: () => true, state: () => 'armed', onLost: () => () => {} },
      limits: () => ({ waitSeconds: 5, timeoutSeconds: 5 }),
      explain: (error) =>
        error instanceof Problem
          ? { allow: false, rule: error.code, reason: error.message, hint: error.hint }
          : undefined,
      report: (text) => void reports.push(text),
      now: Date.now,
      nonce: () => '0'.repeat(32),
      ...change,
    };
    const shell = createShell(parts);
    const call = async (signal = new AbortController().signal): Promise<ShellEvent[]> => {
      const events: ShellEvent[] = [];
      const asked = { agent: 'main', command: 'echo', by: 'me' };
      for await (const event of shell.call(asked, signal)) events.push(event);
      return events;
    };
    return { call, lines, reports };
  };
  const approval = {
    v: 1 as const,
    id: 'a1',
    agent: 'main',
    digest: 'd',
    nonce: 'n',
    expiresAt: 'e',
    signature: 's',
  };

  test('an agent that calls in a loop is refused before anything is written, until the minute is over', async () => {
    let nowMs = 60_000_000;
    const { call, lines } = shellWith({ now: () => nowMs });
    for (let made = 0; made < 60; made++) await call();
    const written = lines.length;
    const [refused] = await call();
    assert.match(JSON.stringify(refused), /has made 60 calls this minute/);
    assert.equal(lines.length, written);
    nowMs += 60_000;
    await call();
    assert.ok(lines.length > written);
  });

  test('a call that cannot be recorded is refused and never asked', async () => {
    let asked = 0;
    const { call, reports } = shellWith({
      record: () => Promise.reject(new Error('ENOSPC')),
      ask: {
        open: async () => ({ id: String(asked++), expiresAt: '' }),
        wait: async () => ({ state: 'denied' }),
        withdraw: async () => {},
      },
    });
    const [event] = await call();
    assert.equal(event?.event, 'refused');
    assert.match(JSON.stringify(event), /cannot be recorded/);
    assert.deepEqual([asked, reports.length > 0], [0, true]);
  });

  test('an approved call whose run cannot be recorded does not run', async () => {
    let ran = false;
    const { call } = shellWith({
      record: async ({ kind }) => {
        if (kind === 'run') throw new Error('ENOSPC');
      },
      ask: {
        open: async ({ job }) => ({ id: 'a1', expiresAt: job.expiresAt }),
        wait: async () => ({ state: 'approved', approval }),
        withdraw: async () => {},
      },
      broker: {
        profile: async () => ({ ready: true, image }),
        async *run() {
          ran = true;
          yield { exit: 0, timedOut: false, oom: false, ms: 1 };
        },
      },
    });
    const events = await call();
    assert.deepEqual([events.at(-1)?.event, ran], ['refused', false]);
  });

  test('a yes without a signature is no yes', async () => {
    const { call } = shellWith({
      ask: {
        open: async ({ job }) => ({ id: 'a1', expiresAt: job.expiresAt }),
        wait: async () => ({ state: 'approved' }),
        withdraw: async () => {},
      },
    });
    assert.equal((await call()).at(-1)?.event, 'refused');
  });

  test('a controller that restarts while we wait is asked again; silence until the end is no', async () => {
    let polls = 0;
    const { call } = shellWith({
      ask: {
        open: async ({ job }) => ({ id: 'a1', expiresAt: job.expiresAt }),
        wait: async () => {
          polls += 1;
          if (polls === 1) throw new Problem('unreachable', 503, 'nothing answers', '');
          return { state: 'denied', reason: 'no' };
        },
        withdraw: async () => {},
      },
    });
    assert.match(JSON.stringify((await call()).at(-1)), /denied: no/);
    assert.equal(polls, 2);
    const silent = shellWith({
      limits: () => ({ waitSeconds: 1, timeoutSeconds: 5 }),
      ask: {
        open: async ({ job }) => ({ id: 'a1', expiresAt: job.expiresAt }),
        wait: async () => {
          throw new Problem('unreachable', 503, 'nothing answers', '');
        },
        withdraw: async () => {},
      },
    });
    assert.match(JSON.stringify((await silent.call()).at(-1)), /silence is no/);
  });
});
