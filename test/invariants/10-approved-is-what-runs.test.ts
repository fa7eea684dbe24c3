/** Invariant 10: what was approved is exactly what runs, once, on a signature that only the controller can make. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { digest, type Job, type SignedApproval } from '../../sandbox/approval.ts';
import { collect, type Stand, stand, until } from '../sandbox/stand.ts';

let here: Stand;
before(async () => {
  here = await stand();
  await here.startBroker();
});
after(() => here.close());

/** Every job here leaves this mark when it runs, so "refused" can be told from "ran and said nothing". */
const marking = 'date > ran; echo ran';
const mark = (): string => join(here.workspace, 'ran');
afterEach(async () => {
  rmSync(mark(), { force: true });
  await empty();
});

async function refused(job: unknown, approval: unknown, why: RegExp): Promise<void> {
  await assert.rejects(collect(here.send(job, approval)), why);
  assert.equal(existsSync(mark()), false, 'nothing ran');
  assert.deepEqual(await here.containers(), [], 'nothing was made');
}

async function runs(job: Job, approval: SignedApproval): Promise<void> {
  const { stdout, last } = await collect(here.send(job, approval));
  assert.deepEqual([stdout, last.exit], ['ran\n', 0]);
  assert.equal(existsSync(mark()), true);
  await empty();
}

/** The engine removes a container that has ended a moment after it told of the end. */
const empty = (): Promise<unknown> =>
  until('no container', async () => (await here.containers()).length === 0 || undefined);

const marked = (change: Partial<Job> = {}): Job => here.job({ script: marking, ...change });

describe('the broker runs', () => {
  test('the script that was signed, byte for byte', async () => {
    const script = `# "quotes" 'and' $HOME \`ticks\` \\ ä \t\r\nprintf %s "$BASH_EXECUTION_STRING" | sha256sum | cut -c1-64`;
    const job = here.job({ script });
    const { stdout } = await collect(here.send(job, here.approve(job)));
    assert.equal(stdout.trim(), createHash('sha256').update(script).digest('hex'));
  });

  test('nothing that differs from it in any field', async () => {
    const job = marked();
    const approval = here.approve(job);
    const changes: Partial<Job>[] = [
      { script: `${marking} ` },
      { script: `${marking}; cat /etc/passwd` },
      { timeoutMs: job.timeoutMs + 1 },
      { image: `sha256:${'0'.repeat(64)}` },
      { nonce: randomBytes(16).toString('hex') },
      { agent: 'scout' },
      { expiresAt: new Date(Date.now() + 3_600_000).toISOString() },
    ];
    for (const change of changes) await refused({ ...job, ...change }, approval, /not what was sent/);
    await refused({ ...job, profile: 'privileged' }, approval, /does not understand/);
    await refused({ ...job, mounts: ['/:/host'] }, approval, /does not understand/);
    await runs(job, approval); // the control, and: a refusal spends nothing
  });

  test('nothing on a signature by anybody else, or on none', async () => {
    const job = marked();
    const foreign = generateKeyPairSync('ed25519').privateKey;
    const approval = here.approve(job);
    await refused(job, here.approve(job, foreign), /signature is not the controller/);
    await refused(job, { ...approval, signature: Buffer.alloc(64).toString('base64') }, /signature/);
    await refused(job, { ...approval, signature: '' }, /signature/);
    const { signature: _, ...unsigned } = approval;
    await refused(job, unsigned, /does not understand/);
    await refused(job, undefined, /does not understand/);
    // The controller's own key over other words, as a receipt or a promotion would be.
    const other = sign(null, Buffer.from(JSON.stringify(unsigned)), here.keys.privateKey);
    await refused(job, { ...approval, signature: other.toString('base64') }, /signature/);
  });

  test('nothing with the digests of two approvals swapped', async () => {
    const [one, two] = [marked(), marked({ script: 'date > ran; echo two' })];
    const [first, second] = [here.approve(one), here.approve(two)];
    await refused(one, second, /not what was sent/);
    await refused(one, { ...first, digest: digest(two) }, /signature/);
    await refused(two, { ...first, digest: digest(two), nonce: two.nonce }, /signature/);
  });

  test('nothing after its expiry, and nothing for an agent that is not here', async () => {
    const late = marked({ expiresAt: new Date(Date.now() - 1).toISOString() });
    await refused(late, here.approve(late), /expired/);
    const stranger = marked({ agent: 'scout' });
    await refused(stranger, here.approve(stranger), /no agent scout/);
  });

  test('nothing with another image than the one of this checkout, even if that was approved', async () => {
    const other = marked({ image: `sha256:${'0'.repeat(64)}` });
    await refused(other, here.approve(other), /image changed/);
  });
});

describe('once', () => {
  test('a replay is refused, at once, later, and by a broker that was killed and restarted', async () => {
    const second = await stand();
    try {
      const { child } = await second.startBroker();
      const job = second.job({ script: 'echo x >> times' });
      const approval = second.approve(job);
      await collect(second.send(job, approval));
      await assert.rejects(collect(second.send(job, approval)), /has been used/);
      child.kill('SIGKILL');
      await second.startBroker();
      await assert.rejects(collect(second.send(job, approval)), /has been used/);
      assert.equal(readFileSync(join(second.workspace, 'times'), 'utf8'), 'x\n');
    } finally {
      await second.close();
    }
  });

  test('of eight at once, one runs', async () => {
    const job = here.job({ script: 'echo x >> times' });
    const approval = here.approve(job);
    const all = await Promise.allSettled(Array.from({ length: 8 }, () => collect(here.send(job, approval))));
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 1);
    assert.equal(readFileSync(join(here.workspace, 'times'), 'utf8'), 'x\n');
  });

  test('also when the broker dies in the middle of it: the yes is spent', async () => {
    const second = await stand();
    try {
      const { child } = await second.startBroker();
      const job = second.job({ script: 'echo x >> times; sleep 300' });
      const approval = second.approve(job);
      const first = collect(second.send(job, approval)).catch(() => {});
      await until('the run', () => existsSync(join(second.workspace, 'times')) || undefined);
      child.kill('SIGKILL');
      await first;
      await until('its end', async () => (await second.containers()).length === 0 || undefined);
      await second.startBroker();
      await assert.rejects(collect(second.send(job, approval)), /has been used/);
      assert.equal(readFileSync(join(second.workspace, 'times'), 'utf8'), 'x\n');
    } finally {
      await second.close();
    }
  });

  test('a broker that cannot read which were used does not start', async () => {
    const second = await stand();
    try {
      writeFileSync(join(second.home, 'broker/nonces'), 'not a list of nonces\n');
      await assert.rejects(second.startBroker(), /before it was ready/);
    } finally {
      await second.close();
    }
  });
});

describe('on a signature that only the controller can make', () => {
  test('without the controller’s key nothing runs, and what others write is no key', async () => {
    const second = await stand();
    try {
      await second.startBroker();
      const key = join(second.home, 'keys/approvals.pub.pem');
      const good = readFileSync(key);
      const job = second.job();
      rmSync(key);
      await assert.rejects(collect(second.send(job, second.approve(job))), /no approval key/);
      writeFileSync(key, 'not a key');
      await assert.rejects(collect(second.send(job, second.approve(job))), /not a public key/);
      writeFileSync(key, good);
      chmodSync(key, 0o644);
      assert.equal((await collect(second.send(job, second.approve(job)))).stdout, 'hello\n', 'control');
    } finally {
      await second.close();
    }
  });
});
