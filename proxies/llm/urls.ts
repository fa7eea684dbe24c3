/** URLs that a provider would fetch for an agent: each host is judged by that agent's egress policy, as if the agent asked itself. Made by processes/llm.ts where an owner allows URLs at a provider. */
import type { Policy } from '../egress/policy.ts';
import { canonicalHost } from '../verdict/host.ts';
import type { UrlJudge } from './asked/scan.ts';
import { deny, quoted } from './denial.ts';

const ports: Record<string, number> = { 'https:': 443, 'http:': 80 };

/**
 * The name alone: the provider looks it up itself, so there is no address of ours to judge. A literal address is one, and is.
 * What cannot be read in exactly one way is refused: the provider may read it in another.
 */
export function createUrlJudge(policy: () => Policy): UrlJudge {
  return (text) => {
    const refused = (why: string, hint: string) =>
      deny(403, 'url-content', `${quoted(text)} would make the provider fetch it: ${why}`, hint);
    const url = URL.parse(text);
    const port = url ? Number(url.port) || ports[url.protocol] : undefined;
    const strict = /^https?:\/\/[A-Za-z0-9.-]+(:\d{1,5})?(\/[\x21-\x7e]*)?$/.test(text);
    if (!url || port === undefined || !strict || text.includes('\\')) {
      return refused(
        'it is no plain address',
        'Send http(s)://HOST/PATH with one plain host name, or the bytes inline.',
      );
    }
    const host = canonicalHost(url.hostname);
    if (!host.ok) return refused(host.why, 'Send one plain host name, or the bytes inline.');
    const named = policy().judge(host.host, port);
    if (!named.allow) return refused(named.reason, named.hint);
    if (host.host.kind === 'name') return undefined;
    const address = policy().judgeAddress(host.host, port, host.host);
    return address.allow ? undefined : refused(address.reason, address.hint);
  };
}
