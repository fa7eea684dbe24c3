/** Edits of the file keep what a person wrote in it; differences are named by the shortest path. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffConfig } from '../../appliance/config/diff.ts';
import { addAgent, removeAgent } from '../../appliance/config/edit.ts';
import { exampleYaml } from '../../appliance/config/example.ts';
import { setPrice } from '../../appliance/config/pricing.ts';

const names = (edited: ReturnType<typeof addAgent>): string[] => {
  assert.ok(edited.ok, JSON.stringify(edited));
  return Object.keys(edited.parsed.config.agents);
};

test('adding an agent keeps every comment and every other line', () => {
  const text = exampleYaml();
  const edited = addAgent(text, 'scout');
  assert.deepEqual(names(edited), ['main', 'scout']);
  assert.ok(edited.ok);
  const lines = text.split('\n');
  const at = lines.indexOf('# Questions that wait for the operator.') - 1;
  assert.equal(edited.text, lines.toSpliced(at, 0, '  scout:').join('\n'));
  const back = removeAgent(edited.text, 'scout');
  assert.ok(back.ok);
  assert.equal(back.text, text);
});

test('an agent added to a file that says nothing of agents leaves the default one standing', () => {
  assert.deepEqual(names(addAgent('', 'scout')), ['main', 'scout']);
  assert.deepEqual(names(addAgent('# mine\nagents:\n', 'scout')), ['main', 'scout']);
  assert.deepEqual(names(addAgent('agents: { solo: { pids: 99 } }', 'scout')), ['solo', 'scout']);
});

test('removing takes out that agent alone', () => {
  const text = '# top\nagents:\n  main:\n    # keep me\n    pids: 99\n  scout: {} # gone\n';
  const edited = removeAgent(text, 'scout');
  assert.deepEqual(names(edited), ['main']);
  assert.ok(edited.ok);
  assert.equal(edited.text, '# top\nagents:\n  main:\n    # keep me\n    pids: 99\n');
  const first = removeAgent('agents:\n  a:\n    pids: 99\n\n  # about b\n  b:\n# end\nchat: {}\n', 'a');
  assert.ok(first.ok);
  assert.equal(first.text, 'agents:\n\n  # about b\n  b:\n# end\nchat: {}\n');
  assert.deepEqual(names(removeAgent('agents: { a: {}, b: {} }', 'a')), ['b']);
});

test('what cannot be done is a refusal with a reason', () => {
  const why = (edited: ReturnType<typeof addAgent>): string =>
    edited.ok ? 'done' : `${edited.why} ${edited.hint}`;
  assert.match(why(addAgent('', 'main')), /already/);
  assert.match(why(addAgent('', 'Host')), /small letters/);
  assert.match(why(addAgent('', 'keeper')), /reserved/);
  assert.match(why(addAgent('', '__proto__')), /__proto__/);
  assert.match(why(removeAgent('', 'main')), /only agent/);
  assert.match(why(removeAgent('', 'scout')), /no agent scout.*main/);
  assert.match(why(addAgent('chat: 3', 'scout')), /mistakes/);
});

test('a difference is named by its shortest path', () => {
  const a = { chat: { port: 1 }, agents: { main: { egress: [1], pids: 2 } } };
  assert.deepEqual(diffConfig(a, structuredClone(a)), []);
  assert.deepEqual(diffConfig(a, { ...a, chat: { port: 2 } }), ['chat.port']);
  assert.deepEqual(diffConfig(a, { ...a, agents: { main: { egress: [], pids: 2 }, scout: {} } }), [
    'agents.main.egress',
    'agents.scout',
  ]);
});

const priced = (text: string, model = 'gpt-5', provider = 'p'): string => {
  const edited = setPrice(text, provider, model, { inputUsdPerMillion: 1.5, outputUsdPerMillion: 6 });
  assert.ok(edited.ok, JSON.stringify(edited));
  assert.deepEqual(edited.parsed.config.providers[provider]?.prices?.[model], {
    inputUsdPerMillion: 1.5,
    outputUsdPerMillion: 6,
  });
  return edited.text;
};
const own = '{ inputUsdPerMillion: 1.5, outputUsdPerMillion: 6 }';

test('a price is one more line, wherever prices stand, and every comment stays', () => {
  const block =
    '# top\nproviders:\n  p:\n    # where\n    kind: openai # kind\n    baseUrl: https://a\n\n  q: { kind: openai, baseUrl: "https://b" }\n# end\n';
  assert.equal(priced(block), block.replace('https://a\n', `https://a\n    prices: { gpt-5: ${own} }\n`));
  assert.equal(
    priced(block, 'x/y:8b', 'q'),
    block.replace('"https://b" }', `"https://b", prices: { "x/y:8b": ${own} } }`),
  );
  const once = priced(block);
  assert.equal(priced(once, 'o3'), once.replace(` } }`, ` }, o3: ${own} }`));
  assert.equal(priced(once), once, 'the same price again');
  const list =
    'providers:\n  p:\n    prices:\n      # mine\n      a: { free: true } # so far\n    kind: openai\n    baseUrl: https://a\n';
  assert.equal(priced(list), list.replace('# so far\n', `# so far\n      gpt-5: ${own}\n`));
  assert.equal(priced(list, 'a'), list.replace('{ free: true }', own));
  const empty = 'providers:\n  p:\n    prices: # none yet\n    kind: openai\n    baseUrl: https://a\n';
  assert.equal(priced(empty), empty.replace('prices:', `prices: { gpt-5: ${own} }`));
  const multi =
    'providers:\n  p:\n    kind: openai\n    baseUrl: https://a\n    prices:\n      a:\n        free: true\n';
  assert.match(priced(multi, 'a'), /inputUsdPerMillion: 1\.5/);
  const example = exampleYaml().replace(
    '  # local:',
    '  p: { kind: openai, baseUrl: "https://a" }\n  # local:',
  );
  assert.equal(priced(example), example.replace('"https://a" }', `"https://a", prices: { gpt-5: ${own} } }`));
});

test('a price for what is not there, or in a file with mistakes, is refused', () => {
  const why = (text: string, provider: string, model = 'm'): string => {
    const edited = setPrice(text, provider, model, { free: true });
    return edited.ok ? 'done' : `${edited.code}: ${edited.why} ${edited.hint}`;
  };
  assert.match(why('', 'p'), /not-edited: there is no provider p None is configured/);
  assert.match(
    why('providers: { openai: { kind: openai, baseUrl: "https://a" } }', '__proto__'),
    /no provider.*openai/,
  );
  assert.match(why('chat: 3', 'p'), /^config: /);
  assert.match(
    why('providers: { p: { kind: openai, baseUrl: "https://a" } }', 'p', 'two words'),
    /without spaces/,
  );
});
