/** Each row of test/verdict/addresses.json: an address and its class. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressClass } from '../../../proxies/verdict/address.ts';
import rows from '../../verdict/addresses.json' with { type: 'json' };

for (const { address, class: wanted } of rows) {
  test(`${JSON.stringify(address)} is ${wanted}`, () => assert.equal(addressClass(address), wanted));
}
