/** A refusal of the llm door with its HTTP status: the verdict that proxy.ts sends in the client's own error format. */
import type { Armed } from '../armed.ts';
import { redactBytes } from '../ledger/redact.ts';
import { type Refusal, refuse } from '../verdict/verdict.ts';

export type Denial = Refusal & {
  rule: string;
  status: number;
  /** Seconds after which asking again makes sense. Without it the SDKs are told not to retry. */
  retryAfterS?: number;
};

export const deny = (
  status: number,
  rule: string,
  reason: string,
  hint: string,
  retryAfterS?: number,
): Denial => ({
  ...refuse(reason, hint),
  rule,
  status,
  ...(retryAfterS === undefined ? {} : { retryAfterS }),
});

/** One text for the one field that every SDK shows. */
export const denialText = ({ rule, reason, hint }: Denial): string =>
  `Holdfast (${rule}): ${reason}. ${hint}`;

/** Hostile text inside a sentence of ours: quoted, short, no control characters, and no key that somebody put in a wrong place. */
export function quoted(text: string): string {
  const short = text.length > 120 ? `${text.slice(0, 120)}…` : text;
  return JSON.stringify(redactBytes(Buffer.from(short)).bytes.toString());
}

const killed = deny(503, 'killed', 'the box is killed', 'An operator re-arms it: `holdfast rearm`.');

const closed = deny(
  503,
  'closed',
  'the keeper is not heard, so every door is closed',
  'It opens by itself when the keeper is back.',
  1,
);

export function leaseDenial(armed: Armed): Denial | undefined {
  if (armed.now()) return undefined;
  return armed.state() === 'killed' ? killed : closed;
}

export const notRecorded = deny(
  503,
  'not-recorded',
  'the request could not be put on record, so it was not forwarded',
  'Free space where the audit folder lies; shared/logs/errors/ERROR-LOG.md says more.',
);

const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;

export const tooLarge = (maxBytes: number): Denial =>
  deny(
    413,
    'body-too-large',
    `the body is larger than ${mib(maxBytes)}`,
    'Shorten the conversation or its attachments; the owner sets the limit with `agents.NAME.limits.bodyMb`.',
  );

export const tooMuchAtOnce = (maxBytes: number): Denial =>
  deny(
    429,
    'too-much-at-once',
    `the requests that this agent has under way are larger than ${mib(maxBytes)} together`,
    'Wait for one of them to end.',
    1,
  );

export const cannotScan = (why: string): Denial =>
  deny(400, 'cannot-scan', `the body cannot be scanned: ${why}`, 'Send one plain JSON object in UTF-8.');

/** What is said inside a stream that broke off, and on the record. */
export const cutOff = (provider: string, code: string): Denial =>
  deny(502, 'provider-cut', `the answer of ${provider} was cut off (${code})`, 'It is not whole: ask again.');

export const unpriced = (provider: string, model: string): Denial =>
  deny(
    403,
    'unpriced-model',
    `nobody has said what ${quoted(model)} of ${provider} costs`,
    `The owner answers once: \`holdfast models price ${provider}/${model} --input USD --output USD\` (per million tokens), or \`--free\`.`,
  );

export const fault = deny(
  500,
  'fault',
  'an internal fault ended this exchange',
  'See shared/logs/errors/ERROR-LOG.md.',
);

/** A stable word for a fault. Messages stay out of records and answers: they can quote bytes of others. */
export function codeOf(error: unknown): string {
  const { code, name } = (typeof error === 'object' && error !== null ? error : {}) as Record<
    string,
    unknown
  >;
  const word = [code, name].find((each) => typeof each === 'string' && /^[\w-]{1,60}$/.test(each));
  return typeof word === 'string' ? word : 'fault';
}
