/** What the llm process is told: read strictly, and refused by name where something is unknown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../appliance/config.ts';
import { manifest } from '../../appliance/manifest.ts';
import { readPart, settingsOf } from '../../appliance/models/part.ts';
import { Problem } from '../../appliance/problem.ts';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';

const whole = () => ({
  providers: {
    local: {
      kind: 'openai',
      baseUrl: 'http://127.0.0.1:1/v1',
      price: { free: true },
      prices: { 'm*': { inputUsdPerMillion: 1, outputUsdPerMillion: 2 } },
    },
    vendor: {
      kind: 'anthropic',
      baseUrl: 'https://api.example.com',
      login: { deviceUrl: 'https://a.example/d', tokenUrl: 'https://a.example/t', clientId: 'c' },
    },
  },
  models: { smart: ['local/m', 'vendor/n'] },
  agents: {
    main: {
      model: { name: 'smart' },
      aliases: {},
      limits: { ...defaultLimits },
      egress: [{ host: 'example.com', ports: [443] }],
    },
  },
  metricsPort: null,
  keysHeld: true,
});

/** A copy in which the object at `path` has one more field. */
function withField(path: string[], name: string, value: unknown): unknown {
  const copy = whole() as Record<string, unknown>;
  let at: Record<string, unknown> = copy;
  for (const each of path) at = at[each] as Record<string, unknown>;
  at[name] = value;
  return copy;
}

const problemOf = (given: unknown): Problem => {
  try {
    readPart(given);
  } catch (error) {
    assert.ok(error instanceof Problem);
    assert.equal(error.code, 'bad-part');
    assert.equal(error.status, 422);
    return error;
  }
  throw new Error(`it was read: ${JSON.stringify(given)}`);
};

test('a whole part is read, providers in the order in which they are asked', () => {
  const part = readPart(whole());
  assert.deepEqual(
    part.providers.map(({ name }) => name),
    ['local', 'vendor'],
  );
  const settings = settingsOf(part, 'main');
  assert.equal(settings.providers, part.providers);
  assert.deepEqual(settings.aliases, { smart: ['local/m', 'vendor/n'] });
  assert.deepEqual(settings.limits, defaultLimits);
  assert.throws(() => settingsOf(part, 'nobody'), { code: 'bad-part', message: /nobody/ });
});

test('an unknown field is refused and named, wherever it stands', () => {
  const places: string[][] = [
    [],
    ['providers', 'local'],
    ['providers', 'local', 'price'],
    ['providers', 'local', 'prices', 'm*'],
    ['providers', 'vendor', 'login'],
    ['agents', 'main'],
    ['agents', 'main', 'model'],
    ['agents', 'main', 'limits'],
    ['agents', 'main', 'egress', '0'],
  ];
  for (const path of places) {
    const { hint } = problemOf(withField(path, 'unheardOf', 1));
    assert.match(hint, /unheardOf/, path.join('.'));
    for (const each of path) assert.ok(hint.includes(each), `${path.join('.')}: ${hint}`);
  }
});

test('a field that is missing or of another form is refused and named', () => {
  const wrong: [string[], string, unknown][] = [
    [[], 'keysHeld', 'yes'],
    [[], 'keysHeld', undefined],
    [[], 'metricsPort', '9464'],
    [['providers', 'local'], 'kind', 'azure'],
    [['providers', 'local'], 'baseUrl', 'file:///etc/passwd'],
    [['providers', 'local'], 'concurrency', 0],
    [['agents', 'main', 'limits'], 'usdPerDay', -1],
    [['agents', 'main', 'limits'], 'usdPerDay', Number.NaN],
    [['agents', 'main', 'limits'], 'usdPerMonth', undefined],
    [['agents', 'main', 'limits'], 'bodyMb', null],
    [['agents', 'main', 'egress', '0'], 'ports', []],
    [['models'], 'smart', 'local/m'],
  ];
  for (const [path, name, value] of wrong)
    assert.match(problemOf(withField(path, name, value)).hint, new RegExp(name), `${name}: ${String(value)}`);
  for (const given of [undefined, null, [], 'part']) problemOf(given);
});

test('what the table of processes says to llm is understood, field by field', () => {
  const parsed = parseConfig(
    `
providers:
  ollama@pi: { kind: ollama, baseUrl: 'http://10.0.0.7:11434', concurrency: 1, contextTokens: 8192 }
  lab: { kind: openai, baseUrl: 'https://llm.example/v1', key: lab, caFile: ca.pem, certFile: c.pem, keyFile: k.pem, urls: true, price: { costHeader: x-cost }, prices: { big: { inputUsdPerMillion: 1, outputUsdPerMillion: 2, cachedUsdPerMillion: 0.1, cacheWriteUsdPerMillion: 3 } } }
  plan: { kind: anthropic, baseUrl: 'https://api.example', login: { deviceUrl: 'https://a.example/d', tokenUrl: 'https://a.example/t', clientId: c, scope: s }, models: [ 'x-*' ] }
models: { smart: [ ollama@pi/m, lab/big ] }
agents:
  main: { model: { name: smart }, allow: [ smart ], aliases: { own: [ lab/big ] }, limits: { usdPerDay: none, tokensPerMonth: 5 }, egress: [ { host: example.com, why: docs } ] }
  scout: {}
metrics: { port: 9464 }
`,
    'holdfast.yaml',
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const table = manifest(parsed.config, {
    instance: '0123abcd',
    home: '/home',
    mode: 'root',
    owner: { uid: 0, gid: 0 },
    killed: false,
    keys: ['lab'],
    agentNumbers: { main: 0, scout: 1 },
  } as unknown as Parameters<typeof manifest>[1]);
  const given: unknown = JSON.parse(JSON.stringify(table.processes.find(({ name }) => name === 'llm')?.part));
  const part = readPart(given);
  assert.deepEqual(
    part.providers.map(({ name }) => name),
    ['ollama@pi', 'lab', 'plan'],
  );
  assert.equal(part.agents.main?.limits.usdPerDay, null);
  assert.equal(part.agents.scout?.limits.usdPerDay, defaultLimits.usdPerDay);
  assert.equal(part.metricsPort, 9464);
});
