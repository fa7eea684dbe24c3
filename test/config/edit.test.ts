/** Edits of the file keep what a person wrote in it; differences are named by the shortest path. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffConfig } from '../../appliance/config/diff.ts';
import { addAgent, removeAgent } from '../../appliance/config/edit.ts';
import { exampleYaml } from '../../appliance/config/example.ts';

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
