/** Each row of test/verdict/patterns.json: a host pattern, what it covers and what it does not, or why it is no pattern. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPolicy } from '../../../proxies/egress/policy.ts';
import { canonicalHost, hostPattern } from '../../../proxies/verdict/host.ts';
import rows from '../../verdict/patterns.json' with { type: 'json' };

type Row = { pattern: string; text?: string; matches?: string[]; not?: string[]; refused?: string };

for (const { pattern, text, matches = [], not = [], refused } of rows as Row[]) {
  if (refused !== undefined) {
    test(`${JSON.stringify(pattern)} is no pattern`, () => {
      const seen = hostPattern(pattern);
      assert.ok(!seen.ok, 'taken');
      assert.ok(seen.why.includes(refused), seen.why);
      assert.throws(() => createPolicy('main', [{ host: pattern, ports: [443] }]), { name: 'RangeError' });
    });
    continue;
  }
  test(`${JSON.stringify(pattern)} covers ${matches.join(', ')} and not ${not.join(', ')}`, () => {
    const seen = hostPattern(pattern);
    assert.ok(seen.ok);
    assert.equal(seen.pattern.text, text);
    const policy = createPolicy('main', [{ host: pattern, ports: [443] }]);
    const covers = (spelled: string): boolean => {
      const host = canonicalHost(spelled);
      assert.ok(host.ok, spelled);
      return policy.judge(host.host, 443).allow;
    };
    for (const spelled of matches) assert.equal(covers(spelled), true, spelled);
    for (const spelled of not) assert.equal(covers(spelled), false, spelled);
  });
}
