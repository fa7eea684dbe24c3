/** The commented example is the default, and complete. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exampleYaml } from '../../appliance/config/example.ts';
import { jsonSchema, type Shape, shape } from '../../appliance/config/shape.ts';
import { parseConfig } from '../../appliance/config.ts';

const fields = (at: Shape | undefined): [string, Shape][] => [
  ...Object.entries(at?.properties ?? {}).flatMap(([name, inner]): [string, Shape][] => [
    [name, inner],
    ...fields(inner),
  ]),
  ...(typeof at?.additionalProperties === 'object' ? fields(at.additionalProperties) : []),
  ...(at?.items ? fields(at.items) : []),
];

test('the example parses to exactly the defaults', () => {
  assert.deepEqual(parseConfig(exampleYaml(), 'x'), parseConfig('', 'x'));
});

test('the example with every comment taken off is valid too', () => {
  const text = exampleYaml()
    .split('\n')
    .slice(3)
    .map((line) => line.replace(/^( *)# (?=( *)([a-zA-Z*-]+:( |$)|- |# ))/, '$1'))
    .join('\n');
  const parsed = parseConfig(text, 'x');
  assert.ok(parsed.ok, JSON.stringify(parsed));
  assert.deepEqual(parsed.config.agents.main?.model, { provider: 'local', name: 'llama3.2' });
  assert.equal(parsed.config.providers.local?.kind, 'ollama');
  assert.equal(parsed.config.agents.main?.egress[0]?.host, 'example.org');
  assert.equal(parsed.config.uids.base, 400_000);
  assert.deepEqual(parsed.config.models, { fast: ['local/llama3.2'] });
  assert.deepEqual(parsed.config.agents.main?.allow, ['local/*', 'fast']);
  assert.deepEqual(parsed.config.providers.local?.price, { free: true });
  assert.deepEqual(Object.keys(parsed.config.providers.local?.prices ?? {}), ['gpt-*']);
  assert.equal(parsed.config.metrics.port, 9464);
});

test('each field of the schema has a description and stands in the example', () => {
  const all = fields(shape);
  assert.ok(all.length > 25, `${all.length} fields`);
  for (const [name, field] of all) {
    assert.ok(field.description, `${name} has no description`);
    assert.match(exampleYaml(), new RegExp(`^[ #-]*${name}:`, 'm'));
    assert.ok(
      exampleYaml().includes(`# ${field.description}`),
      `${name}'s description is not in the example`,
    );
  }
});

test('a field that is a quantity has its unit in its name', () => {
  const counts = new Set(['port', 'ports', 'pids', 'base', 'concurrency', 'roundsPerTurn', 'repeats']);
  const unit =
    /(Seconds|Ms|Mb|Kb|Days|Bytes|UsdPerMillion|contextTokens)$|^(usd|tokens|requests|auditMb)Per(Day|Month|Minute)$/;
  let quantities = 0;
  for (const [name, field] of fields(shape)) {
    const number = [field, ...(field.anyOf ?? [])].some((each) => /integer|number/.test(String(each.type)));
    if (!number || counts.has(name)) continue;
    quantities++;
    assert.match(name, unit, name);
  }
  assert.ok(quantities > 20, `${quantities}`);
});

test('what the example leaves out of a section stands there as a comment below its description', () => {
  const lines = exampleYaml().split('\n');
  const at = lines.indexOf('  #   # login:');
  assert.ok(at > 0);
  assert.match(lines[at + 2] ?? '', /^ {2}# {3}# {3}deviceUrl: https/);
});

test("the editor's schema is closed and takes a section with nothing in it", () => {
  const json = jsonSchema();
  assert.equal(json.additionalProperties, false);
  assert.deepEqual(json.properties?.providers?.type, ['object', 'null']);
  const agent = json.properties?.agents?.additionalProperties as Shape;
  assert.deepEqual(agent.properties?.egress?.type, ['array', 'null']);
  assert.equal(agent.properties?.allow?.type, 'array', 'an emptied allow-list is a mistake');
  assert.equal(JSON.stringify(json).includes('exampleName'), false);
});
