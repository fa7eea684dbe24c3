/** What is missing, and installing it only where there is the right to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Machine, needed } from '../../provisioning/packages.ts';

const machine = (has: string[], rest: Partial<Machine> = {}): Machine & { ran: string[] } => {
  const ran: string[] = [];
  return {
    ran,
    has: (command) => has.includes(command),
    isRoot: true,
    run: async (...argv) => {
      ran.push(argv.join(' '));
      return { code: 0, output: '' };
    },
    ...rest,
  };
};

test('nothing missing, nothing run', async () => {
  const here = machine(['bwrap', 'ip']);
  const found = needed(['bubblewrap', 'iproute2'], here);
  assert.deepEqual(found.missing, []);
  assert.equal(found.byHand, '');
  assert.deepEqual(await found.install(() => assert.fail()), { ok: true });
  assert.deepEqual(here.ran, []);
});

test('root installs what is missing after saying which and why', async () => {
  const here = machine(['apt-get', 'ip']);
  const said: string[] = [];
  const found = needed(['bubblewrap', 'iproute2'], here);
  assert.deepEqual(await found.install((line) => said.push(line)), { ok: true });
  assert.deepEqual(said, [
    'Installing bubblewrap: it builds the walls around every world and every process.',
  ]);
  assert.equal(here.ran.length, 2);
  assert.match(here.ran[0] ?? '', /^env .* update$/);
  assert.match(here.ran[1] ?? '', /^env .* install --no-install-recommends bubblewrap$/);
});

test('without the right to install, the answer is the one line to type', async () => {
  const user = machine(['apt-get'], { isRoot: false, run: async () => ({ code: 1, output: '' }) });
  assert.deepEqual(await needed(['bubblewrap', 'docker.io'], user).install(() => assert.fail()), {
    ok: false,
    why: 'no-right',
    detail: 'neither root nor sudo',
    fix: 'sudo apt-get install -y bubblewrap docker.io',
  });
  const other = await needed(['bubblewrap'], machine([])).install(() => assert.fail());
  assert.ok(!other.ok && other.why === 'no-right');
});

test('an ordinary user with sudo installs through it, never asked for a password', async () => {
  const here = machine(['apt-get'], { isRoot: false });
  assert.deepEqual(await needed(['bubblewrap'], here).install(() => {}), { ok: true });
  assert.equal(here.ran[0], 'sudo -n true');
  for (const line of here.ran) assert.match(line, /^sudo -n /);
});

test('a failed apt-get is told with its last line', async () => {
  const here = machine(['apt-get'], {
    run: async () => ({ code: 100, output: 'Reading...\nE: no space\n' }),
  });
  const done = await needed(['bubblewrap'], here).install(() => {});
  assert.ok(!done.ok);
  assert.deepEqual([done.why, done.detail], ['failed', 'E: no space']);
});

test('a package that the table does not know is a fault of ours', () => {
  assert.throws(() => needed(['emacs']), /packages.txt/);
});
