/** What kind of place an IP address is. The egress policy asks for every address that a name resolves to. */
import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Sources: the IANA special-purpose registries (RFC 6890 and successors), and the clouds' metadata documentation. */
const table = {
  // First: these lie within wider classes below, and nothing may ever open them.
  metadata: [
    '169.254.169.254/32', // AWS, Azure, Google, OpenStack and most others
    '169.254.169.253/32', // AWS: resolver
    '169.254.169.123/32', // AWS: time
    '169.254.170.2/32', // AWS ECS: task credentials
    '169.254.170.23/32', // AWS EKS: pod identity
    '169.254.0.23/32', // Tencent
    '100.100.100.200/32', // Alibaba
    '168.63.129.16/32', // Azure wire server: a public address
    '192.0.0.192/32', // Oracle
    'fd00:ec2::/32', // AWS
    'fd20:ce::254/128', // Google
    'fd00:c1::a9fe:a9fe/128', // Oracle
    'fd00:42::42/128', // Scaleway
  ],
  unspecified: ['0.0.0.0/8', '::/128'],
  loopback: ['127.0.0.0/8', '::1/128'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fec0::/10'], // fec0: site-local, RFC 3879
  cgnat: ['100.64.0.0/10'],
  ula: ['fc00::/7'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  benchmark: ['198.18.0.0/15', '2001:2::/48'], // 198.18/15 is also what our own name door answers
  broadcast: ['255.255.255.255/32'],
  // Addresses that carry another one: what they lead to is decided elsewhere, so they lead nowhere.
  'v4-mapped': ['::ffff:0:0/96', '::ffff:0:0:0/96'], // the second: RFC 2765 translated
  'v4-compatible': ['::/96'],
  nat64: ['64:ff9b::/96', '64:ff9b:1::/48'], // RFC 6052, RFC 8215
  '6to4': ['2002::/16', '192.88.99.0/24'],
  teredo: ['2001::/32'],
  reserved: [
    '192.0.0.0/24', // IETF protocol assignments
    '192.0.2.0/24', // TEST-NET-1
    '198.51.100.0/24', // TEST-NET-2
    '203.0.113.0/24', // TEST-NET-3
    '240.0.0.0/4',
    '2001::/23', // IETF protocol assignments: ORCHID and others
    '2001:db8::/32', // documentation
    '3fff::/20', // documentation, RFC 9637
  ],
} as const satisfies Record<string, readonly string[]>;

export type AddressClass = keyof typeof table | 'public';

type Family = 'ipv4' | 'ipv6';

/** One list per family, because BlockList takes a v4 address for its mapped form: 8.8.8.8 would be in ::ffff:0:0/96. */
function lists(family: Family): { name: keyof typeof table; list: BlockList }[] {
  return Object.entries(table).map(([name, ranges]) => {
    const list = new BlockList();
    for (const range of ranges) {
      const [address = '', bits] = range.split('/');
      if (familyOf(address) === family) list.addSubnet(address, Number(bits), family);
    }
    return { name: name as keyof typeof table, list };
  });
}

const familyOf = (address: string): Family => (isIPv6(address) ? 'ipv6' : 'ipv4');

const classes = { ipv4: lists('ipv4'), ipv6: lists('ipv6') };

/** IANA has given out 2000::/3 only; what lies outside is nobody's yet. */
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');

/** Of an IP address as text, without brackets. What is no address at all is `reserved`: never public. */
export function addressClass(address: string): AddressClass {
  if (!isIPv4(address) && (!isIPv6(address) || address.includes('%'))) return 'reserved';
  const family = familyOf(address);
  const special = classes[family].find(({ list }) => list.check(address, family));
  if (special) return special.name;
  return family === 'ipv4' || globalUnicast.check(address, 'ipv6') ? 'public' : 'reserved';
}
