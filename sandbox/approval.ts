/** What a yes is: a job, its digest, and the controller's signature over both. The controller signs; the broker verifies; nobody else holds the key. */
import { createHash, type KeyObject, sign, verify } from 'node:crypto';
import { z } from 'zod';
import type { Verdict } from '../proxies/verdict/verdict.ts';

// FORMAT. digest = sha256 hex of the job's canonical JSON (keys sorted, no white space, UTF-8).
// signature = base64 of ed25519 over `domain` followed by the canonical JSON of the approval without `signature`.
// A new meaning of any field is a new `v` and a new domain, never the old ones.
const domain = 'holdfast approval v1\n';

const agentName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}$/)
  .describe('the agent, as its door is named');
const nonce = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .describe('128 random bits in hex; the broker runs each one once');
const instant = z.iso.datetime().describe('ISO 8601 in UTC, as Date.toISOString() writes it');

/** execve(2) takes at most 128 KiB in one argument; half of it leaves room and is more than a person reads. */
export const maxScriptBytes = 64 * 1024;

export const jobSchema = z.strictObject({
  v: z.literal(1),
  agent: agentName,
  profile: z
    .literal('shell')
    .describe('what the container looks like; the broker alone knows what that means'),
  script: z
    .string()
    .min(1)
    .refine(
      (text) => Buffer.byteLength(text) <= maxScriptBytes,
      `a script has at most ${maxScriptBytes} bytes`,
    )
    .refine((text) => !text.includes('\0'), 'a script cannot hold a NUL')
    .describe('what the shell is given, byte for byte'),
  timeoutMs: z.int().min(1).max(3_600_000).describe('the container is killed after this many milliseconds'),
  image: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}$/)
    .describe('id of the tool image, as the engine names it'),
  nonce,
  expiresAt: instant,
});
export type Job = z.infer<typeof jobSchema>;

export const approvalSchema = z.strictObject({
  v: z.literal(1),
  id: z.string().min(1).max(64).describe('the approval, as the controller lists it'),
  agent: agentName,
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  nonce,
  expiresAt: instant,
  signature: z.base64().max(100),
});
export type SignedApproval = z.infer<typeof approvalSchema>;

export const digest = (job: Job): string => createHash('sha256').update(canonical(job)).digest('hex');

/** Throws when the key is not an ed25519 private key. */
export function signApproval(
  privateKey: KeyObject,
  fields: Omit<SignedApproval, 'v' | 'signature'>,
): SignedApproval {
  const { id, agent, digest, nonce, expiresAt } = fields;
  const unsigned = { v: 1 as const, id, agent, digest, nonce, expiresAt };
  return { ...unsigned, signature: sign(null, signedBytes(unsigned), privateKey).toString('base64') };
}

/** A refusal is a value; the hint says what the one who asked can do. `now` is in ms since the epoch. Single use is the nonce ledger's, not checked here. */
export function verifyApproval(
  publicKey: KeyObject,
  job: Job,
  approval: SignedApproval,
  now: number,
): Verdict {
  const { signature, ...unsigned } = approval;
  if (!verify(null, signedBytes(unsigned), publicKey, Buffer.from(signature, 'base64'))) {
    return refuse('signature', 'the signature is not the controller’s', 'Ask for a new approval.');
  }
  if (approval.digest !== digest(job)) {
    return refuse(
      'digest',
      'what was approved is not what was sent',
      'Ask for an approval of exactly this job.',
    );
  }
  // The digest covers these three already; a controller that signs them unequal is at fault, and that is no yes.
  if (approval.agent !== job.agent || approval.nonce !== job.nonce || approval.expiresAt !== job.expiresAt) {
    return refuse('fields', 'the approval and the job name different fields', 'Ask for a new approval.');
  }
  if (!(now < Date.parse(approval.expiresAt))) {
    return refuse('expired', `the approval expired at ${approval.expiresAt}`, 'Ask again.');
  }
  return { allow: true, rule: `approval ${approval.id}` };
}

const refuse = (rule: string, reason: string, hint: string): Verdict => ({
  allow: false,
  rule,
  reason,
  hint,
});

const signedBytes = (unsigned: Omit<SignedApproval, 'signature'>): Buffer =>
  Buffer.from(domain + canonical(unsigned));

/** Keys sorted at every level, so that two programs write the same bytes. Values are what zod let through: no undefined, no floats. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join(',')}}`;
}
