/** The addresses of this machine, from /proc. Not os.networkInterfaces(): that asks by netlink, which no process of ours may open. egress.ts asks. */
import { readFileSync } from 'node:fs';

/** proc(5): fib_trie lists each local IPv4 address under `|-- ADDRESS`, followed by `/32 host LOCAL`. */
export function ownIPv4(trie: string): string[] {
  const found: string[] = [];
  let address = '';
  for (const line of trie.split('\n')) {
    const named = /^\s*\|-- (\d+\.\d+\.\d+\.\d+)$/.exec(line)?.[1];
    if (named) address = named;
    else if (/^\s*\/32 host LOCAL\s*$/.test(line)) found.push(address);
  }
  return [...new Set(found)];
}

/** proc(5): if_inet6 has 32 hex digits per address. Returned in the canonical spelling of the URL standard. */
export function ownIPv6(table: string): string[] {
  return table
    .split('\n')
    .map((line) => /^([0-9a-f]{32}) /.exec(line)?.[1])
    .filter((hex) => hex !== undefined)
    .map((hex) => new URL(`http://[${hex.replace(/(.{4})(?!$)/g, '$1:')}]/`).hostname.slice(1, -1));
}

export const ownAddresses = (): Set<string> =>
  new Set([...ownIPv4(read('/proc/net/fib_trie')), ...ownIPv6(read('/proc/net/if_inet6'))]);

// A machine without IPv6 has no if_inet6. fib_trie is always there; without it nothing could be told apart.
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && path.endsWith('if_inet6')) return '';
    throw error;
  }
}
