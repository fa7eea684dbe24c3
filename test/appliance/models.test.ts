/** Models, money and the record on the whole appliance: chains, budgets, prices, logins, metrics and the audit, as an owner meets them. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { below } from '../../appliance/world/tree.ts';
import { createAuthServer } from '../provider/authserver.ts';
import { createProvider } from '../provider/provider.ts';
import {
  type Appliance,
  allRun,
  appliance,
  freePort,
  root,
  run,
  statusOf,
  until,
} from '../world/appliance.ts';
import { ask, chatAt, lines, pids } from '../world/asking.ts';
import { operatorOf } from '../world/operator.ts';
import { folderOf } from '../world/user.ts';

type Facts = Record<string, unknown>;

const jsonOf = async (a: Appliance, ...args: string[]): Promise<unknown> => {
  const { code, stdout, stderr } = await a.cli(...args, '--json');
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
};

type Window = { usd: number; tokens: number; limitUsd: number | null };
type Spend = { day: Window; month: Window; warned: number[]; audit: { bytes: number } };
const spendOf = async (a: Appliance, of: string): Promise<Spend> => {
  const all = (await jsonOf(a, 'models', 'spend')) as { agent: string; spend: Spend }[];
  const found = all.find(({ agent }) => agent === of)?.spend;
  assert.ok(found);
  const { day, month, warned, audit } = found;
  return { day, month, warned, audit };
};

/** SIGKILL of the llm process alone, by the id that the launcher says; then until it serves again. */
async function killLlm(a: Appliance): Promise<void> {
  const before = (await pids(a)).llm;
  assert.ok(before);
  process.kill(before, 'SIGKILL');
  await until(
    async () => (await pids(a)).llm !== before && (await allRun(a)),
    20_000,
    () => a.output(),
  );
}

/** The folder as the process sees it, below bubblewrap. */
async function seenBy(a: Appliance, name: string, path: string): Promise<string[] | null> {
  const outer = (await pids(a))[name] ?? 0;
  await until(() => below(outer).length >= 2, 5000);
  const view = `/proc/${below(outer)[0]?.pid}/root`;
  assert.ok(existsSync(`${view}/run/holdfast/part`), 'control: that is its view');
  return existsSync(view + path) ? readdirSync(view + path) : null;
}

/** `holdfast models login NAME`: the code it prints, and how it ended. */
function login(a: Appliance, name: string): { code: Promise<string>; ended: Promise<number | null> } {
  const child = spawn(
    process.execPath,
    [join(root, 'appliance/cli/holdfast.ts'), 'models', 'login', name, '--home', a.home],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const code = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = /^Open (\S+) and enter (\S+)$/.exec(line);
      if (said) resolve(said[2] ?? '');
    });
    child.once('exit', () => reject(new Error('it ended without a code')));
  });
  return { code, ended: new Promise((resolve) => child.once('exit', resolve)) };
}

test('models, money and the record, as an owner meets them', async (t) => {
  const provider = await createProvider();
  const auth = await createAuthServer();
  t.after(() => Promise.all([provider.close(), auth.close()]));
  const [closedPort, metricsPort] = [await freePort(), await freePort()];
  const local = `kind: openai, baseUrl: "${provider.url}"`;
  const a = await appliance(t, {
    prepare(home) {
      mkdirSync(join(home, 'secrets/llm'), { recursive: true, mode: 0o700 });
      writeFileSync(join(home, 'secrets/llm/keyed'), 'key-of-the-owner\n', { mode: 0o600 });
    },
    config: `
providers:
  down: { kind: openai, baseUrl: "http://127.0.0.1:${closedPort}", price: { free: true } }
  local: { ${local}, price: { free: true } }
  # 1050 tokens of the model practice-cached come to 0.004005 USD.
  paid: { ${local}, price: { inputUsdPerMillion: 4, outputUsdPerMillion: 0.1 } }
  odd: { ${local} }
  keyed: { ${local}, key: keyed, price: { free: true } }
  plan: { ${local}, login: { deviceUrl: "${auth.deviceUrl}", tokenUrl: "${auth.tokenUrl}", clientId: ${auth.clientId} } }
models: { smart: [ down/practice, local/practice ] }
agents:
  main: { model: { name: smart }, limits: { auditMbPerDay: none } }
  payer: { model: { provider: paid, name: practice-cached }, limits: { usdPerDay: 0.01 } }
  asker: { model: { provider: odd, name: practice } }
  member: { model: { provider: plan, name: practice } }
metrics: { port: ${metricsPort} }
`,
  });
  await until(() => allRun(a), 30_000, a.output);
  const operator = await operatorOf(a);
  const turn = (agent: string, text: string) => a.cli('ask', '--agent', agent, text);
  const answers = async (agent: string, text: string): Promise<void> => {
    const { code, stdout, stderr } = await turn(agent, text);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`You said: [\\s\\S]*${text}`));
  };

  await t.test(
    'the second of a chain answers when the first is down, and the record shows the way',
    async () => {
      await answers('main', 'good morning');
      const [seen] = (await jsonOf(a, 'traffic', '--filter', 'agent=main')) as Facts[];
      assert.deepEqual([seen?.provider, seen?.asked, seen?.status], ['local', 'smart', 200]);
      const hops = (seen?.hops ?? []) as Facts[];
      assert.deepEqual(
        hops.map((hop) => hop.provider),
        ['down', 'local'],
        JSON.stringify(hops),
      );
      assert.match(String(hops[0]?.why), /^[a-z][a-z0-9-]+$/i, 'a word for why it went on');
      assert.match(String(seen?.turn), /^[A-Za-z0-9-]+$/);
      const turns = lines(a, 'traffic.jsonl').filter(
        (line) => line.kind === 'request' && line.agent === 'main',
      );
      assert.ok(
        turns.every((line) => (line.turn as Facts)?.id === seen?.turn),
        'one turn, all of its rounds',
      );
      assert.deepEqual(await jsonOf(a, 'traffic', '--filter', `turn=${seen?.turn}`), [seen]);
      assert.deepEqual(await jsonOf(a, 'traffic', '--filter', 'hops>1 provider=local'), [seen]);
    },
  );

  await t.test(
    'a budget that is used up says so in the chat, with its rule and when it resets, and survives SIGKILL',
    async () => {
      for (const text of ['first', 'second']) assert.equal((await turn('payer', text)).code, 0);
      await operator.send(`${a.chatUrl}/a/payer/say`, { text: 'third' });
      const says = /Holdfast \(budget-usd-day\): payer has spent 0\.00801\d* of 0\.01 USD today/;
      let text = '';
      const chat = async (): Promise<string> => {
        text = (await operator.get(`${a.chatUrl}/a/payer`)).text;
        return text;
      };
      await until(
        async () => says.test(await chat()),
        10_000,
        () => text,
      );
      const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
      assert.match(text, new RegExp(`It resets at ${tomorrow}T00:00:00Z`));
      assert.match(text, /raise agents\.payer\.limits\.usdPerDay in holdfast\.yaml/);
      const refused = await turn('payer', 'fourth');
      assert.notEqual(refused.code, 0);
      assert.match(refused.stderr + refused.stdout, /budget-usd-day/);

      const spent = await spendOf(a, 'payer');
      assert.equal(spent.day.usd, 0.00801);
      assert.equal(spent.day.tokens, 2100);
      assert.equal(spent.day.limitUsd, 0.01);
      const free = await ask(a, 'payer', ...chatAt('for nothing', 'local/practice'));
      assert.equal(free.status, 200, free.body);
      const after = await spendOf(a, 'payer');
      assert.deepEqual([after.day, after.month], [spent.day, spent.month], 'what is free is not counted');
      assert.match((await operator.get(`${a.controllerUrl}/`)).text, /payer has used 80 % of its budget/);

      // One is under way when the process dies: nobody will ever know what it came to.
      const cut = ask(a, 'asker', ...chatAt('no answer', 'paid/practice-hang'));
      await until(() => provider.requests.some(({ body }) => body.includes('no answer')), 5000);
      await killLlm(a);
      await cut;
      assert.deepEqual(await spendOf(a, 'payer'), after);
      const [open] = lines(a, 'traffic.jsonl').filter(
        (line) => line.kind === 'request' && line.agent === 'asker',
      );
      const { usdNano, tokens } = (open?.reserved ?? {}) as { usdNano: number; tokens: number };
      assert.ok(usdNano > 0);
      const asker = await spendOf(a, 'asker');
      assert.deepEqual([Math.round(asker.day.usd * 1e9), asker.day.tokens], [usdNano, tokens]);
      assert.match((await turn('payer', 'fifth')).stderr, /budget-usd-day/);
      await answers('main', 'still for nothing');
    },
  );

  await t.test('a model without a price is refused, asks once, and is answered while all runs', async () => {
    const refused = await turn('asker', 'what do you cost');
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /unpriced-model/);
    assert.match(refused.stderr, /holdfast models price odd\/practice/);
    type Models = { unpriced: Facts[]; prices: Facts[] };
    const before = (await jsonOf(a, 'models', 'list')) as Models;
    assert.deepEqual(
      before.unpriced.map(({ provider: of, model, agent }) => [of, model, agent]),
      [['odd', 'practice', 'asker']],
    );
    const asks = /asker asked for odd\/practice, and nobody has said what it costs/;
    assert.match((await operator.get(`${a.controllerUrl}/`)).text, asks);

    const running = await pids(a);
    const priced = await a.cli('models', 'price', 'odd/practice', '--input', '0.5', '--output', '2');
    assert.equal(priced.code, 0, priced.stderr);
    assert.match(
      readFileSync(join(a.home, 'holdfast.yaml'), 'utf8'),
      /practice: \{ inputUsdPerMillion: 0\.5/,
    );
    assert.deepEqual(await pids(a), running, 'live: nothing was started anew');
    await answers('asker', 'what do you cost');
    assert.ok((await spendOf(a, 'asker')).day.usd > 0);
    const now = (await jsonOf(a, 'models', 'list')) as Models;
    assert.deepEqual(now.unpriced, []);
    assert.ok(
      now.prices.some(
        ({ model, source }) => model === 'odd/practice' && /holdfast\.yaml/.test(String(source)),
      ),
    );
    assert.doesNotMatch((await operator.get(`${a.controllerUrl}/`)).text, asks);
  });

  await t.test(
    'a login is made by a code, used by a turn, gone after a kill and back after a re-arm',
    async () => {
      const refused = await turn('member', 'who pays');
      assert.match(refused.stderr, /login-needed[\s\S]*holdfast models login plan/);
      const tokens = (): string[] =>
        provider.requests.flatMap(
          ({ headers }) => /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1] ?? [],
        );
      assert.deepEqual(tokens(), [], 'control: nothing was sent with a token so far');

      const own = login(a, 'plan');
      auth.decide(await own.code, true);
      assert.equal(await own.ended, 0);
      assert.deepEqual(
        auth.asked.map(({ said }) => said).filter((said) => !['ok', 'authorization_pending'].includes(said)),
        [],
        'it asked as RFC 8628 wants',
      );
      await answers('member', 'on the plan');
      assert.deepEqual([...new Set(tokens())], [...auth.good]);
      assert.equal((await spendOf(a, 'member')).day.usd, 0, 'paid for by its quota');
      assert.ok((await spendOf(a, 'member')).day.tokens > 0);
      const folder = '/var/lib/holdfast/secrets/llm-logins';
      const credentials = '/run/credentials';
      assert.deepEqual(await seenBy(a, 'llm', folder), ['plan.json'], 'control');
      assert.deepEqual(await seenBy(a, 'llm', credentials), ['keyed'], 'control');
      assert.equal(statSync(join(a.home, 'secrets/llm-logins/plan.json')).mode & 0o777, 0o600);
      const found = await run('grep', ['-rlF', [...auth.good][0] ?? 'none', a.home, a.run]);
      assert.equal(
        found.stdout.trim(),
        join(a.home, 'secrets/llm-logins/plan.json'),
        'the token is nowhere else',
      );

      const asked = auth.asked.length;
      assert.equal((await a.cli('kill', '--reason', 'a drill')).code, 0);
      await until(async () => (await statusOf(a)).processes.every(({ name }) => !name.includes('@')), 10_000);
      await until(
        async () => (await statusOf(a)).processes.every(({ state }) => state === 'running'),
        15_000,
      );
      assert.equal(await seenBy(a, 'llm', folder), null, 'no logins');
      assert.equal(await seenBy(a, 'llm', credentials), null, 'no keys');
      const killed = await a.cli('models', 'login', 'plan');
      assert.notEqual(killed.code, 0);
      assert.match(killed.stderr, /re-arm|rearm/);
      assert.equal(auth.asked.length, asked, 'nobody was asked for a code');

      const before = provider.requests.length;
      assert.equal((await a.cli('rearm', '--reason', 'the drill is over')).code, 0);
      await until(() => allRun(a), 20_000, a.output);
      await answers('member', 'back on the plan');
      assert.ok(provider.requests.length > before);
      assert.deepEqual([...new Set(tokens())], [...auth.good]);
      assert.equal(auth.asked.length, asked, 'without another code');
      assert.deepEqual(await seenBy(a, 'llm', credentials), ['keyed']);
    },
  );

  await t.test(
    'Prometheus text is on loopback and on the control socket, the same, and every line of it parses',
    async () => {
      const onPort = async (): Promise<{ type: string | null; text: string }> => {
        const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
        assert.equal(answer.status, 200);
        return { type: answer.headers.get('content-type'), text: await answer.text() };
      };
      const onSocket = () => run('curl', ['-s', '--unix-socket', a.socket('models'), 'http://s/metrics']);
      await until(async () => (await onSocket()).stdout === (await onPort()).text, 5000);
      const { type, text } = await onPort();
      assert.match(type ?? '', /^text\/plain; version=0\.0\.4/);
      const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"';
      const sample = new RegExp(
        `^[a-zA-Z_:][a-zA-Z0-9_:]*(?:\\{${label}(?:,${label})*\\})? (?:[+-]?Inf|NaN|-?[0-9.]+(?:e[+-]?[0-9]+)?)$`,
      );
      const comment = /^# (?:HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* .+$/;
      assert.ok(text.endsWith('\n'));
      for (const line of text.slice(0, -1).split('\n'))
        assert.ok(line === '' || comment.test(line) || sample.test(line), line);
      assert.match(text, /^holdfast_llm_budget_used_usd\{agent="payer",window="day"\} 0\.00801$/m);
      assert.match(text, /^holdfast_llm_budget_limit_usd\{agent="payer",window="day"\} 0\.01$/m);
      assert.match(text, /^holdfast_llm_requests_total\{agent="member",provider="plan",model="practice",/m);
      const other = await run('curl', [
        '-s',
        '-H',
        'Host: evil.example',
        `http://127.0.0.1:${metricsPort}/metrics`,
      ]);
      assert.doesNotMatch(other.stdout, /holdfast_llm/);
      const guest = await ask(
        a,
        'main',
        '--proxy',
        'http://127.0.0.1:3128',
        `http://127.0.0.1:${metricsPort}/metrics`,
      );
      assert.equal(guest.status, 403, 'no agent reads it');
    },
  );

  await t.test(
    'the record is whole over a segment that was filled and put away; what was spent is too; a flipped byte is named',
    async () => {
      const spent = (await spendOf(a, 'payer')).day;
      // 32 MiB are a segment: as a guest would fill it, by what it asks and by what comes back.
      const folder = mkdtempSync(join(tmpdir(), 'hf-fill-'));
      after(() => rmSync(folder, { recursive: true }));
      const archive = join(a.home, 'audit/traffic');
      for (let nth = 0; readdirSync(archive).length === 0; nth += 1) {
        assert.ok(nth < 20, 'it rotates');
        const file = join(folder, 'body');
        const content = randomBytes(1_500_000).toString('hex');
        writeFileSync(
          file,
          JSON.stringify({ model: 'local/practice', messages: [{ role: 'user', content }] }),
        );
        const url = 'http://127.0.0.1:9090/v1/chat/completions';
        const json = ['-H', 'content-type: application/json', '-o', '/dev/null'];
        assert.equal((await ask(a, 'main', ...json, '--data-binary', `@${file}`, url)).status, 200);
      }
      await answers('main', 'in the new segment');
      type Audit = { ok: boolean; ledgers: { ledger: string; ok: boolean; segments: number; bad?: Facts }[] };
      const audit = (await jsonOf(a, 'audit', 'verify')) as Audit;
      assert.equal(audit.ok, true, JSON.stringify(audit));
      assert.ok(audit.ledgers.every(({ ok }) => ok));
      assert.equal(audit.ledgers.find(({ ledger }) => ledger === 'traffic')?.segments, 2);
      await killLlm(a);
      assert.deepEqual((await spendOf(a, 'payer')).day, spent, 'the carry is exact');
      assert.match((await turn('payer', 'sixth')).stderr, /budget-usd-day/);

      const segment = join(archive, '000001.jsonl');
      const whole = readFileSync(segment);
      const at = whole.indexOf('"costUsd":0.004005');
      assert.ok(at > 0);
      const line = whole.subarray(0, at).filter((byte) => byte === 10).length + 1;
      const flipped = Buffer.from(whole);
      flipped[at + '"costUsd":0.00'.length] = 0x30; // 0.004005 -> 0.000005
      writeFileSync(segment, flipped);
      const found = await a.cli('audit', 'verify');
      // The line itself where a checkpoint names it; else the next one, which does not follow any more.
      assert.equal(found.code, 3, found.stdout);
      assert.match(found.stdout, new RegExp(`traffic/000001\\.jsonl line (${line}|${line + 1}): `));
      writeFileSync(segment, whole);
      assert.equal((await a.cli('audit', 'verify')).code, 0, 'control: it was that byte');

      // And a record that does not hold is not served from.
      const live = join(a.home, 'audit/traffic.jsonl');
      writeFileSync(live, readFileSync(live, 'utf8').replace('"kind":"started"', '"kind":"starteb"'));
      process.kill((await pids(a)).llm ?? 0, 'SIGKILL');
      const errors = join(a.home, 'shared/logs/errors/ERROR-LOG.md');
      await until(
        () => /traffic\.jsonl line \d+: its prev is not the hash/.test(readFileSync(errors, 'utf8')),
        10_000,
        a.output,
      );
      const asked = provider.requests.length;
      assert.equal((await ask(a, 'main', ...chatAt('anybody', 'local/practice'))).status, 0);
      assert.equal(provider.requests.length, asked);
    },
  );
});

test('for an ordinary user too: a chain, the record, the numbers; and no login without the explicit yes', async (t) => {
  const uid = 61_534; // nobody else's: what runs under it was started here
  const account = folderOf(uid);
  after(() => {
    rmSync(account, { recursive: true, force: true });
    rmSync(`/tmp/holdfast-${uid}`, { recursive: true, force: true });
  });
  const [provider, auth] = [await createProvider(), await createAuthServer()];
  t.after(() => Promise.all([provider.close(), auth.close()]));
  const [closedPort, metricsPort] = [await freePort(), await freePort()];
  const a = await appliance(t, {
    uid,
    account,
    config: `
providers:
  down: { kind: openai, baseUrl: "http://127.0.0.1:${closedPort}", price: { free: true } }
  local: { kind: openai, baseUrl: "${provider.url}", price: { free: true } }
  plan: { kind: openai, baseUrl: "${provider.url}", login: { deviceUrl: "${auth.deviceUrl}", tokenUrl: "${auth.tokenUrl}", clientId: ${auth.clientId} } }
models: { smart: [ down/practice, local/practice ] }
agents: { main: { model: { name: smart } } }
metrics: { port: ${metricsPort} }
`,
  });
  await until(() => allRun(a), 30_000, a.output);
  const answered = await a.cli('ask', 'as an ordinary user');
  assert.equal(answered.code, 0, answered.stderr);
  assert.match(answered.stdout, /You said: as an ordinary user/);
  const [seen] = (await jsonOf(a, 'traffic')) as Facts[];
  assert.deepEqual(
    ((seen?.hops ?? []) as Facts[]).map((hop) => hop.provider),
    ['down', 'local'],
  );
  assert.equal((await spendOf(a, 'main')).day.limitUsd, 5);
  assert.match(
    await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text(),
    /^holdfast_llm_budget_limit_usd\{agent="main",window="day"\} 5$/m,
  );
  const refused = await a.cli('models', 'login', 'plan');
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /keys are not held now[\s\S]*ordinaryUser: \{ holdKeys: true \}/);
  assert.deepEqual(auth.asked, []);
  assert.equal((await a.cli('audit', 'verify')).code, 0);
});
