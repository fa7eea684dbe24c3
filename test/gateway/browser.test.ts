/** The chat in a real browser with JavaScript off: login over the controller, an answer that grows, a stop, an approval. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { BrowserContext, Page } from 'playwright-core';
import { launchChromium } from '../world/chromium.ts';
import { type Chat, guestSays, openChat, until } from './chat.ts';

describe('the chat in a browser without JavaScript', () => {
  let chat: Chat;
  let controller: Server;
  const cookiesSeen: string[] = [];
  let browser: BrowserContext;
  let page: Page;
  const profile = mkdtempSync(join(tmpdir(), 'hf-browser-'));
  const complaints: string[] = [];

  before(async () => {
    controller = createServer((req, res) => {
      const url = new URL(req.url ?? '/', 'http://127.0.0.1');
      cookiesSeen.push(req.headers.cookie ?? '');
      if (url.pathname !== '/chat-login') return void res.end('the controller');
      chat.around.codes.add('one-time-code');
      const back = `${chat.url}/login?code=one-time-code&state=${url.searchParams.get('state')}`;
      res.writeHead(302, { location: back }).end();
    });
    controller.listen(0, '127.0.0.1');
    await once(controller, 'listening');
    chat = await openChat({ controllerPort: (controller.address() as AddressInfo).port });
    browser = await launchChromium(profile);
    page = await browser.newPage();
    page.on('console', (message) => complaints.push(message.text()));
    page.setDefaultTimeout(10_000);
  });
  beforeEach(() => {
    chat.around.approvals = [];
  });
  after(async () => {
    await browser.close();
    await chat.close();
    controller.close();
    controller.closeAllConnections();
    rmSync(profile, { recursive: true, force: true });
  });

  /** Sends without waiting for the page's end: it comes with the end of the answer. */
  const send = async (text: string): Promise<void> => {
    await page.getByLabel('Say to main').fill(text);
    await page.getByRole('button', { name: 'Send' }).click({ noWaitAfter: true });
  };

  it('logs in over the controller and arrives at the chat', async () => {
    await page.goto(chat.url);
    await page.waitForURL(`${chat.url}/a/main`);
    assert.equal(await page.getByText('Nothing was said to main yet.').count(), 1);
    const [cookie] = (await browser.cookies()).filter((each) => each.name === 'holdfast_chat');
    assert.equal(cookie?.sameSite, 'Strict');
    assert.equal(cookie?.httpOnly, true);
    assert.ok(cookiesSeen.every((each) => !each.includes('holdfast_chat=')));
  });

  it('shows the answer while it is being said, with the field below it and the end in view', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays([
      'The first words. ',
      `${'A long line of talk. '.repeat(12)}\n\n`.repeat(12),
      'Now.',
      held,
      ' The end.',
    ]);
    await send('Hello');
    await page.getByText('The first words.').waitFor();
    await page.getByText('Now.').waitFor();
    assert.equal(await page.getByText('The end.').count(), 0);
    await page.getByText('Now.').waitFor({ state: 'visible' });
    const end = await page.locator('.turn.open .text').boundingBox();
    const field = await page.getByLabel('Say to main').boundingBox();
    assert.ok(end && field && end.y + end.height <= field.y, 'the last line stands above the field');
    assert.ok(field.y + field.height <= (page.viewportSize()?.height ?? 0), 'and the field is in view');
    assert.ok(await page.getByRole('button', { name: 'Stop' }).isVisible());
    release();
    await page.getByText('The end.').waitFor();
    await page.getByRole('button', { name: 'Stop' }).waitFor({ state: 'hidden' });
  });

  it('shows what waits, and takes it away when it was decided', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays(['I would like to run something. ', held, 'It was done.']);
    chat.around.approvals = [
      {
        id: 'ap1',
        agent: 'main',
        tool: 'shell',
        script: 'uname -a',
        by: 'agent',
        askedAt: new Date().toISOString(),
        expiresAt: new Date(Date.now() + 900_000).toISOString(),
      },
    ];
    await send('run it');
    const asks = page.getByText('Waits for your yes');
    await asks.waitFor();
    assert.equal(await page.getByRole('link', { name: 'Decide in the controller' }).count(), 1);
    chat.around.approvals = [];
    await asks.waitFor({ state: 'hidden' });
    release();
    await page.getByText('It was done.').waitFor();
  });

  it('stops an answer by its button', async () => {
    chat.guest = guestSays(['On and on', new Promise(() => {})]);
    await send('go');
    await page.getByText('On and on').waitFor();
    await page.getByRole('button', { name: 'Stop' }).click({ noWaitAfter: true });
    await page.getByText('Stopped by you.').waitFor();
  });

  it('does not hold a second message back nor lose it', async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    chat.guest = guestSays(['Thinking', held]);
    await send('one');
    await page.getByText('Thinking').waitFor();
    await send('two, at the same time');
    await page.getByText('Not said: main is still answering.').waitFor();
    assert.equal(await page.getByLabel('Say to main').inputValue(), 'two, at the same time');
    release();
    await until(async () => (await (await chat.get('/a/main')).text()).includes('Thinking'));
  });

  it('never made the browser complain about the policy', () => {
    assert.deepEqual(
      complaints.filter((each) => /policy|refused|blocked/i.test(each)),
      [],
    );
  });
});
