/** Who is asked for a model, in which order, and who is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FormatName, KindName, Provider, Route } from '../../../proxies/llm/kinds/kind.ts';
import type { Place } from '../../../proxies/llm/kinds/paths.ts';
import { anyGlob, globMatches } from '../../../proxies/llm/route/glob.ts';
import { type AgentModels, plan } from '../../../proxies/llm/route/plan.ts';

const provider = (name: string, kind: KindName, more: Partial<Provider> = {}): Provider => ({
  name,
  kind,
  baseUrl: `http://${name}.example`,
  ...more,
});

const pi = provider('pi', 'ollama', { models: ['qwen3:*', 'llama*'] });
const dev = provider('dev', 'ollama');
const claude = provider('claude', 'anthropic', { models: ['claude-*'] });
const openai = provider('openai', 'openai', { models: ['gpt-*', 'qwen3:4b'] });
const providers = [pi, claude, openai];

const routeOf = (method: Route['method'], path: string, format: FormatName, speaks: KindName): Route => ({
  method,
  path,
  format,
  speaks,
  query: [],
  keyIn: 'authorization',
});

const at = (route: Route, prefix: string | null = null): Place => ({
  route,
  asked: route.path,
  prefix,
  model: null,
  query: '',
  stream: null,
});

const chat = routeOf('POST', '/v1/chat/completions', 'openai-chat', 'openai');
/** Spoken by ollama providers alone. */
const native = routeOf('POST', '/api/chat', 'ollama-chat', 'ollama');
const models = routeOf('GET', '/v1/models', 'listing', 'openai');

const none: AgentModels = { aliases: {} };

/** `provider/model` of the candidates, then what was skipped and why. */
function planned(
  asked: string | null,
  options: Partial<{
    place: Place;
    agent: Partial<AgentModels>;
    aliases: Record<string, string[]>;
    providers: Provider[];
  }> = {},
) {
  const made = plan(
    options.place ?? at(chat),
    asked,
    { ...none, ...options.agent },
    options.aliases ?? {},
    options.providers ?? providers,
  );
  if ('allow' in made) return { denied: made.rule, status: made.status, denial: made };
  return {
    to: made.candidates.map((each) =>
      each.model === null ? each.provider.name : `${each.provider.name}/${each.model}`,
    ),
    skipped: made.skipped.map(({ provider: name, model, why }) => `${name}/${model} ${why}`),
    alias: made.alias,
  };
}

const aliases = { fast: ['pi/qwen3:4b', 'dev/qwen3:4b', 'openai/gpt-x'], other: ['openai/gpt-y'] };

test('an alias is its chain in the order of the owner, the local ones first where he said so', () => {
  assert.deepEqual(planned('fast', { aliases, providers: [...providers, dev] }), {
    to: ['pi/qwen3:4b', 'dev/qwen3:4b', 'openai/gpt-x'],
    skipped: [],
    alias: 'fast',
  });
});

test("the agent's own alias goes before the common one of the same name", () => {
  const agent = { aliases: { fast: ['openai/gpt-own'] } };
  assert.deepEqual(planned('fast', { aliases, agent }).to, ['openai/gpt-own']);
  assert.deepEqual(planned('other', { aliases, agent }).to, ['openai/gpt-y']);
});

test('an alias does not lead to an alias, nor to a name of our own language', () => {
  const chain = { a: ['b', 'other', 'openai/fast'], ...aliases };
  assert.deepEqual(planned('a', { aliases: chain }), {
    to: ['openai/fast'],
    skipped: ['b/null not-configured', 'other/null not-configured'],
    alias: 'a',
  });
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    assert.equal(planned(name, { aliases, providers: [pi, openai] }).denied, 'model-not-found', name);
  }
});

test('links that cannot answer are passed over, with the reason on the record', () => {
  const place = at(native);
  const chain = { mixed: ['gone/x', 'claude/claude-x', 'pi/gpt-oss:120b-cloud', 'pi/qwen3:4b'] };
  assert.deepEqual(planned('mixed', { place, aliases: chain }), {
    to: ['pi/qwen3:4b'],
    skipped: [
      'gone/x not-configured',
      'claude/claude-x not-spoken',
      'pi/gpt-oss:120b-cloud model-reaches-out',
    ],
    alias: 'mixed',
  });
  assert.equal(
    planned('mixed', { place, aliases: { mixed: ['claude/claude-x'] } }).denied,
    'path-not-spoken',
  );
  assert.equal(planned('mixed', { aliases: { mixed: ['pi/glm-4.6:cloud'] } }).denied, 'model-reaches-out');
  assert.equal(planned('mixed', { aliases: { mixed: ['gone/x'] } }).denied, 'model-not-found');
});

test('provider/model asks that provider, and keeps further slashes in the model', () => {
  assert.deepEqual(planned('openai/o9').to, ['openai/o9']);
  assert.deepEqual(planned('openai/meta/llama').to, ['openai/meta/llama']);
  assert.equal(planned('claude/claude-x', { place: at(native) }).denied, 'path-not-spoken');
  assert.deepEqual(planned('pi/claude-x', { place: at(native) }).to, ['pi/claude-x']);
});

test("the agent's own model goes to its provider, other names to the first whose globs match", () => {
  const agent = { model: { provider: 'openai', name: 'qwen3:8b' } };
  assert.deepEqual(planned('qwen3:8b', { agent }).to, ['openai/qwen3:8b']);
  assert.deepEqual(planned('qwen3:8b').to, ['pi/qwen3:8b']);
  assert.deepEqual(planned('gpt-x').to, ['openai/gpt-x']);
  assert.deepEqual(planned('qwen3:4b').to, ['pi/qwen3:4b'], 'the first of the configuration');
  assert.deepEqual(planned('qwen3:4b', { agent }).to, ['openai/qwen3:4b'], "the agent's provider before it");
  assert.deepEqual(
    planned('mistral', { providers: [...providers, dev] }).to,
    ['dev/mistral'],
    'no globs are any name',
  );
  assert.equal(planned('mistral').denied, 'model-not-found');
  assert.deepEqual(planned('meta-llama/x', { providers: [dev] }).to, ['dev/meta-llama/x']);
});

test('the first that speaks the format is asked, the others before it are on the record', () => {
  const any = [provider('a', 'openai'), provider('b', 'ollama'), provider('c', 'ollama')];
  assert.deepEqual(planned('x', { place: at(native), providers: any }), {
    to: ['b/x'],
    skipped: ['a/x not-spoken'],
    alias: null,
  });
});

test('a prefix asks that provider alone: names are taken as they are, aliases as far as they lead there', () => {
  const place = at(chat, 'openai');
  assert.deepEqual(planned('anything', { place }).to, ['openai/anything']);
  assert.deepEqual(planned('pi/x', { place }).to, ['openai/pi/x']);
  assert.deepEqual(planned('fast', { place, aliases }), {
    to: ['openai/gpt-x'],
    skipped: ['pi/qwen3:4b other-provider', 'dev/qwen3:4b not-configured'],
    alias: 'fast',
  });
  assert.equal(planned('fast', { place: at(chat, 'claude'), aliases }).denied, 'model-not-found');
  assert.equal(planned('x', { place: at(native, 'claude') }).denied, 'path-not-spoken');
});

test('an allow-list is of alias names and of provider/model, and of nothing else', () => {
  const allow = (...globs: string[]) => ({ agent: { allow: globs }, aliases });
  assert.deepEqual(
    planned('fast', allow('fast')).to,
    ['pi/qwen3:4b', 'openai/gpt-x'],
    'all that the alias stands for',
  );
  assert.deepEqual(planned('fast', allow('pi/*')).to, ['pi/qwen3:4b']);
  assert.deepEqual(planned('fast', allow('pi/*')).skipped, [
    'dev/qwen3:4b not-configured',
    'openai/gpt-x not-allowed',
  ]);
  assert.deepEqual(planned('gpt-x', allow('openai/gpt-*')).to, ['openai/gpt-x']);
  for (const [asked, ...globs] of [
    ['gpt-x', 'gpt-x'],
    ['gpt-x', 'pi/*'],
    ['gpt-x', 'fast'],
    ['gpt-x'],
    ['fast', 'other'],
    ['openai/fast', 'fast'],
  ] as const) {
    const { denied, status, denial } = planned(asked, allow(...globs));
    assert.equal(denied, 'model-not-allowed', `${asked} with ${globs}`);
    assert.equal(status, 403);
    assert.equal(denial?.retryAfterS, undefined);
    assert.match(denial?.hint ?? '', /allow list/);
  }
  assert.deepEqual(planned('fast', { ...allow('fast'), place: at(chat, 'openai') }).to, ['openai/gpt-x']);
  assert.equal(
    planned('name', { agent: { allow: ['name'] }, place: at(chat, 'openai') }).denied,
    'model-not-allowed',
  );
});

test('a name leads to whose it is: listed by the owner, named so by the vendor, else to who may have any', () => {
  const house = [
    provider('pi', 'ollama'),
    provider('claude', 'anthropic'),
    provider('google', 'gemini', { models: ['gemini-*'] }),
    { ...provider('gpt', 'openai'), baseUrl: 'https://api.openai.com/v1' },
  ];
  const to = (asked: string) => planned(asked, { providers: house }).to;
  assert.deepEqual(to('claude-opus-4-1'), ['claude/claude-opus-4-1']);
  assert.deepEqual(to('gemini-2.5-pro'), ['google/gemini-2.5-pro']);
  assert.deepEqual(to('gpt-5'), ['gpt/gpt-5']);
  assert.deepEqual(to('llama3.2'), ['pi/llama3.2']);
  // Nobody else is there: the vendor is asked, and says so itself.
  assert.deepEqual(planned('brand-new', { providers: house.slice(1, 3) }).to, ['claude/brand-new']);
  const lab = provider('lab', 'openai');
  assert.deepEqual(planned('gpt-5', { providers: [lab, ...house] }).to, ['gpt/gpt-5']);
});

test('a list of models needs no name and comes from who is first and answers, in the same words', () => {
  assert.deepEqual(planned(null, { place: at(models) }).to, ['pi', 'openai']);
  assert.deepEqual(
    planned(null, { place: at(models), agent: { model: { provider: 'openai', name: 'x' }, allow: [] } }).to,
    ['openai', 'pi'],
  );
  assert.deepEqual(planned(null, { place: at(models, 'openai') }).to, ['openai']);
  assert.equal(planned(null).denied, 'no-model');
});

test('a chain has sixteen links at most', () => {
  const long = { long: Array.from({ length: 40 }, (_, nth) => `openai/gpt-${nth}`) };
  assert.equal(planned('long', { aliases: long }).to?.length, 16);
});

test('names that are none are a clean denial', () => {
  for (const name of [
    '',
    ' ',
    'a\n',
    ' a',
    'a\u0000b',
    'a\u001b[2J',
    'a\u202eb',
    'a\u2028',
    '\ud800',
    'x'.repeat(201),
    'x'.repeat(100_000),
  ]) {
    const { denied, status, denial } = planned(name);
    assert.equal(denied, 'bad-model-name', JSON.stringify(name));
    assert.equal(status, 400);
    assert.ok((denial?.reason.length ?? 0) < 300);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
    assert.doesNotMatch(denial?.reason ?? '', /[\u0000-\u001f]/);
  }
});

test('whatever a guest asks for, it gets a candidate of the configuration or a short denial', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 300, unit: 'binary' }),
      fc.constantFrom(null, 'pi', 'openai', 'claude'),
      (asked, prefix) => {
        const made = plan(at(chat, prefix), asked, none, aliases, providers);
        if ('allow' in made) assert.ok(made.reason.length < 1000 && made.hint.length < 1000);
        else
          for (const each of made.candidates)
            assert.ok(
              providers.includes(each.provider) && (prefix ?? each.provider.name) === each.provider.name,
            );
      },
    ),
  );
});

test('a star stands for any run of characters, whatever else is in the text', () => {
  for (const [glob, text, matches] of [
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a*', 'a/b/c', true],
    ['*b', 'aab', true],
    ['a*b*c', 'a__b__b__c', true],
    ['a*b*c', 'a__b__', false],
    ['a.c', 'abc', false],
    ['[a]', 'a', false],
    ['**', 'x', true],
    ['A', 'a', false],
    ['*aab', 'aaaaab', true],
  ] as const) {
    assert.equal(globMatches(glob, text), matches, `${glob} ${text}`);
  }
  assert.equal(anyGlob(['x', 'a*'], 'abc'), true);
  const began = performance.now();
  globMatches(`${'*a'.repeat(100)}b`, 'a'.repeat(200));
  assert.ok(performance.now() - began < 50, 'no backtracking that explodes');
});

test('a glob means what the same regular expression means', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 });
  fc.assert(
    fc.property(letters, text, (glob, name) => {
      assert.equal(globMatches(glob, name), new RegExp(`^${glob.replaceAll('*', '.*')}$`).test(name));
    }),
  );
});
