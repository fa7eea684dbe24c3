/** The gateway's client of the guest, against guests that lie, flood, stall and shout. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { askGuest } from '../../appliance/gateway/guest.ts';
import { type GuestLimits, guestLimits } from '../../appliance/gateway/limits.ts';
import { Problem } from '../../appliance/problem.ts';
import { delta, done, type HostileGuest, hostileGuest, streamHead } from './hostileguest.ts';

type Heard = {
  text: string;
  pieces: string[];
  problem?: Problem | undefined;
  request: string;
  guest: HostileGuest;
};

async function hear(
  t: TestContext,
  answer: (socket: Socket, request: string) => void,
  options: { limits?: Partial<GuestLimits>; signal?: AbortSignal; waiting?: () => boolean } = {},
): Promise<Heard> {
  let request = '';
  const guest = await hostileGuest((socket, asked) => {
    request = asked;
    answer(socket, asked);
  });
  t.after(guest.close);
  const pieces: string[] = [];
  let problem: Problem | undefined;
  try {
    const words = askGuest({
      socketPath: guest.socketPath,
      agent: 'main',
      messages: [{ role: 'user', content: 'hello' }],
      signal: options.signal ?? AbortSignal.timeout(20_000),
      waiting: options.waiting ?? (() => false),
      limits: { ...guestLimits, ...options.limits },
    });
    for await (const text of words) pieces.push(text);
  } catch (error) {
    assert.ok(error instanceof Problem, `a Problem, and not ${error}`);
    problem = error;
  }
  return { text: pieces.join(''), pieces, problem, request, guest };
}

const says = (t: TestContext, body: string, limits?: Partial<GuestLimits>): Promise<Heard> =>
  hear(t, (socket) => socket.end(streamHead + body), limits ? { limits } : {});

describe('a guest that keeps the contract', () => {
  it('is asked with the conversation and its words come as they are said', async (t) => {
    const heard = await hear(t, async (socket) => {
      socket.write(streamHead + delta('Hello'));
      await wait(30);
      socket.write(delta(', operator.') + done);
    });
    assert.equal(heard.problem, undefined);
    assert.deepEqual(heard.pieces, ['Hello', ', operator.']);
    assert.match(heard.request, /^POST \/v1\/chat\/completions HTTP\/1\.1/);
    const body = JSON.parse(heard.request.split('\r\n\r\n')[1] ?? '');
    assert.deepEqual(body, { model: 'main', stream: true, messages: [{ role: 'user', content: 'hello' }] });
  });

  it('may be silent while an approval waits', async (t) => {
    let waiting = true;
    const heard = await hear(
      t,
      async (socket) => {
        socket.write(streamHead);
        await wait(1200);
        waiting = false;
        socket.end(delta('late') + done);
      },
      { limits: { idleMs: 500, totalMs: 1000 }, waiting: () => waiting },
    );
    assert.equal(heard.problem, undefined);
    assert.equal(heard.text, 'late');
  });

  it('may send a character in two halves', async (t) => {
    const whole = Buffer.from(delta('naïve 🐧'));
    const heard = await hear(t, async (socket) => {
      socket.write(streamHead);
      for (const byte of whole) {
        socket.write(Buffer.of(byte));
        await wait(1);
      }
      socket.write(`data: {"choices":[{"delta":{"content":" \\ud83d"}}]}\n\n`);
      socket.end(`data: {"choices":[{"delta":{"content":"\\udc27"}}]}\n\n${done}`);
    });
    assert.equal(heard.text, 'naïve 🐧 🐧');
  });
});

describe('a hostile guest', () => {
  it('cannot send us elsewhere', async (t) => {
    const heard = await hear(t, (socket) =>
      socket.end('HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:8080/\r\ncontent-length: 0\r\n\r\n'),
    );
    assert.equal(heard.problem?.code, 'guest-broken');
    assert.match(heard.problem?.message ?? '', /307/);
    assert.equal(heard.guest.connections.length, 1);
  });

  it('cannot make a cut look like an end', async (t) => {
    const heard = await says(t, delta('half an ans'));
    assert.equal(heard.text, 'half an ans');
    assert.equal(heard.problem?.code, 'guest-cut');
  });

  it('cannot end with a finish reason alone', async (t) => {
    const heard = await says(t, `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n`);
    assert.equal(heard.problem?.code, 'guest-cut');
  });

  it('cannot send giant headers', async (t) => {
    const heard = await hear(t, (socket) =>
      socket.write(`HTTP/1.1 200 OK\r\nx-big: ${'a'.repeat(100_000)}\r\n\r\n`),
    );
    assert.equal(heard.problem?.code, 'guest-broken');
    assert.match(heard.problem?.message ?? '', /headers are too large/);
  });

  it('cannot drip its headers for ever', async (t) => {
    const heard = await hear(
      t,
      async (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n');
        for (let at = 0; at < 200 && !socket.destroyed; at += 1) {
          socket.write(`x-${at}: drip\r\n`);
          await wait(25);
        }
      },
      { limits: { idleMs: 500 } },
    );
    assert.equal(heard.problem?.code, 'guest-timeout');
  });

  it('cannot drip one event for ever', async (t) => {
    const heard = await hear(
      t,
      async (socket) => {
        socket.write(`${streamHead}data: {"choices":[{"delta":{"content":"`);
        for (let at = 0; at < 200 && !socket.destroyed; at += 1) {
          socket.write('drip');
          await wait(25);
        }
      },
      { limits: { idleMs: 500 } },
    );
    assert.equal(heard.problem?.code, 'guest-timeout');
    assert.match(heard.problem?.message ?? '', /nothing for/);
  });

  it('cannot stay by saying nothing in comments', async (t) => {
    const heard = await hear(
      t,
      async (socket) => {
        socket.write(streamHead);
        for (let at = 0; at < 200 && !socket.destroyed; at += 1) {
          socket.write(': still here\n\n');
          await wait(25);
        }
      },
      { limits: { idleMs: 500, totalMs: 1000 } },
    );
    assert.equal(heard.problem?.code, 'guest-timeout');
    assert.match(heard.problem?.message ?? '', /did not end/);
  });

  it('cannot talk for ever', async (t) => {
    const word = delta('blah '.repeat(100));
    const flood = (socket: Socket): void => {
      socket.write(streamHead);
      const pour = (): void => {
        while (!socket.destroyed && socket.write(word)) {}
      };
      socket.on('drain', pour);
      pour();
    };
    const chatty = await hear(t, flood, { limits: { textChars: 10_000 } });
    assert.equal(chatty.problem?.code, 'guest-broken');
    assert.ok(chatty.text.length < 200_000);
    const heavy = await hear(t, flood, { limits: { bytes: 50_000 } });
    assert.match(heavy.problem?.message ?? '', /over 50000 bytes/);
  });

  it('cannot send an endless line', async (t) => {
    const heard = await hear(
      t,
      (socket) => {
        socket.write(streamHead);
        const pour = (): void => {
          while (!socket.destroyed && socket.write(`data: ${'x'.repeat(10_000)}`)) {}
        };
        socket.on('drain', pour);
        pour();
      },
      { limits: { eventChars: 100_000 } },
    );
    assert.match(heard.problem?.message ?? '', /event of over 100000 characters/);
  });

  it('cannot send malformed events', async (t) => {
    const heard = await says(t, `${delta('fine ')}data: {"choices":[{"delta"\n\n${delta('never')}${done}`);
    assert.equal(heard.text, 'fine ');
    assert.match(heard.problem?.message ?? '', /not JSON/);
  });

  it('cannot send JSON that is nested too deep', async (t) => {
    const heard = await says(t, `data: ${'['.repeat(10_000)}${']'.repeat(10_000)}\n\n${done}`);
    assert.match(heard.problem?.message ?? '', /nested too deep/);
  });

  it('can write brackets and quotes in its text', async (t) => {
    const heard = await says(t, delta('"[[{{\\"'.repeat(100)) + done);
    assert.equal(heard.problem, undefined);
    assert.equal(heard.text, '"[[{{\\"'.repeat(100));
  });

  it('can only say text: claimed tool calls, roles and objects come to nothing', async (t) => {
    const odd: unknown[] = [
      { choices: [{ delta: { tool_calls: [{ function: { name: 'shell', arguments: '{}' } }] } }] },
      { choices: [{ delta: { role: 'system', content: { html: '<b>' } } }] },
      { choices: [{ delta: { content: ['a'] } }] },
      { choices: [{ message: { content: 'whole' } }] },
      { choices: [{ delta: null }] },
      { choices: {} },
      { choices: [] },
      [],
      null,
      'text',
      42,
    ];
    const heard = await says(
      t,
      odd.map((each) => `data: ${JSON.stringify(each)}\n\n`).join('') + delta('ok') + done,
    );
    assert.equal(heard.problem, undefined);
    assert.equal(heard.text, 'ok');
  });

  it('cannot send what a terminal or a page would obey', async (t) => {
    const nasty = 'a\u001b[2J\u0000\u0007\r\nb\tc\u009b31m\u202edlrow\u2066\ufeff\u2028\u{e0041}';
    const heard = await says(t, delta(nasty) + done);
    assert.equal(heard.text, 'a[2J\nb\tc31mdlrow');
  });

  it('cannot compress, upgrade, or send another type', async (t) => {
    const head = (extra: string): string => `HTTP/1.1 200 OK\r\n${extra}\r\nconnection: close\r\n\r\n`;
    const zipped = await hear(t, (socket) =>
      socket.end(`${head('content-type: text/event-stream\r\ncontent-encoding: gzip')}x`),
    );
    assert.match(zipped.problem?.message ?? '', /compressed/);
    const html = await hear(t, (socket) => socket.end(`${head('content-type: text/html')}<h1>hi</h1>`));
    assert.match(html.problem?.message ?? '', /text\/html, not an event stream/);
    const upgraded = await hear(t, (socket) =>
      socket.write('HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n'),
    );
    assert.equal(upgraded.problem?.code, 'guest-broken');
  });

  it('cannot speak something that is not HTTP', async (t) => {
    const heard = await hear(t, (socket) => socket.end('220 smtp.example ESMTP\r\n'));
    assert.match(heard.problem?.message ?? '', /does not speak HTTP/);
  });

  it('is shown with the reason that it gives for its failure, as one plain line', async (t) => {
    const body = JSON.stringify({ error: { message: 'no\u001b[31m model\n\nhere' } });
    const refused = await hear(t, (socket) =>
      socket.end(
        `HTTP/1.1 503 No\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      ),
    );
    assert.equal(refused.problem?.code, 'guest-failed');
    assert.equal(refused.problem?.message, 'no[31m model here');
    const midway = await says(
      t,
      `${delta('so far')}data: {"error":{"message":"the model was cut"}}\n\n${done}`,
    );
    assert.equal(midway.text, 'so far');
    assert.equal(midway.problem?.message, 'the model was cut');
  });

  it('is left when the turn is stopped', async (t) => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Problem('stopped', 409, 'stopped by you', '')), 100);
    const heard = await hear(t, (socket) => socket.write(streamHead + delta('on and on')), {
      signal: stop.signal,
    });
    assert.equal(heard.problem?.code, 'stopped');
    assert.equal(heard.text, 'on and on');
    const [socket] = heard.guest.connections;
    for (let at = 0; at < 100 && !socket?.destroyed; at += 1) await wait(10);
    assert.ok(socket?.destroyed, 'the guest sees the connection end');
  });

  it('that is not there is said to be not there', async () => {
    const words = askGuest({
      socketPath: '/nonexistent/sock',
      agent: 'main',
      messages: [],
      signal: AbortSignal.timeout(5_000),
      waiting: () => false,
    });
    await assert.rejects(words.next(), { code: 'no-world' });
  });
});
