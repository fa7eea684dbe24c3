/** The configuration's boundary: what is taken, and how each mistake is told. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type Mistake, mistakeLine } from '../../appliance/config/mistake.ts';
import { parseConfig } from '../../appliance/config.ts';
import { type Config, canonical } from '../../appliance/settings.ts';

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
    assert.deepEqual(config.agents.main, { egress: [], memoryMb: 1024, pids: 256 });
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
