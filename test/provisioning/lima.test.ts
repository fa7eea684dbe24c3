/** lima.yaml says what README says of it. It cannot be started here: Lima is a program for a Mac. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';

const lima = parse(readFileSync(join(import.meta.dirname, '../../lima.yaml'), 'utf8')) as {
  mounts: unknown[];
  portForwards: { guestPort?: number; hostIP?: string; guestPortRange?: number[]; ignore?: boolean }[];
  provision: { script: string }[];
};

test('the VM mounts nothing of the Mac', () => {
  assert.deepEqual(lima.mounts, []);
});

test('the two pages and no other port appear on the Mac, on its loopback', () => {
  const [first, second, rest, ...more] = lima.portForwards;
  assert.deepEqual(
    [first, second],
    [
      { guestPort: 8080, hostIP: '127.0.0.1' },
      { guestPort: 18789, hostIP: '127.0.0.1' },
    ],
  );
  assert.deepEqual(rest, { guestPortRange: [1, 65535], ignore: true });
  assert.deepEqual(more, []);
});

test('it brings git and npm, and leaves the rest to npm start', () => {
  assert.match(lima.provision[0]?.script ?? '', /apt-get install -y .*\bgit npm\n/);
  assert.equal(lima.provision.length, 1);
});
