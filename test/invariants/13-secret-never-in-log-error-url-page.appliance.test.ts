/** Invariant 13 on a real appliance: after a day of use no secret stands in a file beside secrets/, in an environment, on a command line, on a page, in a status or in an address. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { homePaths } from '../../appliance/paths.ts';
import { createProvider } from '../provider/provider.ts';
import { type Appliance, allRun, appliance, run, until } from '../world/appliance.ts';
import { browser, operatorOf, password } from '../world/operator.ts';
import { told } from '../world/processes.ts';

const key = 'sk-a-key-for-this-test-alone';
const mistyped = 'a password that was nearly right';

type Step = { status: number; location: string; cookies: string[]; text: string };

/** One request as a browser sends it, nothing followed. */
async function step(url: string, cookie = ''): Promise<Step> {
  const answer = await fetch(url, { redirect: 'manual', headers: { cookie } });
  return {
    status: answer.status,
    location: answer.headers.get('location') ?? '',
    cookies: answer.headers.getSetCookie(),
    text: await answer.text(),
  };
}

const wordOf = (cookie = ''): string => /=([^;]*)/.exec(cookie)?.[1] ?? '';

/** From the chat to the controller and back, address by address. */
async function chatLogin(a: Appliance, controllerCookie: string) {
  const begun = await step(`${a.chatUrl}/`);
  const state = begun.cookies.find((each) => each.startsWith('holdfast_chat_state=')) ?? '';
  const atController = await step(begun.location, controllerCookie);
  const stateCookie = `holdfast_chat_state=${wordOf(state)}`;
  const arrived = await step(atController.location, stateCookie);
  const chat = arrived.cookies.find((each) => /^holdfast_chat=./.test(each)) ?? '';
  const again = await step(atController.location, stateCookie);
  return { urls: [begun.location, atController.location], session: wordOf(chat), arrived, again };
}

test('no secret is written, told, shown or put into an address', async (t) => {
  const provider = await createProvider({ requireKey: key });
  t.after(() => provider.close());
  const a = await appliance(t, {
    config: `
providers: { local: { kind: openai, baseUrl: ${provider.url}, key: local, price: { free: true } } }
agents: { main: { model: { provider: local, name: practice } } }
`,
    prepare(home) {
      mkdirSync(join(home, 'secrets/llm'), { recursive: true, mode: 0o700 });
      writeFileSync(join(home, 'secrets/llm/local'), `${key}\n`, { mode: 0o600 });
    },
  });
  await until(() => allRun(a), 30_000, a.output);

  // A day: a wrong code, a set-up, a wrong password, a login to the chat, turns good and bad, a kill and the way back.
  await browser().post(`${a.controllerUrl}/setup`, {
    code: 'AAAA-BBBB-CCCC-DDDD',
    password,
    again: password,
  });
  const operator = await operatorOf(a);
  await browser().post(`${a.controllerUrl}/login`, { password: mistyped });
  const login = await chatLogin(a, operator.cookies('127.0.0.1'));
  assert.equal(login.arrived.status, 200);
  assert.match(login.urls[1] ?? '', /[?&]code=/, 'control: the one-time code did come by address');
  assert.ok(
    login.again.status >= 400 && login.again.cookies.every((each) => !/^holdfast_chat=./.test(each)),
    'and it is dead after its use',
  );
  assert.equal((await a.cli('ask', 'hello')).code, 0);
  provider.misbehave('echo-key');
  await a.cli('ask', 'and now with the key in the answer');
  provider.misbehave('cut');
  await a.cli('ask', 'and cut');
  await operator.post(`${a.controllerUrl}/kill`);
  await operator.post(`${a.controllerUrl}/rearm`, { password: mistyped, reason: 'with a wrong password' });
  await operator.post(`${a.controllerUrl}/rearm`, { password, reason: 'the day goes on' });
  await until(() => allRun(a), 30_000, a.output);

  const code = new URL(login.urls[1] ?? '').searchParams.get('code') ?? '';
  const secrets = {
    'the key': key,
    'the password': password,
    'a mistyped password': mistyped,
    'the setup code': a.setupCode,
    'the setup code without dashes': a.setupCode.replaceAll('-', ''),
    "the controller's session": wordOf(operator.cookies('127.0.0.1')),
    "the chat's session": login.session,
    'another session of the chat': wordOf(/holdfast_chat=[^;]+/.exec(operator.cookies('localhost'))?.[0]),
    'the one-time code': code,
  };
  for (const [name, secret] of Object.entries(secrets)) assert.ok(secret.length >= 12, name);

  const pages: string[] = [];
  for (const path of ['/', '/exchanges', '/killed', '/nowhere', '/login'])
    pages.push((await operator.get(`${a.controllerUrl}${path}`)).text);
  for (const path of ['/a/main', '/nowhere', '/a/nobody'])
    pages.push((await operator.get(`${a.chatUrl}${path}`)).text);
  assert.match(pages.join(), /You said: hello/, 'control: these are the pages of that day');
  for (const verb of [['status'], ['agent', 'list'], ['approvals', 'list'], ['config', 'check']])
    pages.push((await a.cli(...verb, '--json')).stdout);
  assert.match(pages.join(), /"processes"/);

  const { run: runFolder, home } = homePaths(a.home);
  for (const [name, secret] of Object.entries(secrets)) {
    const inFiles = await run('grep', ['-rlaF', '--devices=skip', secret, home, runFolder]);
    assert.deepEqual(
      inFiles.stdout.split('\n').filter((file) => file !== ''),
      name === 'the key' ? [join(home, 'secrets/llm/local'), join(runFolder, 'credentials/llm/local')] : [],
      name,
    );
    assert.deepEqual(told(secret), [], `${name}: environments and command lines`);
    assert.equal(pages.join().includes(secret), false, `${name}: pages and facts`);
    const addresses = [...login.urls, ...provider.requests.map((request) => request.url)];
    const found = addresses.filter((url) => url.includes(secret));
    assert.deepEqual(found, name === 'the one-time code' ? [login.urls[1]] : [], `${name}: addresses`);
  }
  assert.ok(told(a.home).length > 0, 'control: the search of command lines finds what is there');
  const printed = a.output().replace(`setup code: ${a.setupCode}`, '');
  for (const [name, secret] of Object.entries(secrets))
    assert.equal(printed.includes(secret), false, `${name}: terminal`);
});
