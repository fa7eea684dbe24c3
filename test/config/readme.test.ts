/** What README shows of holdfast.yaml is holdfast.yaml, and the verbs and fields that it names exist. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { nearest } from '../../appliance/config/nearest.ts';
import { parseConfig } from '../../appliance/config.ts';
import { numberFields, parseQuery, textFields } from '../../proxies/ledger/query.ts';

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');

test('every YAML block of README is a configuration without mistakes', () => {
  const blocks = [...readme.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
  assert.ok(blocks.length >= 2, `${blocks.length} blocks`);
  for (const block of blocks) {
    const parsed = parseConfig(block, 'README.md');
    assert.ok(parsed.ok, JSON.stringify(parsed));
  }
});

test('every filter of README is one, and its list of fields is whole', () => {
  const filters = [...readme.matchAll(/--filter (?:'([^']+)'|(\S+))/g)].map(
    ([, quoted, bare]) => quoted ?? bare ?? '',
  );
  assert.ok(filters.length >= 3);
  for (const filter of filters) assert.ok(parseQuery(filter, Date.now(), nearest).ok, filter);
  assert.ok(readme.includes(`\`${textFields.join(' ')}\` (text), \`${numberFields.join(' ')}\` (numbers)`));
});
