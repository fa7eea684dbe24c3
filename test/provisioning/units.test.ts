/** The manifest as systemd units: accepted by systemd-analyze, hardened, and with the doors where the worlds are. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseConfig } from '../../appliance/config.ts';
import { manifest } from '../../appliance/manifest.ts';
import { socketGroup } from '../../appliance/numbers.ts';
import { renderUnits } from '../../provisioning/units.ts';

const root = join(import.meta.dirname, '../..');
const parsed = parseConfig(
  `
providers: { a: { kind: openai, baseUrl: "https://api.example.com/v1", key: openai } }
agents:
  main: { model: { provider: a, name: "m 100% \\"x\\"" }, instructions: "one\\ntwo\\\\n" }
  scout: {}
`,
  'holdfast.yaml',
);
assert.ok(parsed.ok, JSON.stringify(parsed));
const { config } = parsed;
const table = manifest(config, {
  instance: '0badcafe',
  mode: 'root',
  owner: { uid: 0, gid: 0 },
  agentNumbers: { main: 0, scout: 1 },
  keys: ['openai'],
  killed: false,
  home: '/var/lib/holdfast',
  docker: { socket: '/run/docker.sock', gid: 999 },
});
const groupOf = (door: string): number => socketGroup(config, '0badcafe', door);
const units = renderUnits(table, { prefix: root, keys: ['openai'], groupOf });

const folder = mkdtempSync(join(tmpdir(), 'holdfast-units-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const names = Object.keys(units).filter((name) => /\.(service|socket|target)$/.test(name));
for (const name of names) writeFileSync(join(folder, name), units[name] ?? '');
const services = names.filter((name) => name.endsWith('.service'));

const of = (name: string): string => {
  const found = units[name];
  assert.ok(found, `${name} is not rendered: ${Object.keys(units).join(' ')}`);
  return found;
};
const values = (name: string, key: string): string[] =>
  of(name)
    .split('\n')
    .filter((line) => line.startsWith(`${key}=`))
    .map((line) => line.slice(key.length + 1));

const analyze = (...args: string[]): { code: number | null; said: string } => {
  const ran = spawnSync('systemd-analyze', args, { cwd: folder, encoding: 'utf8', timeout: 120_000 });
  assert.equal(ran.error, undefined, 'systemd-analyze is needed: npm test installs it');
  return { code: ran.status, said: ran.stdout + ran.stderr };
};

test('systemd-analyze verify accepts every unit without a word, and refuses a broken one', () => {
  assert.deepEqual(analyze('verify', '--man=no', ...names.map((name) => `./${name}`)), { code: 0, said: '' });
  const broken = of('holdfast-llm.service').replace(/^ExecStart=\S+/m, 'ExecStart=/nowhere/node');
  writeFileSync(join(folder, 'control.service'), broken);
  assert.notEqual(analyze('verify', '--man=no', './control.service').code, 0);
});

test('systemd-analyze security scores every service at 2.0 or better, the broker aside', () => {
  assert.ok(services.length >= 13, services.join(' '));
  for (const name of services) {
    const { said } = analyze('security', '--offline=true', '--no-pager', `./${name}`);
    const score = /exposure level for .*: ([\d.]+)/.exec(said)?.[1];
    assert.ok(score !== undefined, said);
    if (name !== 'holdfast-broker.service') assert.ok(Number(score) <= 2.0, `${name}: ${score}`);
  }
});

test('no unit sets MemoryDenyWriteExecute, which V8 cannot live with', () => {
  for (const text of Object.values(units)) assert.doesNotMatch(text, /MemoryDenyWriteExecute/);
});

test('each door of a world is made inside it, flushed, and named as the process asks for it', () => {
  for (const agent of ['main', 'scout']) {
    const socket = `holdfast-llm.${agent}.socket`;
    const world = `holdfast-world-${agent}.service`;
    assert.deepEqual(values(socket, 'ListenStream'), ['127.0.0.1:9090']);
    assert.deepEqual(values(socket, 'FileDescriptorName'), [`llm.${agent}`]);
    assert.deepEqual(values(socket, 'PrivateNetwork'), ['yes']);
    assert.deepEqual(values(socket, 'JoinsNamespaceOf'), [world]);
    assert.deepEqual(values(socket, 'BindsTo'), [world]);
    assert.deepEqual(values(`holdfast-names.${agent}.socket`, 'ListenDatagram'), ['127.0.0.53:53']);
    assert.ok(values('holdfast-llm.service', 'Sockets').includes(socket));
  }
  for (const name of names.filter((each) => each.endsWith('.socket')))
    assert.deepEqual(values(name, 'FlushPending'), ['yes'], name);
});

test('every door of the manifest has one socket, and its server asks for it', () => {
  for (const door of table.doors) {
    const socket = `holdfast-${door.name.replace('@', '-')}.socket`;
    const server = `holdfast-${door.servedBy.replace('@', '-')}.service`;
    assert.ok(values(server, 'Sockets').includes(socket), `${server} has no ${socket}`);
  }
});

test('a control socket is its server’s and its group’s alone; the operator’s is root’s', () => {
  const ask = 'holdfast-ask.socket';
  assert.deepEqual(values(ask, 'ListenStream'), ['/run/holdfast/ask/sock']);
  assert.deepEqual(values(ask, 'SocketMode'), ['0660']);
  assert.deepEqual(values(ask, 'SocketGroup'), [String(groupOf('ask'))]);
  assert.deepEqual(values('holdfast-decide.socket', 'SocketGroup'), ['0']);
  const member = (name: string): boolean =>
    values(name, 'SupplementaryGroups').some((list) => list.split(' ').includes(String(groupOf('rearm'))));
  assert.deepEqual(services.filter(member), ['holdfast-controller.service']);
});

test('a guest sees an empty root without D-Bus, resolved, nscd or journald, and only loopback', () => {
  const guest = 'holdfast-agent-main.service';
  const [root = ''] = values(guest, 'RootDirectory');
  assert.match(root, /^\/run\/holdfast\/root\//);
  assert.match(of('holdfast.tmpfiles.conf'), new RegExp(`^d ${root} 0755 0 0 -$`, 'm'));
  assert.deepEqual(values(guest, 'JoinsNamespaceOf'), ['holdfast-world-main.service']);
  const bound = [...values(guest, 'BindReadOnlyPaths'), ...values(guest, 'BindPaths')].join(' ');
  assert.doesNotMatch(bound, /dbus|resolve\/|nscd|journal|docker|secrets|audit|\/run\/holdfast\/(?!etc)/);
  for (const hidden of ['/sys', '/run/systemd/journal', '/run/dbus', '/run/nscd'])
    assert.match(values(guest, 'InaccessiblePaths').join(' '), new RegExp(`-\\+${hidden}( |$)`));
  assert.deepEqual(values(guest, 'CapabilityBoundingSet'), ['']);
  assert.deepEqual(values(guest, 'LoadCredential'), []);
});

test('keys are credentials of llm alone, and only those that exist', () => {
  assert.deepEqual(values('holdfast-llm.service', 'LoadCredential'), [
    'openai:/var/lib/holdfast/secrets/llm/openai',
  ]);
  for (const name of services.filter((each) => each !== 'holdfast-llm.service'))
    assert.deepEqual(values(name, 'LoadCredential'), [], name);
  assert.doesNotMatch(renderUnits(table, { groupOf })['holdfast-llm.service'] ?? '', /LoadCredential/);
});

test('killed conflicts with worlds, llm, egress, tools and their sockets, and with nothing that must stay', () => {
  const ended = values('holdfast-killed.target', 'Conflicts');
  for (const unit of [
    'world-main.service',
    'agent-main.service',
    'llm.service',
    'egress.service',
    'tools.service',
    'llm.main.socket',
    'tcp.scout.443.socket',
    'run.socket',
  ])
    assert.ok(ended.includes(`holdfast-${unit}`), unit);
  for (const unit of [
    'keeper.service',
    'controller.service',
    'gateway.service',
    'controller.socket',
    'trip.socket',
    'rearm.socket',
  ])
    assert.equal(ended.includes(`holdfast-${unit}`), false, unit);
});

test('text of the configuration stays one value', () => {
  const environment = values('holdfast-agent-main.service', 'Environment');
  assert.ok(environment.includes('"HOLDFAST_MODEL=m 100%% \\"x\\""'), environment.join('\n'));
  assert.ok(environment.includes('"HOLDFAST_INSTRUCTIONS=one\\u000atwo\\\\n"'), environment.join('\n'));
});

test('every number has an account, because systemd refuses one without', () => {
  const accounts = of('holdfast.sysusers.conf');
  for (const row of table.processes.filter((each) => each.uid !== 0))
    assert.match(accounts, new RegExp(`^u hf-\\S+ ${row.uid} `, 'm'));
  for (const name of services)
    for (const gid of values(name, 'SupplementaryGroups').flatMap((list) => list.split(' ')))
      if (gid !== '999') assert.match(accounts, new RegExp(`^g hfg-\\S+ ${gid}$`, 'm'));
});

test('every folder that a unit binds for writing is made beforehand', () => {
  const made = of('holdfast.tmpfiles.conf');
  for (const name of services)
    for (const path of values(name, 'BindPaths').filter((each) => !each.startsWith('-')))
      assert.ok(made.includes(` ${path.split(':')[0]} `), `${name}: ${path}`);
});
