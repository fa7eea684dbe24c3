/** The front of the house in a real browser with JavaScript off: set up, talk, say yes, press KILL, come back; and no cookie of one site at the door of the other. */
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { BrowserContext } from 'playwright-core';
import { createProvider } from '../provider/provider.ts';
import { allRun, appliance, toolsReady, until } from '../world/appliance.ts';
import { launchChromium } from '../world/chromium.ts';
import { password } from '../world/operator.ts';

async function browse(t: TestContext): Promise<BrowserContext> {
  const context = await launchChromium();
  t.after(() => context.close());
  return context;
}

/** In the place of a page of ours: what a browser brings there. */
async function inItsPlace(t: TestContext, port: number): Promise<IncomingHttpHeaders[]> {
  const seen: IncomingHttpHeaders[] = [];
  const server = createServer((req, res) => {
    seen.push(req.headers);
    res.end('somebody else');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return seen;
}

test('a person does the whole thing without a script, and the cookies of the two sites never meet', async (t) => {
  const provider = await createProvider();
  t.after(() => provider.close());
  const a = await appliance(t, {
    config: `
providers: { local: { kind: openai, baseUrl: ${provider.url}, price: { free: true } } }
agents: { main: { model: { provider: local, name: practice-slow } } }
`,
  });
  const context = await browse(t);
  const complaints: string[] = [];
  context.on('console', (message) => complaints.push(message.text()));

  const desk = await context.newPage();
  await desk.goto(a.controllerUrl);
  await desk.getByLabel('Setup code').fill(a.setupCode);
  await desk.getByLabel(/^Password/).fill(password);
  await desk.getByLabel('The same password again').fill(password);
  await desk.getByRole('button', { name: 'Set up' }).click();
  await desk.getByRole('heading', { name: 'Waiting for you' }).waitFor();
  await until(async () => (await allRun(a)) && (await toolsReady(a)), 30_000, a.output);
  await desk.reload();
  await desk.getByRole('heading', { level: 1, name: /main runs in a sealed world/ }).waitFor();

  const chat = await context.newPage();
  await chat.goto(a.chatUrl);
  await chat.waitForURL(`${a.chatUrl}/a/main`);
  const say = async (text: string): Promise<void> => {
    await chat.getByLabel('Say to main').fill(text);
    // The page ends with the answer; nobody waits for that.
    await chat.getByRole('button', { name: 'Send' }).click({ noWaitAfter: true });
  };
  await say(`Count: ${Array.from({ length: 30 }, (_, at) => `word${at}`).join(' ')}`);
  const answer = chat.locator('.turn[data-who="agent"] .text');
  await answer.getByText('You said: Count: word0').waitFor();
  assert.equal(await answer.getByText('word29').count(), 0, 'the first words stand before the last are said');
  assert.ok(await chat.getByRole('button', { name: 'Stop' }).isVisible());
  await answer.getByText('word29').waitFor();

  await say('run: echo made in the sandbox; id -u');
  await chat.getByText('Waits for your yes').waitFor();
  await desk.reload();
  await desk.getByText('echo made in the sandbox; id -u').waitFor();
  await desk.getByRole('button', { name: 'Yes, run it once' }).click();
  await desk.getByText('Nothing waits.').waitFor();
  await answer.last().filter({ hasText: '> made in the sandbox' }).waitFor();
  await chat.getByRole('button', { name: 'Stop' }).waitFor({ state: 'hidden' });

  await desk.getByRole('button', { name: 'KILL' }).click();
  await desk.getByRole('cell', { name: 'worlds verified empty' }).waitFor();
  assert.equal(
    await desk.getByText('failed', { exact: true }).count(),
    0,
    'every step of the receipt is done',
  );
  await say('are you there?');
  await chat.getByText('Not said: everything is stopped').waitFor();
  await desk.getByLabel('Reason').fill('the drill is over');
  await desk.getByLabel('Your password again').fill(password);
  await desk.getByRole('button', { name: 'Re-arm' }).click();
  await desk.getByText('armed', { exact: true }).waitFor();
  await until(() => allRun(a), 30_000, a.output);
  await say('and now?');
  await answer.last().getByText('You said: and now?').waitFor();
  assert.deepEqual(
    complaints.filter((text) => /policy|refused to/i.test(text)),
    [],
  );

  // Each refuses the other's name.
  const { controllerPort, chatPort } = a;
  const wrongChat = await chat.goto(`http://127.0.0.1:${chatPort}/`);
  assert.equal(wrongChat?.status(), 421);
  await chat.getByText(`http://localhost:${chatPort}/`).waitFor();
  const wrongDesk = await desk.goto(`http://localhost:${controllerPort}/`);
  assert.equal(wrongDesk?.status(), 421);
  await desk.getByText(`http://127.0.0.1:${controllerPort}`).first().waitFor();

  // Somebody else in the gateway's place, and then in the controller's.
  await a.stop();
  const atChat = await inItsPlace(t, chatPort);
  const atDesk = await inItsPlace(t, controllerPort);
  await chat.goto(`${a.chatUrl}/`);
  assert.match(atChat.at(-1)?.cookie ?? '', /^holdfast_chat=[^;]+$/, 'its own cookie and no other');
  await desk.goto(`${a.controllerUrl}/`);
  assert.match(atDesk.at(-1)?.cookie ?? '', /^holdfast=[^;]+$/, 'its own cookie and no other');
  await chat.goto(`http://127.0.0.1:${chatPort}/`);
  assert.match(
    atChat.at(-1)?.cookie ?? '',
    /^holdfast=/,
    'control: a cookie ignores the port, so the names must differ',
  );
});
