/** The verdict on one request: host, name rule, lookup, address class, in this order. exchange.ts asks it before the record, and again right before the dial. */
import { canonicalHost, type Host } from '../verdict/host.ts';
import { type Refusal, refuse } from '../verdict/verdict.ts';
import { type Denial, deny } from './denial.ts';
import type { Policy } from './policy.ts';
import type { Resolve } from './resolve.ts';

export type Question = {
  /** As the client spelled it. */
  host: string;
  port: number;
  /** Has the client gone away? */
  gone: () => boolean;
};

/** Allowed, with the addresses that were judged: these are what may be dialled. */
export type Judged = { host: Host; port: number; addresses: Host[]; rule: string };

/** Everything up to the record. No byte has left before it, and none but the lookup's. */
export async function judge(
  { host: spelled, port, gone }: Question,
  policy: () => Policy,
  resolve: Resolve,
): Promise<Judged | Denial | 'gone'> {
  const spelling = canonicalHost(spelled);
  if (!spelling.ok) return deny('bad-host', refuse(spelling.why, 'Ask for one host by its plain name.'));
  const { host } = spelling;
  const named = policy().judge(host, port);
  if (!named.allow) return deny('not-listed', named);

  let answers: string[];
  try {
    answers = host.kind === 'name' ? await resolve(host.text) : [host.text];
  } catch (error) {
    const why = refuse(
      `${host.text} could not be looked up (${codeOf(error)})`,
      "Check this machine's name servers.",
      named.rule,
    );
    return deny('resolver-failed', why);
  }
  if (gone()) return 'gone';
  if (answers.length === 0) {
    return deny(
      'no-address',
      refuse(`${host.text} has no address`, 'Check the spelling of the name.', named.rule),
    );
  }
  const addresses = answers.map(canonicalHost).flatMap((each) => (each.ok ? [each.host] : []));
  if (addresses.length < answers.length || addresses.some(({ kind }) => kind === 'name')) {
    return deny(
      'resolver-failed',
      refuse(`${host.text} was answered with what is no address`, "Check this machine's name servers."),
    );
  }
  // v4 first: a machine without IPv6 then loses no time.
  addresses.sort((a, b) => a.kind.localeCompare(b.kind));
  const refused = refusedAddress(policy(), host, port, addresses);
  return refused ? deny('address-refused', refused) : { host, port, addresses, rule: named.rule };
}

/** The rules as they are now may be others than those that said yes. */
export const stillAllowed = (policy: Policy, { host, port, addresses }: Judged): boolean =>
  policy.judge(host, port).allow && !refusedAddress(policy, host, port, addresses);

/** Unless every answer is allowed, none is: a name with one good address and one bad is being turned. */
function refusedAddress(
  policy: Policy,
  host: Host,
  port: number,
  addresses: readonly Host[],
): Refusal | undefined {
  for (const address of addresses) {
    const verdict = policy.judgeAddress(host, port, address);
    if (!verdict.allow) return verdict;
  }
  return undefined;
}

/** A stable word for a fault: messages can quote bytes of others. */
function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^\w{1,40}$/.test(code) ? code : 'fault';
}
