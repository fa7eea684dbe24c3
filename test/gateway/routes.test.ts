/** The chat's pages over HTTP: who may come in, what an answer carries, and that hostile text stays text. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { linked, settled } from '../../appliance/gateway/pages/links.ts';
import { type Chat, guestSays, openChat, until } from './chat.ts';

describe('the chat page', () => {
  let chat: Chat;
  beforeEach(async () => {
    chat = await openChat();
  });
  afterEach(async () => {
    await chat.close();
  });
  const page = async (path = '/a/main'): Promise<string> => (await chat.get(path)).text();
  const answered = (): Promise<void> => until(async () => !(await page()).includes('class="turn open"'));

  it('leads from / to the first agent', async () => {
    const response = await chat.get('/');
    assert.equal(response.status, 302);
    assert.equal(response.headers.get('location'), '/a/main');
  });

  it('takes a message by a form and shows the answer, growing while it is said', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays(['Well, ', held, 'here it is.']);
    const response = await chat.post('/a/main/say', { text: 'Hi <there>' });
    assert.equal(response.status, 303);
    assert.equal(response.headers.get('location'), '/a/main');
    const growing = await chat.get('/a/main');
    const reader = growing.body?.pipeThrough(new TextDecoderStream()).getReader();
    let seen = '';
    while (!seen.includes('Well, ')) seen += (await reader?.read())?.value ?? assert.fail('the page ended');
    assert.match(seen, /Hi &lt;there&gt;/);
    assert.ok(seen.indexOf('<textarea') < seen.indexOf('Well, '), 'the form is there before the answer');
    assert.match(seen, /action="\/a\/main\/stop"/);
    release();
    for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) seen += read.value;
    assert.match(seen, /here it is\./);
    assert.match(seen, /class="ended"/);
    assert.match(seen, /<\/html>\s*$/);
    assert.doesNotMatch(await page(), /\/a\/main\/stop/);
  });

  it('shows hostile text as text: no markup, no image, no script, links by their address', async () => {
    chat.guest = guestSays([
      '<img src=x onerror=alert(1)><script>alert(1)</script> ![x](http://evil.example/p.png) ',
      '[bank](https://evil.example/a"onmouseover="x) <a href="https://e.example">safe</a> javascript:alert(1)',
    ]);
    await chat.post('/a/main/say', { text: 'go' });
    await answered();
    const seen = await page();
    const talk = seen.slice(seen.indexOf('class="turns"'));
    assert.doesNotMatch(talk, /<(img|script|iframe|style|svg)/i);
    assert.doesNotMatch(talk, /onmouseover="x/);
    const links = [...talk.matchAll(/<a href="([^"]*)" rel="noreferrer" target="_blank">([^<]*)<\/a>/g)];
    assert.deepEqual(
      links.map(([, href]) => href),
      ['http://evil.example/p.png', 'https://evil.example/a', 'https://e.example/'],
    );
    for (const [, href, shown] of links) assert.equal(shown, href);
  });

  it('shows what waits, whole and honest, with the way to decide and the time', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays(['I ask.', held]);
    chat.around.approvals = [
      {
        id: 'ap1',
        agent: 'main',
        tool: 'shell',
        script: 'echo a\u202eb <b>',
        by: 'agent',
        askedAt: new Date().toISOString(),
        expiresAt: new Date(Date.now() + 14.5 * 60_000).toISOString(),
      },
    ];
    await chat.post('/a/main/say', { text: 'go' });
    const reader = (await chat.get('/a/main')).body?.pipeThrough(new TextDecoderStream()).getReader();
    let seen = '';
    while (!seen.includes('Decide')) seen += (await reader?.read())?.value ?? assert.fail('the page ended');
    assert.match(seen, /echo a⟨U\+202E⟩b &lt;b&gt;/);
    assert.match(seen, /Silence is no in 14 min/);
    assert.match(seen, /href="http:\/\/127\.0\.0\.1:8080\/#approvals"/);
    release();
    await answered();
    assert.match(await page(), /echo a⟨U\+202E⟩b/, 'also where the turn is not ours');
  });

  it('stops the answer on Stop', async () => {
    let asked = false;
    let left = false;
    chat.guest = (req, res) => {
      asked = true;
      guestSays(['and so on', new Promise(() => {})])(req, res);
      res.on('close', () => {
        left = true;
      });
    };
    await chat.post('/a/main/say', { text: 'go' });
    await until(() => asked);
    assert.equal((await chat.post('/a/main/stop')).status, 303);
    await until(() => left);
    await answered();
    assert.match(await page(), /Stopped by you\./);
  });

  it('gives back what could not be said', async () => {
    chat.around.state = 'killed';
    const response = await chat.post('/a/main/say', { text: 'a long thought </textarea>' });
    assert.equal(response.status, 409);
    const seen = await response.text();
    assert.match(seen, /Not said: everything is stopped/);
    assert.match(seen, />a long thought &lt;\/textarea&gt;<\/textarea>/);
  });

  it('says how to connect a model when there is none, and which key is missing', async () => {
    chat.part.agents = { main: { modelReady: false } };
    assert.match(await page(), /No model is configured for main[\s\S]*kind: ollama[\s\S]*\/run COMMAND/);
    chat.part.agents = {
      main: { model: { provider: 'openai', name: 'm' }, modelReady: false, keyMissing: 'openai-key' },
    };
    assert.match(
      await page(),
      /No model is reachable for main: a key is missing[\s\S]*secrets\/llm\/openai-key/,
    );
    chat.part.home = "/home/pat's";
    assert.match(await page(), /cat &gt; &#39;\/home\/pat&#39;\\&#39;&#39;s\/secrets\/llm\/openai-key&#39;/);
  });

  it('keeps the recipe to one line once something was said, so that answers are in sight', async () => {
    chat.part.agents = { main: { modelReady: false } };
    assert.doesNotMatch(await page(), /<details class="notice/);
    await chat.post('/a/main/say', { text: '/help' });
    assert.match(
      await page(),
      /<details class="notice setup"><summary>No model is configured for main<\/summary>/,
    );
  });

  it('names an unknown command before the help', async () => {
    await chat.post('/a/main/say', { text: '/foo <b>' });
    assert.match(await page(), /<pre tabindex="0">unknown command \/foo\n\n\/help /);
  });

  it('says that all is killed, and where the way back is', async () => {
    chat.around.state = 'killed';
    assert.match(await page(), /Everything is killed\.[\s\S]*href="http:\/\/127\.0\.0\.1:8080\/killed"/);
  });

  it('sends nothing between the first words of an answer and the next', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays(['You ', held, 'said']);
    await chat.post('/a/main/say', { text: 'go' });
    const growing = chat.get('/a/main').then((response) => response.text());
    await until(() => chat.around.checks > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    release();
    assert.match(await growing, /<div class="text">You said<\/div>/);
  });

  it('names the missing wall and the fix when the world was refused', async () => {
    chat.around.worlds = [
      {
        agent: 'main',
        state: 'refused',
        why: null,
        walls: [
          {
            wall: 'network',
            state: 'missing',
            detail: 'user namespaces are forbidden',
            fix: 'sudo apparmor_parser -r X',
          },
        ],
      },
    ];
    const seen = await page();
    assert.match(
      seen,
      /Missing wall: network[\s\S]*user namespaces are forbidden[\s\S]*sudo apparmor_parser -r X/,
    );
  });

  it('kills by its button and shows the receipt in the talk', async () => {
    assert.equal((await chat.post('/a/main/kill')).status, 303);
    assert.deepEqual(chat.around.trips, [{ reason: 'pressed in the chat', by: 'operator' }]);
    assert.match(await page(), /data-state="killed"[\s\S]*Receipt trip-7/);
  });
});

describe('the way into the chat', () => {
  let chat: Chat;
  beforeEach(async () => {
    chat = await openChat();
  });
  afterEach(async () => {
    await chat.close();
  });
  /** fetch writes the Host itself, so this one asks by hand. */
  const askAs = async (host: string, path = '/a/main'): Promise<{ status: number; text: string }> => {
    const req = request({ port: chat.port, host: '127.0.0.1', path, headers: { host } }).end();
    const [res] = (await once(req, 'response')) as [IncomingMessage];
    return { status: res.statusCode ?? 0, text: Buffer.concat(await res.toArray()).toString('utf8') };
  };
  const cookieOf = (response: Response, name: string): string =>
    response.headers.getSetCookie().find((each) => each.startsWith(`${name}=`)) ?? '';

  it('goes to the controller and back: a code, a page, a strict cookie', async () => {
    const away = await chat.get('/a/main', { headers: { cookie: '' } });
    assert.equal(away.status, 302);
    const to = new URL(away.headers.get('location') ?? '');
    assert.equal(to.origin + to.pathname, 'http://127.0.0.1:8080/chat-login');
    const state = to.searchParams.get('state') ?? '';
    const kept = cookieOf(away, 'holdfast_chat_state');
    assert.match(kept, /HttpOnly; SameSite=Lax/);
    chat.around.codes.add('one-time-code');
    const cookie = kept.split(';')[0] ?? '';
    const back = await chat.get(`/login?code=one-time-code&state=${state}`, { headers: { cookie } });
    assert.equal(back.status, 200, 'a redirect would drop the strict cookie');
    assert.match(
      cookieOf(back, 'holdfast_chat'),
      /^holdfast_chat=a-session-that-lives; Path=\/; HttpOnly; SameSite=Strict$/,
    );
    assert.match(cookieOf(back, 'holdfast_chat_state'), /Max-Age=0/);
    assert.match(await back.text(), /http-equiv="refresh" content="0;url=\/"/);
    const twice = await chat.get(`/login?code=one-time-code&state=${state}`, { headers: { cookie } });
    assert.equal(twice.status, 403);
    assert.equal(cookieOf(twice, 'holdfast_chat'), '');
  });

  it('refuses a code that comes with another state, or with none: a login that somebody else began', async () => {
    chat.around.codes.add('one-time-code');
    const query = '/login?code=one-time-code&state=';
    const wrong = await chat.get(`${query}other`, { headers: { cookie: 'holdfast_chat_state=mine' } });
    assert.equal(wrong.status, 400);
    assert.equal((await chat.get(query, { headers: { cookie: '' } })).status, 400);
    assert.ok(chat.around.codes.has('one-time-code'), 'and did not use it up');
  });

  it('believes an ended session for two seconds at most, and asks once for many requests', async () => {
    const checks = chat.around.checks;
    for (let at = 0; at < 5; at += 1) assert.equal((await chat.get('/')).status, 302);
    assert.equal(chat.around.checks, checks + 1);
    chat.around.sessions.clear();
    await new Promise((resolve) => setTimeout(resolve, 2100));
    assert.match((await chat.get('/')).headers.get('location') ?? '', /chat-login/);
  });

  it('tells a form without a session, and says nothing for it', async () => {
    const response = await chat.post(
      '/a/main/say',
      { text: 'hello' },
      { headers: { cookie: 'holdfast_chat=gone' } },
    );
    assert.equal(response.status, 401);
    assert.match(await response.text(), /You are logged out/);
  });

  it('ends the session at the controller on logout', async () => {
    const response = await chat.post('/logout');
    assert.equal(response.status, 303);
    assert.equal(response.headers.get('location'), '/logged-out');
    assert.equal(chat.around.sessions.size, 0);
    const end = await chat.get('/logged-out', { headers: { cookie: '' } });
    assert.equal(end.status, 200, 'it does not lead back in by itself');
    assert.match(await end.text(), /href="\/">Log in again[\s\S]*href="http:\/\/127\.0\.0\.1:8080\/logout"/);
    assert.match((await chat.get('/')).headers.get('location') ?? '', /chat-login/);
  });

  it('answers under its own name only', async () => {
    for (const host of [
      `127.0.0.1:${chat.port}`,
      'evil.example',
      'localhost',
      `localhost.:${chat.port}`,
      `a.localhost:${chat.port}`,
    ]) {
      const { status, text } = await askAs(host);
      assert.equal(status, 421, host);
      assert.ok(
        text.includes(`<a href="http://localhost:${chat.port}/">To the chat</a>`),
        'the right address',
      );
    }
    for (const path of ['/holdfast.css', '/chat.css', '/holdfast.svg']) {
      assert.equal((await askAs(`127.0.0.1:${chat.port}`, path)).status, 200, path);
    }
  });

  it('takes forms from its own pages only', async () => {
    const says = (headers: Record<string, string>): Promise<Response> =>
      chat.post('/a/main/say', { text: '/help' }, { headers });
    assert.equal((await says({ origin: 'http://evil.example' })).status, 403);
    assert.equal((await says({ origin: 'null' })).status, 403);
    assert.equal((await says({ origin: `http://127.0.0.1:${chat.port}` })).status, 403);
    assert.equal((await says({ 'sec-fetch-site': 'cross-site' })).status, 403);
    assert.equal((await says({ 'sec-fetch-site': 'same-site' })).status, 403);
    const bare = await fetch(`${chat.url}/a/main/kill`, {
      method: 'POST',
      headers: { cookie: `holdfast_chat=x` },
    });
    assert.equal(bare.status, 403);
    assert.equal((await says({})).status, 303);
    assert.equal(chat.around.trips.length, 0);
  });

  it('says a strict policy with every answer, refusals and faults included', async () => {
    const answers = [
      await chat.get('/a/main'),
      await chat.get('/a/nobody'),
      await chat.get('/nowhere'),
      await chat.get('/login'),
      await chat.get('/', { headers: { cookie: '' } }),
      await chat.post('/a/main/say', { text: 'x'.repeat(400_000) }),
    ];
    assert.deepEqual(
      answers.map((each) => each.status),
      [200, 404, 404, 400, 302, 413],
    );
    for (const answer of answers) {
      const policy = answer.headers.get('content-security-policy') ?? '';
      assert.match(policy, /default-src 'none'; style-src 'self'/);
      assert.match(policy, /form-action 'self' http:\/\/127\.0\.0\.1:8080/);
      assert.doesNotMatch(policy, /unsafe|script-src|\*/);
      assert.equal(answer.headers.get('cache-control'), 'no-store');
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
    }
  });

  it('gives style sheets and icon to anybody, and nothing else', async () => {
    for (const path of ['/holdfast.css', '/chat.css', '/holdfast.svg']) {
      assert.equal((await chat.get(path, { headers: { cookie: '' } })).status, 200, path);
    }
  });
});

describe('links', () => {
  const hrefs = (text: string): string[] =>
    linked(text).flatMap((part) =>
      typeof part === 'string' ? [] : [/href="([^"]*)"/.exec(String(part))?.[1] ?? ''],
    );

  it('are the addresses in a text, without the sentence around them', () => {
    assert.deepEqual(hrefs('see https://a.example/x, (http://b.example) and https://c.example/w_(d).'), [
      'https://a.example/x',
      'http://b.example/',
      'https://c.example/w_(d)',
    ]);
  });

  it('show where they lead: no other script, no user before the host', () => {
    assert.deepEqual(hrefs('https://аpple.com/ https://bank.example@evil.example/ ftp://x javascript:1'), [
      'https://xn--pple-43d.com/',
    ]);
  });

  it('wait for their end while a text grows', () => {
    const settle = (text: string): string => text.slice(0, settled(text));
    assert.equal(settle('see https://a.exa'), 'see ');
    assert.equal(settle('see htt'), 'see ');
    assert.equal(settle('see https://a.example and'), 'see https://a.example and');
    assert.equal(settle('wit'), 'wit');
  });
});
