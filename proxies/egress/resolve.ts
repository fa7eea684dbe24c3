/** Names to addresses, by the egress process itself: c-ares, never the system's resolver. Handed to createEgress, which asks only for names that its policy allows. */
import { promises as dns } from 'node:dns';

/** Every A and AAAA address; none is an answer too. Rejects when no resolver answers. */
export type Resolve = (name: string) => Promise<string[]>;

/** One retry after two seconds: a lost datagram is not a failure, a dead resolver is one soon. */
const timeoutMs = 2000;
const tries = 2;

/** "There is no such name" and "it has no address of this kind" (c-ares). */
const nothing = ['ENOTFOUND', 'ENODATA'];

/** `servers` for tests; else those of /etc/resolv.conf. */
export function createResolve(servers?: readonly string[]): Resolve {
  return async (name) => {
    // A new channel each time: it reads resolv.conf as it is now, and no cache is shared between two agents.
    const resolver = new dns.Resolver({ timeout: timeoutMs, tries });
    if (servers) resolver.setServers(servers);
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length > 0) return addresses;
    for (const answer of answers) {
      if (answer.status === 'rejected' && !nothing.includes(String(answer.reason?.code))) throw answer.reason;
    }
    return [];
  };
}
