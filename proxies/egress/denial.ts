/** A refusal of an egress door, with its own name and HTTP status. exchange.ts and proxy.ts make them; the agent reads them. */
import type { Armed } from '../armed.ts';
import { type Refusal, refuse } from '../verdict/verdict.ts';

const statusOf = {
  killed: 503,
  closed: 503,
  'bad-request': 400,
  'bad-host': 400,
  'header-too-large': 431,
  'header-too-slow': 408,
  'not-listed': 403,
  'address-refused': 403,
  'no-address': 502,
  'resolver-failed': 502,
  'too-many': 503,
  'not-recorded': 503,
  unreachable: 502,
  'answer-broken': 502,
  fault: 500,
} as const;

export type DenialCode = keyof typeof statusOf;

export type Denial = Refusal & { code: DenialCode; status: number };

export const deny = (code: DenialCode, refusal: Refusal): Denial => ({
  ...refusal,
  code,
  status: statusOf[code],
});

/** No lease, no traffic. */
export function leaseDenial(armed: Armed): Denial | undefined {
  if (armed.now()) return undefined;
  return armed.state() === 'killed'
    ? deny('killed', refuse('the box is killed', 'An operator re-arms it: `holdfast rearm`.'))
    : deny(
        'closed',
        refuse(
          'the keeper is not heard, so every door is closed',
          'It opens by itself when the keeper is back.',
        ),
      );
}

export const notRecorded = deny(
  'not-recorded',
  refuse(
    'the request could not be put on record, so it was not forwarded',
    'Free space where the audit folder lies; shared/logs/errors/ERROR-LOG.md says more.',
  ),
);

export const fault = deny(
  'fault',
  refuse('an internal fault ended this exchange', 'See shared/logs/errors/ERROR-LOG.md.'),
);

export const badRequest = (why: string, fix: string): Denial => deny('bad-request', refuse(why, fix));

/** The whole answer as text: proxies' clients show little more than the status line, so it names the refusal too. */
export function denialAnswer(denial: Denial): {
  phrase: string;
  headers: Record<string, string>;
  body: string;
} {
  const { code, rule, reason, hint } = denial;
  const body = `Holdfast refused this (${code}): ${reason}.\nRule: ${rule ?? 'none: what is not listed is refused'}\nFix: ${hint}\n`;
  return {
    phrase: `Refused by Holdfast: ${code}`,
    headers: {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(Buffer.byteLength(body)),
      'x-holdfast-refusal': code,
      'x-content-type-options': 'nosniff',
      ...(code === 'closed' || code === 'too-many' ? { 'retry-after': '1' } : {}),
    },
    body,
  };
}

/** The same on a bare socket, for CONNECT and for what is no request. */
export function denialBytes(denial: Denial): string {
  const { phrase, headers, body } = denialAnswer(denial);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${denial.status} ${phrase}\r\n${lines.join('')}connection: close\r\n\r\n${body}`;
}
