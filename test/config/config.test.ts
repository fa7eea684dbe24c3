/** The configuration's boundary: what is taken, and how each mistake is told. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Mistake, mistakeLine } from '../../appliance/config/mistake.ts';
import { parseConfig } from '../../appliance/config.ts';
import { type Config, canonical } from '../../appliance/settings.ts';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';

const good = (text: string): Config => {
  const parsed = parseConfig(text, 'holdfast.yaml');
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.config;
};

const bad = (text: string): Mistake[] => {
  const parsed = parseConfig(text, 'holdfast.yaml');
  assert.ok(!parsed.ok, 'taken, though it is wrong');
  return parsed.mistakes;
};

const only = (text: string): Mistake => {
  const [mistake, ...more] = bad(text);
  assert.ok(mistake);
  assert.deepEqual(more, []);
  return mistake;
};

test('an empty file is the default: one agent called main, without a model', () => {
  for (const text of ['', '# nothing\n', '{}', 'agents:\n', 'agents:\n  main:\n', 'providers:\nchat:\n']) {
    const config = good(text);
    assert.deepEqual(Object.keys(config.agents), ['main']);
    assert.equal(config.controller.port, 8080);
    assert.equal(config.chat.port, 18789);
    assert.equal(config.ordinaryUser.holdKeys, false);
    const { limits, ...main } = config.agents.main ?? {};
    assert.deepEqual(main, { aliases: {}, egress: [], memoryMb: 1024, pids: 256 });
    assert.equal(limits?.usdPerDay, 5);
    assert.deepEqual([config.models, config.metrics], [{}, {}]);
  }
});

test('the digest is the sha256 of the canonical JSON, whatever the order of keys', () => {
  const one = parseConfig('chat: { port: 1234 }\napprovals: { waitSeconds: 60 }\n', 'a');
  const two = parseConfig('approvals:\n  waitSeconds: 60\nchat:\n  port: 1234\n', 'b');
  assert.ok(one.ok && two.ok);
  assert.equal(one.digest, two.digest);
  assert.equal(one.digest, createHash('sha256').update(canonical(one.config)).digest('hex'));
  const other = parseConfig('chat: { port: 1235 }', 'c');
  assert.ok(other.ok);
  assert.notEqual(other.digest, one.digest);
});

test('an unknown name is reported with its place and the nearest valid one', () => {
  assert.deepEqual(only('chat:\n  prot: 1\n'), {
    path: 'chat.prot',
    line: 2,
    column: 3,
    got: 'the unknown name “prot”',
    expected: 'one of port',
    nearest: 'port',
  });
  assert.equal(only('agents:\n  main:\n    memory: 3\n').nearest, 'memoryMb');
  assert.equal(only('agnets: {}\n').nearest, 'agents');
  assert.equal(
    only('providers: { p: { kind: ollama, base_url: x, baseUrl: "http://a" } }').nearest,
    'baseUrl',
  );
  assert.equal(only('quite-another-thing: 1\n').nearest, undefined);
});

test('a wrong type says what stands there and what should', () => {
  const mistake = only('\ncontroller:\n  port: "80"\n');
  assert.deepEqual(
    [mistake.path, mistake.line, mistake.column, mistake.got, mistake.expected],
    ['controller.port', 3, 9, '“80”', 'a whole number from 1 to 65535'],
  );
  assert.equal(only('ordinaryUser: { holdKeys: yes }').expected, 'true or false');
  assert.equal(only('agents: [main]').got, 'a list of 1');
  assert.equal(only('chat:\n  port:\n').got, 'nothing');
  assert.equal(only('chat: { port: 70000 }').got, '70000');
  assert.equal(only('just a text').expected.startsWith('a section with controller'), true);
});

test('every mistake is told, not only the first', () => {
  assert.deepEqual(
    bad('chat: { port: x, prot: 1 }\nagents:\n  main: { pids: 1.5 }\n')
      .map((each) => each.path)
      .sort(),
    ['agents.main.pids', 'chat.port', 'chat.prot'],
  );
});

test('a key that stands twice is a mistake with its place', () => {
  const mistake = only('chat:\n  port: 1\n  port: 2\n');
  assert.deepEqual([mistake.line, mistake.column], [3, 3]);
  assert.match(mistake.got, /unique/i);
  assert.match(mistake.got, /“port” a second time/);
  assert.equal(mistake.path, 'chat.port');
  assert.equal(only('agents:\n  a: {}\n  b:\n    allow: []\n    allow: []\n').path, 'agents.b.allow');
});

test('aliases, __proto__, second documents and unknown tags are refused', () => {
  assert.equal(only('chat: &a { port: 1 }\ncontroller: *a\n').got, 'an alias');
  assert.match(only('providers: { __proto__: { kind: ollama } }').got, /__proto__/);
  assert.match(only('__proto__: { port: 1 }').got, /__proto__/);
  assert.ok(bad('a: 1\n---\nb: 2\n').length > 0);
  assert.ok(bad('chat: !!js/function "x"\n').length > 0);
  assert.ok(bad('1: x\n').length > 0);
  assert.ok(bad(`# ${'x'.repeat(300 * 1024)}\n`).length > 0);
});

test('an agent that names an unknown provider is told the nearest one', () => {
  const text =
    'providers:\n  home: { kind: ollama, baseUrl: "http://127.0.0.1:11434" }\nagents:\n  main:\n    model: { provider: hone, name: m }\n';
  const mistake = only(text);
  assert.deepEqual([mistake.path, mistake.line, mistake.nearest], ['agents.main.model.provider', 5, 'home']);
  good(text.replace('hone', 'home'));
  assert.match(only('agents: { main: { model: { provider: constructor, name: m } } }').expected, /none/);
});

test('two equal ports are a mistake', () => {
  assert.equal(only('chat: { port: 8080 }').expected, 'another port than controller.port');
});

test('names of agents are short, plain and not those of the house', () => {
  for (const name of ['Main', '1st', '-x', 'a_b', 'a.b', '"a/b"', '""', `a${'b'.repeat(31)}`, '"a\\n"']) {
    const mistake = only(`agents: { ${name}: {} }`);
    assert.match(mistake.expected, /small letters/, name);
  }
  for (const name of ['host', 'llm', 'controller', 'constructor', 'keeper']) {
    assert.match(only(`agents: { ${name}: {} }`).got, /reserved/, name);
  }
  good(`agents: { a: {}, scout-2: {}, ${'b'.repeat(31)}: {} }`);
  assert.match(only('agents: {}').expected, /at least one/);
});

test('a base URL is an http or https address without credentials, query or fragment', () => {
  const wrong = [
    'ftp://a',
    'a.example',
    'http://',
    'http://u:hunter2@a',
    'http://hunter2@a',
    'http://a/?k=hunter2',
    'http://a/#x',
    'http://a b',
    'file:///etc',
    'http://a\\b',
  ];
  for (const baseUrl of wrong) {
    const [mistake] = bad(`providers: { p: { kind: openai, baseUrl: ${JSON.stringify(baseUrl)} } }`);
    assert.match(mistake?.expected ?? '', /without credentials/, baseUrl);
    assert.doesNotMatch(JSON.stringify(mistake), /hunter2/);
  }
  for (const baseUrl of [
    'http://127.0.0.1:11434',
    'https://api.example.com/v1',
    'http://[::1]:8/',
    'https://host',
  ]) {
    good(`providers: { p: { kind: openai, baseUrl: "${baseUrl}" } }`);
  }
});

test('a key pasted in place of its file name is refused and not repeated', () => {
  for (const key of ['sk-abc123', 'AIzaSyD', 'x'.repeat(60), '../llm', 'a/b', '.hidden', '']) {
    const mistake = only(
      `providers: { p: { kind: openai, baseUrl: "http://a", key: ${JSON.stringify(key)} } }`,
    );
    assert.match(mistake.expected, /name of a file/);
    if (key !== '') assert.equal(JSON.stringify(mistake).includes(key), false);
  }
  good('providers: { p: { kind: openai, baseUrl: "http://a", key: openai.key } }');
});

test('an allow-list takes host names and one leading wildcard', () => {
  const rule = (host: string): string =>
    `agents: { main: { egress: [ { host: ${JSON.stringify(host)} } ] } }`;
  for (const host of ['example.org', '*.example.org', 'xn--bcher-kva.example']) {
    assert.deepEqual(good(rule(host)).agents.main?.egress, [{ host, ports: [443] }]);
  }
  for (const host of ['', '*', 'a b', 'http://a', 'a:443', 'a*.b', '*.*.b', 'a/..', 'a..b', '-a.b']) {
    assert.equal(only(rule(host)).path, 'agents.main.egress[0].host', host);
  }
  assert.equal(
    only('agents: { main: { egress: [ { host: a.b, ports: [1, 1] } ] } }').expected,
    'each port once',
  );
});

test('a mistake is one printable line, whatever the file holds', () => {
  const [mistake] = bad('"chat\\e[2J\\u202e":\n  port: 1\n');
  assert.ok(mistake);
  const line = mistakeLine('holdfast.yaml', mistake);
  assert.match(line, /^holdfast\.yaml:1:1 /);
  assert.doesNotMatch(line, /\p{C}/u);
});

const configured = (rest: string): string =>
  `providers:\n  ollama@dev2: { kind: ollama, baseUrl: "http://10.0.0.2:11434" }\n  openai: { kind: openai, baseUrl: "https://api.openai.com/v1", key: openai }\n${rest}`;

test('the limits of an agent are those of its spend, and none is written out', () => {
  assert.deepEqual(good('').agents.main?.limits, defaultLimits);
  const { limits } =
    good('agents: { main: { limits: { usdPerDay: none, tokensPerDay: 5, bodyMb: 8 } } }').agents.main ?? {};
  assert.deepEqual([limits?.usdPerDay, limits?.tokensPerDay, limits?.bodyMb], [null, 5, 8]);
  assert.equal(good('agents: { main: { limits: { usdPerDay: 0 } } }').agents.main?.limits.usdPerDay, 0);
  for (const line of [
    'usdPerDay:',
    'usdPerDay: null',
    'usdPerDay: -1',
    'usdPerDay: "5"',
    'usdPerDay: .inf',
  ]) {
    const mistake = only(`agents:\n  main:\n    limits:\n      ${line}\n`);
    assert.deepEqual([mistake.path, mistake.line], ['agents.main.limits.usdPerDay', 4], line);
    assert.equal(mistake.expected, 'a number from 0 to 1000000, or none', line);
  }
  assert.equal(only('agents: { main: { limits: { usdDay: 5 } } }').nearest, 'usdPerDay');
});

test('an alias leads to models of configured providers, in order, and never to an alias', () => {
  const config = good(
    configured(
      'models:\n  2xSpark: [ "ollama@dev2/gpt-oss:120b", "openai/meta/llama" ]\nagents:\n  main: { model: { name: mine }, aliases: { mine: [ openai/gpt-5 ] } }\n  scout: { model: { name: 2xSpark } }\n',
    ),
  );
  assert.deepEqual(config.models, { '2xSpark': ['ollama@dev2/gpt-oss:120b', 'openai/meta/llama'] });
  assert.deepEqual(Object.keys(config.providers), ['ollama@dev2', 'openai']);

  const wrong = (rest: string): [string, string, string?] => {
    const { path, expected, nearest } = only(configured(rest));
    return nearest === undefined ? [path, expected] : [path, expected, nearest];
  };
  assert.deepEqual(wrong('models: { a: [ opnai/x ] }'), [
    'models.a[0]',
    'one of the providers: ollama@dev2, openai',
    'openai',
  ]);
  assert.deepEqual(wrong('models: { a: [ openai/x ], b: [ openai/x, a ] }'), [
    'models.b[1]',
    'provider/model: an alias does not lead to an alias',
  ]);
  assert.deepEqual(wrong('models: { a: [ openai/x ] }\nagents: { main: { aliases: { b: [ a ] } } }'), [
    'agents.main.aliases.b[0]',
    'provider/model: an alias does not lead to an alias',
  ]);
  assert.deepEqual(wrong('models: { a: [ openai ] }'), [
    'models.a[0]',
    'provider/model, such as openai/NAME',
  ]);
  assert.deepEqual(wrong('models: { a: [ openai/x, openai/x ] }'), ['models.a', 'each model once']);
  assert.deepEqual(wrong('models: { a: [] }'), ['models.a', 'a list of 1 to 16']);
  assert.match(wrong('models: { "a/b": [ openai/x ] }')[1], /letters, digits/);
  assert.match(wrong('models: { constructor: [ openai/x ] }')[1], /reserved/);
  assert.deepEqual(wrong('models: { fast: [ openai/x ] }\nagents: { main: { model: { name: fst } } }'), [
    'agents.main.model.provider',
    'a provider, because “fst” is no alias',
    'fast',
  ]);
});

test('names of providers may hold a machine, and nothing that a path or a chain would stumble over', () => {
  for (const name of ['a', 'ollama@dev2', 'ollama@2', 'open-router']) {
    good(`providers: { "${name}": { kind: openai, baseUrl: "http://a" } }`);
  }
  for (const name of ['a/b', '@a', 'a@', 'a@b@c', 'A', 'a b', 'llm', '']) {
    const [mistake] = bad(`providers: { "${name}": { kind: openai, baseUrl: "http://a" } }`);
    assert.match(mistake?.expected ?? '', /small letters/, name);
  }
});

test('a price has exactly one meaning', () => {
  const provider = (price: string): string =>
    `providers: { p: { kind: openai, baseUrl: "http://a", price: { ${price} } } }`;
  for (const price of [
    'free: true',
    'costHeader: x-litellm-response-cost',
    'inputUsdPerMillion: 0, outputUsdPerMillion: 0.1',
    'inputUsdPerMillion: 1, outputUsdPerMillion: 2, cachedUsdPerMillion: 0.1, cacheWriteUsdPerMillion: 1.2',
  ]) {
    good(provider(price));
  }
  for (const price of [
    '',
    'free: true, costHeader: x',
    'free: true, inputUsdPerMillion: 1, outputUsdPerMillion: 1',
    'inputUsdPerMillion: 1',
    'outputUsdPerMillion: 1',
    'cachedUsdPerMillion: 1',
    'free: true, cachedUsdPerMillion: 1',
  ]) {
    const mistake = only(provider(price));
    assert.match(mistake.expected, /^exactly one of free, costHeader/, price);
    assert.equal(mistake.path, 'providers.p.price');
  }
  assert.equal(only(provider('free: false')).expected, 'true');
  const one = only(
    'providers: { p: { kind: openai, baseUrl: "http://a", prices: { "gpt-*": { free: true, costHeader: x } } } }',
  );
  assert.equal(one.path, 'providers.p.prices.gpt-*');
});

test('a key and a login exclude each other, and a certificate wants its key', () => {
  const provider = (rest: string): string =>
    `providers: { p: { kind: openai, baseUrl: "https://a", ${rest} } }`;
  const login = (url: string): string =>
    `login: { deviceUrl: "${url}", tokenUrl: "https://a/token", clientId: holdfast }`;
  good(provider(login('https://a/device')));
  good(provider(login('http://127.0.0.1:9/device')));
  good(provider('certFile: c.pem, keyFile: k.pem, caFile: ca.pem'));
  assert.equal(only(provider(`key: k, ${login('https://a/d')}`)).expected, 'either key or login, not both');
  assert.match(only(provider(login('http://a/device'))).expected, /https/);
  assert.match(only(provider('certFile: c.pem')).expected, /keyFile/);
  assert.match(only(provider('keyFile: c.pem')).expected, /certFile/);
  assert.match(only(provider('caFile: "../../etc/passwd"')).expected, /name of a file/);
});

test('an allow-list that was emptied does not allow everything', () => {
  const mistake = only('agents:\n  main:\n    allow:\n      # - local/*\n');
  assert.deepEqual([mistake.path, mistake.got], ['agents.main.allow', 'nothing']);
  assert.deepEqual(good('agents: { main: { allow: [] } }').agents.main?.allow, []);
  assert.equal(good('').agents.main?.allow, undefined);
});

test('the port of the numbers is its own', () => {
  assert.equal(only('metrics: { port: 8080 }').expected, 'another port than controller.port');
  assert.equal(good('metrics: { port: 9464 }').metrics.port, 9464);
});

test('an entry of allow is an alias or a model of a configured provider', () => {
  const wrong = (allow: string): (string | undefined)[] => {
    const { path, expected, nearest } = only(
      configured(
        `models: { smart: [ openai/gpt-5 ] }\nagents:\n  main:\n    allow: [ openai/*, ${allow} ]\n`,
      ),
    );
    assert.equal(path, 'agents.main.allow[1]');
    return [expected, nearest];
  };
  assert.deepEqual(wrong('smrt'), ['an alias, or provider/model', 'smart']);
  assert.deepEqual(wrong('openai'), ['an alias, or provider/model', 'openai/*']);
  assert.deepEqual(wrong('opnai/gpt-5'), ['one of the providers: ollama@dev2, openai', 'openai/gpt-5']);
  assert.deepEqual(wrong("'opnai/*'"), ['one of the providers: ollama@dev2, openai', 'openai/*']);
  assert.match(only('agents: { main: { allow: [ local/x ] } }').expected, /none is configured/);
  for (const allow of ['smart', 'openai/gpt-5', 'openai/meta/llama', "'*'", "'*/gpt-*'", "'smart*'"]) {
    good(configured(`models: { smart: [ openai/gpt-5 ] }\nagents: { main: { allow: [ ${allow} ] } }`));
  }
});

test('an agent may ask for its own model', () => {
  const agent = (rest: string): string =>
    configured(`models: { smart: [ openai/gpt-5 ] }\nagents:\n  main:\n    ${rest}\n`);
  const mistake = only(agent('{ model: { name: smart }, allow: [ openai/gpt-4 ] }'));
  assert.deepEqual(
    [mistake.path, mistake.line, mistake.got, mistake.expected],
    [
      'agents.main.model.name',
      7,
      '“smart”, which its own allow refuses',
      'a model that allow permits, or “smart” in allow',
    ],
  );
  assert.match(
    only(agent('{ model: { provider: openai, name: x }, allow: [] }')).expected,
    /“openai\/x” in allow/,
  );
  for (const allow of ['smart', 'openai/gpt-5', "'openai/*'"])
    good(agent(`{ model: { name: smart }, allow: [ ${allow} ] }`));
  good(agent('{ model: { provider: openai, name: x }, allow: [ openai/x ] }'));
});

test('a chain leads to models that their provider lists, where it lists any', () => {
  const text = (entry: string): string =>
    `providers: { p: { kind: openai, baseUrl: "https://a", models: [ 'gpt-*', llama3.2 ] } }\nmodels: { a: [ ${entry} ] }`;
  const { path, expected, nearest } = only(text('p/lama3.2'));
  assert.deepEqual(
    [path, expected, nearest],
    ['models.a[0]', 'one of the models that p lists: gpt-*, llama3.2', 'p/llama3.2'],
  );
  good(text('p/llama3.2, p/gpt-5'));
});

test('a provider is not named as a path of the llm door begins', () => {
  for (const name of ['v1', 'v1beta', 'api']) {
    const mistake = only(`providers:\n  ${name}: { kind: openai, baseUrl: "https://a" }\n`);
    assert.deepEqual([mistake.path, mistake.line, mistake.nearest], [`providers.${name}`, 2, `my-${name}`]);
  }
});

test('a key goes out in clear text only where nobody is in between', () => {
  const provider = (host: string, rest: string): string =>
    `providers: { p: { kind: openai, baseUrl: "http://${host}", ${rest} } }`;
  const login = 'login: { deviceUrl: "https://a/d", tokenUrl: "https://a/t", clientId: c }';
  for (const host of [
    'api.example.com',
    '203.0.113.9',
    '8.8.8.8',
    '[2606:4700::1]',
    '10.example.com',
    'xlan',
  ]) {
    const text = provider(host, 'key: k');
    if (host === 'xlan') good(text);
    else assert.equal(only(text).expected, 'https, so that the key does not go out in clear text', host);
  }
  assert.equal(only(provider('a.example', login)).path, 'providers.p.baseUrl');
  good(provider('api.example.com', 'concurrency: 1'));
  for (const host of [
    '127.0.0.1',
    '[::1]',
    'localhost',
    '10.0.0.2:8000',
    '192.168.1.4',
    '[fd12::1]',
    '100.64.0.9',
    'dev2',
    'dev2.local',
    'dev2.lan',
    'dev2.home.arpa',
    'llm.corp.internal',
  ]) {
    good(provider(host, 'key: k'));
  }
  for (const field of ['caFile: ca.pem', 'certFile: c.pem, keyFile: k.pem']) {
    assert.match(only(provider('127.0.0.1', field)).expected, /^https in baseUrl/, field);
  }
});

test('what a provider needs is said in words: its kind, its address, its certificate', () => {
  const kind = (given: string): Mistake => only(`providers: { p: { kind: ${given}, baseUrl: "https://a" } }`);
  assert.deepEqual([kind('google').got, kind('google').nearest], ['“google”', 'gemini']);
  assert.deepEqual([kind('ollma').got, kind('ollma').nearest], ['“ollma”', 'ollama']);
  const key = 'sk-proj-0123456789abcdef0123456789';
  assert.equal(JSON.stringify(kind(key)).includes(key), false);
  assert.match(only('providers: { p: { kind: openai } }').expected, /^an http or https address/);
  const file = only('providers: { p: { kind: openai, baseUrl: "https://a", caFile: /etc/ca.pem } }');
  assert.equal(file.expected, 'the name of a file in secrets/llm/');
});
