/** What a signature covers: each field of job and approval changed in turn, and nothing passes. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  approvalSchema,
  digest,
  type Job,
  jobSchema,
  signApproval,
  verifyApproval,
} from '../../sandbox/approval.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const foreign = generateKeyPairSync('ed25519');
const at = Date.parse('2026-02-03T12:00:00.000Z');

const job: Job = {
  v: 1,
  agent: 'main',
  profile: 'shell',
  script: 'echo "ä"\n',
  timeoutMs: 1000,
  image: `sha256:${'a'.repeat(64)}`,
  nonce: '0123456789abcdef0123456789abcdef',
  expiresAt: '2026-02-03T12:15:00.000Z',
};
const fields = {
  id: 'a1',
  agent: job.agent,
  digest: digest(job),
  nonce: job.nonce,
  expiresAt: job.expiresAt,
};
const approval = signApproval(privateKey, fields);

describe('a signed approval', () => {
  test('is a yes for its own job, whatever order its fields came in', () => {
    assert.equal(verifyApproval(publicKey, job, approval, at).allow, true);
    const turned = jobSchema.parse(Object.fromEntries(Object.entries(job).reverse()));
    assert.equal(verifyApproval(publicKey, turned, approvalSchema.parse(approval), at).allow, true);
  });

  test('has a digest that anybody can compute again', () => {
    // printf '%s' '{"agent":...}' | sha256sum, with the keys sorted
    assert.equal(digest(job), '968cfbe7318cee309d4baa0b9976773b3f4138fb1da90fdfd287fe29c5309106');
  });

  test('is no yes for a job with any field changed', () => {
    const changes: Partial<Job>[] = [
      { agent: 'scout' },
      { script: `${job.script} ` },
      { timeoutMs: 1001 },
      { image: `sha256:${'b'.repeat(64)}` },
      { nonce: 'f'.repeat(32) },
      { expiresAt: '2026-02-03T12:15:00.001Z' },
    ];
    for (const change of changes) {
      const verdict = verifyApproval(publicKey, { ...job, ...change }, approval, at);
      assert.equal(verdict.allow, false, JSON.stringify(change));
      assert.equal(verdict.rule, 'digest');
    }
  });

  test('is no yes with any of its own fields changed', () => {
    const changes = [
      { id: 'a2' },
      { agent: 'scout' },
      { digest: 'f'.repeat(64) },
      { nonce: 'f'.repeat(32) },
      { expiresAt: '2027-02-03T12:15:00.000Z' },
      { signature: Buffer.alloc(64).toString('base64') },
      { signature: '' },
    ];
    for (const change of changes) {
      const verdict = verifyApproval(publicKey, job, { ...approval, ...change }, at);
      assert.equal(verdict.rule, 'signature', JSON.stringify(change));
    }
  });

  test('is no yes from another key, or from the right key for another purpose', () => {
    const forged = signApproval(foreign.privateKey, fields);
    assert.equal(verifyApproval(publicKey, job, forged, at).rule, 'signature');
    const { signature: _, ...unsigned } = approval;
    const sorted = JSON.stringify(Object.fromEntries(Object.entries(unsigned).sort()));
    const elsewhere = sign(null, Buffer.from(`holdfast receipt v1\n${sorted}`), privateKey).toString(
      'base64',
    );
    assert.equal(verifyApproval(publicKey, job, { ...approval, signature: elsewhere }, at).rule, 'signature');
    const here = sign(null, Buffer.from(`holdfast approval v1\n${sorted}`), privateKey).toString('base64');
    assert.equal(verifyApproval(publicKey, job, { ...approval, signature: here }, at).allow, true, 'control');
  });

  test('ends at its expiry, to the millisecond', () => {
    const end = Date.parse(job.expiresAt);
    assert.equal(verifyApproval(publicKey, job, approval, end - 1).allow, true);
    assert.equal(verifyApproval(publicKey, job, approval, end).rule, 'expired');
    assert.equal(verifyApproval(publicKey, job, approval, Number.NaN).rule, 'expired');
  });

  test('signed with fields that are not the job’s is no yes either', () => {
    const unequal = signApproval(privateKey, { ...fields, expiresAt: '2027-02-03T12:15:00.000Z' });
    assert.equal(verifyApproval(publicKey, job, unequal, at).rule, 'fields');
  });
});

test('a job with an unknown, missing or oversized field is none', () => {
  const bad: unknown[] = [
    { ...job, Privileged: true },
    { ...job, v: 2 },
    { ...job, script: '' },
    { ...job, script: 'a\0b' },
    { ...job, script: 'a'.repeat(64 * 1024 + 1) },
    { ...job, script: 'ä'.repeat(32 * 1024 + 1) },
    { ...job, image: 'debian:latest' },
    { ...job, agent: '../main' },
    { ...job, timeoutMs: 0.5 },
    { ...job, expiresAt: 'tomorrow' },
    { ...job, nonce: 'ABC' },
    Object.fromEntries(Object.entries(job).slice(1)),
    null,
  ];
  for (const each of bad)
    assert.equal(jobSchema.safeParse(each).success, false, JSON.stringify(each)?.slice(0, 80));
  assert.equal(jobSchema.safeParse(job).success, true, 'control');
});
