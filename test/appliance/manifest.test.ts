/** The table of what runs, as far as models are concerned: what llm is given, by what it is reached, and what it may keep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../appliance/config.ts';
import { manifest } from '../../appliance/manifest.ts';
import { socketGroup } from '../../appliance/numbers.ts';
import type { Circumstances, Manifest, Process } from '../../appliance/row.ts';
import type { Config } from '../../appliance/settings.ts';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';

const yaml = `
providers:
  ollama@pi: { kind: ollama, baseUrl: "http://10.0.0.7:11434" }
  openai: { kind: openai, baseUrl: "https://api.openai.com/v1", key: openai, concurrency: 4 }
  work: { kind: openai, baseUrl: "https://a/v1", login: { deviceUrl: "https://a/d", tokenUrl: "https://a/t", clientId: c } }
models:
  fast: [ "ollama@pi/llama3.2", openai/gpt-5 ]
  paid: [ openai/gpt-5 ]
agents:
  main:
    model: { name: fast }
    allow: [ fast ]
    aliases: { mine: [ openai/o3 ] }
    limits: { usdPerDay: 1 }
    egress: [ { host: example.org } ]
  scout: { model: { name: paid } }
  third: { model: { provider: work, name: big } }
`;

const configOf = (text: string): Config => {
  const parsed = parseConfig(text, 'holdfast.yaml');
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.config;
};

const tableOf = (text: string, rest: Partial<Circumstances> = {}): Manifest =>
  manifest(configOf(text), {
    instance: '0badcafe',
    mode: 'root',
    owner: { uid: 0, gid: 0 },
    agentNumbers: { main: 0, scout: 1, third: 2 },
    keys: [],
    killed: false,
    home: '/h',
    docker: null,
    ...rest,
  });

const row = (table: Manifest, name: string): Process => {
  const found = table.processes.find((each) => each.name === name);
  assert.ok(found, name);
  return found;
};
type Part = Record<string, unknown> & { agents: Record<string, Record<string, unknown>> };
const partOf = (table: Manifest, name: string): Part => row(table, name).part as Part;

test('llm is given providers in their order, aliases, and for each agent its models, limits and egress rules', () => {
  const part = partOf(tableOf(yaml), 'llm');
  assert.deepEqual(Object.keys(part.providers as object), ['ollama@pi', 'openai', 'work']);
  assert.deepEqual(part.models, { fast: ['ollama@pi/llama3.2', 'openai/gpt-5'], paid: ['openai/gpt-5'] });
  assert.deepEqual(part.agents.main, {
    model: { name: 'fast' },
    allow: ['fast'],
    aliases: { mine: ['openai/o3'] },
    limits: { ...defaultLimits, usdPerDay: 1 },
    egress: [{ host: 'example.org', ports: [443] }],
  });
  assert.deepEqual(part.agents.scout?.limits, defaultLimits);
  assert.equal(part.metricsPort, null);
});

test('the open turn is told by the gateway alone, and models are asked by the controller and the operator', () => {
  const table = tableOf(yaml);
  for (const [door, who] of [
    ['turns', 'gateway'],
    ['models', 'controller'],
  ] as const) {
    assert.deepEqual(
      table.doors.filter((each) => each.name === door),
      [{ name: door, in: 'host', listen: 'path', servedBy: 'llm' }],
    );
    const group = socketGroup(configOf(yaml), '0badcafe', door);
    assert.notEqual(group, 0);
    assert.deepEqual(
      table.processes.filter((each) => each.groups.includes(group)).map((each) => each.name),
      [who],
    );
  }
});

test('numbers are on loopback only when a port is configured, and no egress rule opens that port', () => {
  assert.equal(
    tableOf(yaml).doors.some((door) => door.name === 'metrics'),
    false,
  );
  const table = tableOf(`${yaml}metrics: { port: 9464 }\n`);
  assert.deepEqual(
    table.doors.find((door) => door.name === 'metrics'),
    { name: 'metrics', in: 'host', listen: '127.0.0.1:9464', servedBy: 'llm' },
  );
  assert.equal(partOf(table, 'llm').metricsPort, 9464);
  assert.ok((partOf(table, 'egress').ownPorts as unknown as number[]).includes(9464));
});

test('llm keeps logins only where it may hold keys', () => {
  const folders = (table: Manifest): [string, number][] =>
    row(table, 'llm')
      .writes.filter((entry) => entry.kind === 'folder' && !entry.path.startsWith('audit/'))
      .map((entry) => [entry.path, entry.mode]);
  const both: [string, number][] = [
    ['llm', 0o700],
    ['secrets/llm-logins', 0o700],
  ];
  assert.deepEqual(folders(tableOf(yaml)), both);
  assert.deepEqual(folders(tableOf(yaml, { killed: true })), [['llm', 0o700]]);
  assert.deepEqual(folders(tableOf(yaml, { mode: 'user' })), [['llm', 0o700]]);
  assert.deepEqual(folders(tableOf(`${yaml}ordinaryUser: { holdKeys: true }\n`, { mode: 'user' })), both);
  for (const each of tableOf(yaml).processes) {
    if (each.name === 'llm') continue;
    assert.equal(
      [...each.reads, ...each.writes].some((entry) => entry.path.startsWith('secrets/llm')),
      false,
      each.name,
    );
  }
});

test('a chat is ready when one provider of the chain can be asked, and else says what the first lacks', () => {
  const of = (agent: string, rest: Partial<Circumstances> = {}): unknown =>
    partOf(tableOf(yaml, rest), 'gateway').agents[agent];
  const ready = (model: unknown) => ({
    model,
    modelReady: true,
    keyMissing: undefined,
    keyWithheld: undefined,
  });
  assert.deepEqual(of('main'), ready({ name: 'fast', provider: 'ollama@pi' }));
  assert.deepEqual(of('scout'), {
    model: { name: 'paid', provider: 'openai' },
    modelReady: false,
    keyMissing: 'openai',
    keyWithheld: undefined,
  });
  assert.deepEqual(of('scout', { keys: ['openai'] }), ready({ name: 'paid', provider: 'openai' }));
  assert.deepEqual(of('third'), ready({ name: 'big', provider: 'work' }));
  assert.deepEqual((of('third', { mode: 'user' }) as { keyWithheld: string }).keyWithheld, 'login');
  assert.deepEqual(partOf(tableOf(''), 'gateway').agents.main, { modelReady: false });
});
