/** A refusal of the llm door with its HTTP status: the verdict that proxy.ts sends in the client's own error format. */
import type { Armed } from '../armed.ts';
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

/** Hostile text inside a sentence of ours: quoted, short, no control characters. */
export const quoted = (text: string): string =>
  JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text);

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

export const tooLarge = deny(
  413,
  'body-too-large',
  'the body is larger than 32 MiB',
  'Shorten the conversation or its attachments.',
);

export const tooMuchAtOnce = deny(
  429,
  'too-much-at-once',
  'the requests that this agent has under way are larger than 64 MiB together',
  'Wait for one of them to end.',
  1,
);

export const cannotScan = (why: string): Denial =>
  deny(400, 'cannot-scan', `the body cannot be scanned: ${why}`, 'Send one plain JSON object in UTF-8.');

export const unreachable = (provider: { name: string; baseUrl: string }, code: string): Denial =>
  deny(
    code === 'UND_ERR_HEADERS_TIMEOUT' ? 504 : 502,
    'provider-unreachable',
    `the provider ${provider.name} at ${provider.baseUrl} did not answer (${code})`,
    'Check that it runs and that its baseUrl in holdfast.yaml is right.',
    // A connection that broke may be a kept one that had just gone stale; a refused one stays refused.
    code === 'ECONNRESET' || code === 'UND_ERR_SOCKET' ? 1 : undefined,
  );

export const fault = deny(
  500,
  'fault',
  'an internal fault ended this exchange',
  'See shared/logs/errors/ERROR-LOG.md.',
);
