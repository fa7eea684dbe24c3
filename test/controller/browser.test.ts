/** The pages in a real browser with JavaScript off: what only a browser decides is decided here, cookies, Origin, redirects, frames. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { getRequestListener } from '@hono/node-server';
import type { BrowserContext } from 'playwright-core';
import { call } from '../../appliance/socket.ts';
import { launchChromium } from '../world/chromium.ts';
import { askOf, jobFor, password, sitDown } from './desk.ts';

async function browse(t: TestContext): Promise<BrowserContext> {
  const context = await launchChromium();
  t.after(() => context.close());
  return context;
}

const open = (t: TestContext, server: Server): Promise<number> =>
  new Promise((resolve) => {
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });

/** The controller on a port, and a stand-in for the chat that keeps what a browser sends it. */
async function twoSites(t: TestContext) {
  const seen: { url: string; cookie: string }[] = [];
  let page = '';
  const chatServer = createServer((req: IncomingMessage, res) => {
    seen.push({ url: req.url ?? '', cookie: req.headers.cookie ?? '' });
    res.writeHead(200, {
      'content-type': 'text/html',
      'set-cookie': 'holdfast_chat=theirs; HttpOnly; Path=/',
    });
    res.end(page);
  });
  const chatPort = await open(t, chatServer);
  let listener: ReturnType<typeof getRequestListener> | undefined;
  const server = createServer((req, res) => void listener?.(req, res));
  const port = await open(t, server);
  const desk = await sitDown(t, { ports: { controller: port, chat: chatPort } });
  listener = getRequestListener(desk.app.fetch, { overrideGlobalObjects: false });
  return {
    desk,
    seen,
    controllerUrl: `http://127.0.0.1:${port}`,
    chatUrl: `http://localhost:${chatPort}`,
    setChatPage: (html: string) => {
      page = html;
    },
  };
}

type Sites = Awaited<ReturnType<typeof twoSites>>;

async function setUpIn(context: BrowserContext, { desk, controllerUrl }: Sites) {
  const page = await context.newPage();
  await page.goto(controllerUrl);
  await page.getByLabel('Setup code').fill(desk.setupCode.renew());
  await page.getByLabel(/^Password/).fill(password);
  await page.getByLabel('The same password again').fill(password);
  await page.getByRole('button', { name: 'Set up' }).click();
  await page.getByRole('heading', { level: 1, name: /main runs in a sealed world/ }).waitFor();
  return page;
}

test('set up, say yes, kill, re-arm and log out, all without a script', async (t) => {
  const sites = await twoSites(t);
  const { desk } = sites;
  const page = await setUpIn(await browse(t), sites);
  const refused: string[] = [];
  page.on('console', (message) => refused.push(message.text()));

  const { id } = await desk.inbox.ask(askOf(jobFor('main', 'git status --short')));
  const waiting = call(desk.socket('ask'), `GET /approvals/${id}?waitMs=20000`) as Promise<{ state: string }>;
  await page.reload();
  await page.getByText('git status --short').waitFor();
  await page.getByRole('button', { name: 'Yes, run it once' }).click();
  assert.equal((await waiting).state, 'approved');
  await page.getByText('Nothing waits.').waitFor();

  await page.getByRole('button', { name: 'KILL' }).click();
  await page.getByRole('cell', { name: 'worlds verified empty' }).waitFor();
  assert.equal(desk.keeper.state, 'killed');
  await page.getByLabel('Reason').fill('the rule is mended');
  await page.getByLabel('Your password again').fill(password);
  await page.getByRole('button', { name: 'Re-arm' }).click();
  await page.getByText('armed', { exact: true }).waitFor();
  assert.equal(desk.keeper.state, 'armed');

  await page.getByRole('button', { name: 'Log out' }).click();
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await page.goBack();
  assert.equal(await page.getByRole('button', { name: 'KILL' }).count(), 0, 'Back shows nothing from before');
  assert.deepEqual(
    refused.filter((text) => /Content Security Policy|Refused/.test(text)),
    [],
  );
});

test('from the chat to the login and back, under the policy of the login page; then without a password', async (t) => {
  const sites = await twoSites(t);
  const { desk, controllerUrl, chatUrl, seen } = sites;
  const context = await browse(t);
  const first = await setUpIn(context, sites);
  await first.getByRole('button', { name: 'Log out' }).click();

  const page = await context.newPage();
  sites.setChatPage(
    `<meta http-equiv="refresh" content="0;url=${controllerUrl}/chat-login?state=aaaaaaaaaaaaaaaaaaaaaa">`,
  );
  await page.goto(chatUrl);
  await page.getByRole('heading', { name: 'Log in to the chat' }).waitFor();
  sites.setChatPage('arrived');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText('arrived').waitFor();
  const query = new URL(page.url()).searchParams;
  const redeemed = await call(desk.socket('session'), 'POST /redeem', {
    code: query.get('code'),
    state: query.get('state'),
  });
  assert.ok((redeemed as { session?: string }).session);

  sites.setChatPage(`<a href="${controllerUrl}/chat-login?state=bbbbbbbbbbbbbbbbbbbbbb">again</a>`);
  await page.goto(chatUrl);
  sites.setChatPage('arrived once more');
  await page.getByRole('link', { name: 'again' }).click();
  await page.getByText('arrived once more').waitFor();
  assert.match(page.url(), /state=bbbb/, 'the Strict cookie was found without a second password');

  assert.ok(
    seen.length >= 4 && seen.every(({ cookie }) => !cookie.includes('holdfast=')),
    'the controller’s cookie never reaches the chat',
  );
});

test('a link in the chat opens the controller logged in', async (t) => {
  const sites = await twoSites(t);
  const context = await browse(t);
  await setUpIn(context, sites);
  const page = await context.newPage();
  sites.setChatPage(`<a href="${sites.controllerUrl}/exchanges">look</a>`);
  await page.goto(sites.chatUrl);
  await page.getByRole('link', { name: 'look' }).click();
  await page.getByRole('heading', { name: 'Exchanges' }).waitFor();
});

test('another site can neither press nor frame, though the operator is logged in', async (t) => {
  const sites = await twoSites(t);
  const { desk, controllerUrl, chatUrl } = sites;
  const context = await browse(t);
  await setUpIn(context, sites);
  const page = await context.newPage();
  sites.setChatPage(
    `<form method="post" action="${controllerUrl}/kill"><button>Win</button></form><iframe src="${controllerUrl}/" title="bait"></iframe>`,
  );
  await page.goto(chatUrl);
  assert.equal(await page.frameLocator('iframe').getByRole('button', { name: 'KILL' }).count(), 0);
  await page.getByRole('button', { name: 'Win' }).click();
  await page.getByText('did not come from a page of the controller').waitFor();
  assert.equal(desk.keeper.presses.length, 0);
});

test('nothing is cut off to the right from 360 px to 2560 px, and KILL stays in sight', async (t) => {
  const sites = await twoSites(t);
  const page = await setUpIn(await browse(t), sites);
  const { id } = await sites.desk.inbox.ask(askOf(jobFor('main', `echo ${'x'.repeat(4000)}`)));
  sites.desk.visit(id);
  await sites.desk.inbox.ask(askOf(jobFor('main', 'ls\n'.repeat(200))));
  for (const path of ['/', '/exchanges', '/killed']) {
    await page.goto(`${sites.controllerUrl}${path}`);
    for (const width of [360, 720, 1280, 2560]) {
      await page.setViewportSize({ width, height: 700 });
      const wide = await page.evaluate('document.documentElement.scrollWidth');
      assert.ok(Number(wide) <= width, `${path} is ${wide} px wide at ${width}`);
      await page.mouse.wheel(0, 5_000);
      const box = await page.getByRole('button', { name: 'KILL' }).boundingBox();
      assert.ok(
        box && box.y >= 0 && box.y < 100 && box.x + box.width <= width && box.x > width / 2,
        `${path} at ${width}`,
      );
    }
  }
});
