/** The verbs that work on files: configuration, agents of a stopped Holdfast, units; and the help of all. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fakeAppliance, holdfast, tempHome } from './fake.ts';
import type { Question } from './problem.ts';

const verbs = [
  'up',
  'status',
  'doctor',
  'agent add',
  'agent list',
  'agent remove',
  'traffic',
  'traffic show',
  'traffic har',
  'models list',
  'models price',
  'models pull',
  'models login',
  'models spend',
  'kill',
  'rearm',
  'approvals list',
  'approvals approve',
  'approvals deny',
  'config check',
  'config schema',
  'config example',
  'config apply',
  'units',
  'run',
  'ask',
];

test('every verb explains itself and takes --home', async () => {
  await Promise.all(
    verbs.map(async (verb) => {
      const ran = await holdfast(...verb.split(' '), '--help');
      assert.equal(ran.code, 0, verb);
      assert.match(ran.out, /--home <folder>/, verb);
      if (!/schema|example/.test(verb)) assert.match(ran.out, /--json/, verb);
    }),
  );
});

test('a command line that makes no sense is exit 2', async () => {
  for (const args of [
    ['nonsense'],
    ['stauts'],
    [],
    ['agent'],
    ['agent', 'add'],
    ['run'],
    ['run', '--timeout', 'x', 'y'],
  ]) {
    const ran = await holdfast(...args);
    assert.equal(ran.code, 2, `${args}: ${ran.err}`);
  }
  assert.match((await holdfast('stauts')).err, /status/);
});

test('config check tells each mistake with its place and is exit 78', async (t) => {
  const home = tempHome(t);
  const file = join(home, 'holdfast.yaml');
  writeFileSync(file, 'chat:\n  prot: 1\ncontroller: 8\n');
  const ran = await holdfast('config', 'check', '--home', home);
  assert.deepEqual([ran.code, ran.out], [78, '']);
  assert.ok(
    ran.err.includes(
      `${file}:2:3 chat.prot: got the unknown name “prot”, expected one of port. Did you mean “port”?\n`,
    ),
    ran.err,
  );
  const script = JSON.parse((await holdfast('config', 'check', '--home', home, '--json')).out);
  assert.deepEqual([script.ok, script.mistakes.length, script.mistakes[0].line], [false, 2, 2]);
  writeFileSync(file, '');
  assert.equal((await holdfast('config', 'check', '--home', home)).code, 0);
});

test('config check notes a key that is not there yet, which is no mistake', async (t) => {
  const home = tempHome(t);
  mkdirSync(join(home, 'secrets/llm'), { recursive: true });
  writeFileSync(join(home, 'secrets/llm/there'), 'x');
  writeFileSync(
    join(home, 'holdfast.yaml'),
    'providers: { p: { kind: openai, baseUrl: "https://a", key: there, caFile: ca.pem } }\n',
  );
  const ran = await holdfast('config', 'check', '--home', home);
  assert.equal(ran.code, 0);
  assert.match(ran.out, /no mistakes/);
  assert.equal(ran.err, 'note: providers.p.caFile is not in secrets/llm/ yet: ca.pem\n');
  const script = JSON.parse((await holdfast('config', 'check', '--home', home, '--json')).out);
  assert.deepEqual(script.missing, [{ path: 'providers.p.caFile', file: 'ca.pem' }]);
});

test('the example is checked as it is printed, and the schema is JSON', async (t) => {
  const home = tempHome(t);
  writeFileSync(join(home, 'x.yaml'), (await holdfast('config', 'example')).out);
  assert.equal((await holdfast('config', 'check', '--home', home, '--file', join(home, 'x.yaml'))).code, 0);
  assert.equal(JSON.parse((await holdfast('config', 'schema')).out).title, 'holdfast.yaml');
});

test('config apply sends the file that is in use, wherever it is', async (t) => {
  const asked: unknown[] = [];
  const folder = tempHome(t);
  const configFile = join(folder, 'mine.yaml');
  writeFileSync(configFile, 'chat: { port: 1 }\n');
  const home = await fakeAppliance(t, {
    launch: { 'GET /status': () => ({ configFile }) },
    decide: {
      'POST /config/apply': ({ body }: Question) => {
        asked.push(body);
        return { version: 'v', live: ['llm'], restarted: [] };
      },
    },
  });
  const ran = await holdfast('config', 'apply', '--home', home);
  assert.equal(ran.out, 'version: v\nchanged live: llm\nrestarted: none\n', ran.err);
  assert.deepEqual(asked, [{ text: 'chat: { port: 1 }\n' }]);
});

test('agents of a stopped Holdfast are changed in its file, comments kept', async (t) => {
  const home = tempHome(t);
  const file = join(home, 'holdfast.yaml');
  writeFileSync(file, '# mine\nagents:\n  main: {} # first\n');
  assert.equal((await holdfast('agent', 'add', 'scout', '--home', home)).code, 0);
  assert.equal(readFileSync(file, 'utf8'), '# mine\nagents:\n  main: {} # first\n  scout:\n');
  const listed = JSON.parse((await holdfast('agent', 'list', '--home', home, '--json')).out) as {
    name: string;
    state: string;
  }[];
  assert.deepEqual(
    listed.map((each) => each.name),
    ['main', 'scout'],
  );
  assert.equal(listed[0]?.state, 'not running');
  assert.equal((await holdfast('agent', 'remove', 'scout', '--home', home)).code, 0);
  assert.equal(readFileSync(file, 'utf8'), '# mine\nagents:\n  main: {} # first\n');
  for (const bad of [
    ['add', 'main'],
    ['add', 'Keeper'],
    ['remove', 'nobody'],
    ['remove', 'main'],
  ]) {
    const ran = await holdfast('agent', ...bad, '--home', home);
    assert.equal(ran.code, 3, `${bad}: ${ran.err}`);
  }
  assert.equal(readFileSync(file, 'utf8'), '# mine\nagents:\n  main: {} # first\n');
});

test('an agent of a running Holdfast is added by the controller', async (t) => {
  const asked: unknown[] = [];
  const answer = { version: 'v', live: [], restarted: ['agent@scout'] };
  const home = await fakeAppliance(t, {
    launch: { 'GET /status': () => ({}) },
    decide: {
      'POST /agents': ({ body }: Question) => {
        asked.push(body);
        return answer;
      },
      'DELETE /agents/:name': ({ params }: Question) => {
        asked.push(params.name);
        return answer;
      },
    },
  });
  writeFileSync(join(home, 'holdfast.yaml'), '# text\n');
  const ran = await holdfast('agent', 'add', 'scout', '--home', home, '--json');
  assert.deepEqual(JSON.parse(ran.out), { ...answer, folder: join(home, 'agents/scout') });
  const removed = await holdfast('agent', 'remove', 'scout', '--home', home);
  assert.match(removed.out, new RegExp(`its files stay in ${join(home, 'agents/scout')}`));
  assert.deepEqual(asked, [{ name: 'scout', text: '# text\n' }, 'scout']);
  assert.equal(readFileSync(join(home, 'holdfast.yaml'), 'utf8'), '# text\n');
});

test('units are written for the configuration of the home', async (t) => {
  const home = tempHome(t);
  const out = join(home, 'out');
  writeFileSync(join(home, 'holdfast.yaml'), 'agents: { main: {}, scout: {} }\nchat: { port: 4321 }\n');
  mkdirSync(join(home, 'secrets/llm'), { recursive: true });
  writeFileSync(join(home, 'secrets/llm/key'), 'x');
  const ran = await holdfast('units', '--home', home, '--out', out, '--docker-gid', '77', '--json');
  assert.equal(ran.code, 0, ran.err);
  assert.deepEqual(JSON.parse(ran.out).files.sort(), readdirSync(out).sort());
  assert.match(readFileSync(join(out, 'holdfast-gateway.socket'), 'utf8'), /ListenStream=127\.0\.0\.1:4321/);
  assert.match(readFileSync(join(out, 'holdfast-broker.service'), 'utf8'), /SupplementaryGroups=.*\b77\b/);
  assert.match(readFileSync(join(out, 'holdfast-llm.service'), 'utf8'), /LoadCredential=key:/);
  assert.ok(existsSync(join(out, 'holdfast-world-scout.service')));
});

test('up with a wrong file says every mistake, starts nothing and is exit 78', async (t) => {
  const home = tempHome(t);
  const file = join(home, 'wrong.yaml');
  writeFileSync(file, 'chat: { prot: 1 }\nagents: { Main: {} }\n');
  const ran = await holdfast('up', '--home', join(home, 'h'), '--config', file, '--no-install');
  assert.equal(ran.code, 78, ran.err);
  assert.match(ran.err, /wrong\.yaml:1:9 chat\.prot: .*\n.*wrong\.yaml:2:11 agents\.Main: /);
  assert.equal(ran.out, '');
});
