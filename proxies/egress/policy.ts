/** What one agent may reach: its rules, compiled, and the two questions that they answer, by name and by address. Asked by exchange.ts and names.ts. */
import { type AddressClass, addressClass } from '../verdict/address.ts';
import { type Host, type HostPattern, hostPattern, hostPort } from '../verdict/host.ts';
import { allow, type Refusal, refuse, type Verdict } from '../verdict/verdict.ts';

/** As in holdfast.yaml under `agents: <name>: egress:`. */
export type Rule = { host: string; ports: readonly number[]; why?: string | undefined };

export type Policy = {
  /** Costs no lookup: this is asked before any. */
  judge(host: Host, port: number): Verdict;
  /** Is it listed with any port? The name door has no port to ask about. */
  lists(host: Host): boolean;
  /** May this address be dialled for that host? `address` is canonical and comes from the one lookup, or is the host itself. */
  judgeAddress(host: Host, port: number, address: Host): Verdict;
};

export type Own = {
  /** Ports of Holdfast itself: no rule opens them. */
  ports: readonly number[];
  /** Is it an address of an interface of this machine? */
  address: (address: string) => boolean;
};

/** An owner may list such an address, as itself: a printer, a NAS, a service on this machine. All other classes stay shut whatever a rule says. */
const openable: readonly (AddressClass | 'own')[] = ['loopback', 'private', 'cgnat', 'ula', 'own'];

type Compiled = { pattern: HostPattern; ports: ReadonlySet<number>; text: string };

/** Throws a RangeError that names the rule when one cannot be read: a policy stands whole or not at all. */
export function createPolicy(
  agent: string,
  rules: readonly Rule[],
  own: Own = { ports: [], address: () => false },
): Policy {
  const exact = new Map<string, Compiled[]>();
  const below = new Map<string, Compiled[]>();
  for (const [at, rule] of rules.entries()) {
    const compiled = compile(rule, `agents.${agent}.egress[${at}]`);
    const map = compiled.pattern.below ? below : exact;
    const { text } = compiled.pattern.host;
    map.set(text, [...(map.get(text) ?? []), compiled]);
  }

  /** The exact rules first, then `*.` rules from the longest to the shortest. */
  function* covering({ kind, text }: Host): Generator<Compiled> {
    yield* exact.get(text) ?? [];
    if (kind !== 'name') return;
    for (let dot = text.indexOf('.'); dot !== -1; dot = text.indexOf('.', dot + 1)) {
      yield* below.get(text.slice(dot + 1)) ?? [];
    }
  }

  const listed = (host: Host, port: number): Compiled | undefined => {
    for (const rule of covering(host)) if (rule.ports.has(port)) return rule;
    return undefined;
  };

  const fix = (host: Host, ports: readonly number[]): string =>
    `Put under \`agents: ${agent}: egress:\` in holdfast.yaml: - { host: ${JSON.stringify(host.text)}, ports: [${ports.join(', ')}] } and run \`holdfast config apply\`.`;

  return {
    judge(host, port) {
      const rule = listed(host, port);
      if (rule) return allow(rule.text);
      const near = [...covering(host)][0];
      if (!near) return refuse(`no rule of agent ${agent} covers ${host.text}`, fix(host, [port]));
      const ports = [...(exact.get(host.text) ?? []).flatMap((each) => [...each.ports]), port];
      return refuse(
        `the rule ${near.text} does not cover port ${port}`,
        fix(host, [...new Set(ports)]),
        near.text,
      );
    },
    lists: (host) => !covering(host).next().done,
    judgeAddress(host, port, address) {
      const special = addressClass(address.text);
      const isOwn = own.address(address.text);
      if (own.ports.includes(port) && (isOwn || special === 'loopback')) {
        return refuse(
          `${hostPort(address, port)} is Holdfast itself`,
          'No rule can allow that. The agent asks for what it needs at its other doors.',
        );
      }
      if (special === 'public' && !isOwn) return allow('public address');
      const kind = special === 'public' ? 'own' : special;
      const rule = exact.get(address.text)?.find(({ ports }) => ports.has(port));
      if (openable.includes(kind))
        return rule ? allow(rule.text) : refuseAddress(host, address, kind, fix(address, [port]));
      return refuseAddress(host, address, kind, `No rule can allow ${inWords[kind] ?? `a ${kind} address`}.`);
    },
  };
}

/** Where the class's name alone would not be understood. */
const inWords: Partial<Record<AddressClass | 'own', string>> = {
  own: 'an address of this machine',
  metadata: "a cloud's metadata address",
  unspecified: 'the unspecified address',
  cgnat: 'a carrier-grade NAT address',
  ula: 'a unique local address',
};

function refuseAddress(host: Host, address: Host, kind: AddressClass | 'own', hint: string): Refusal {
  const what = inWords[kind] ?? `a ${kind} address`;
  const subject =
    host.text === address.text ? address.text : `${host.text} resolves to ${address.text}, which`;
  return refuse(`${subject} is ${what}`, hint, `address class ${kind}`);
}

function compile({ host, ports }: Rule, where: string): Compiled {
  const read = hostPattern(host);
  if (!read.ok) throw new RangeError(`${where}: ${JSON.stringify(host)} cannot be a rule: ${read.why}`);
  const wrong = ports.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
  if (wrong !== undefined || ports.length === 0)
    throw new RangeError(`${where}: ports are whole numbers from 1 to 65535`);
  return { pattern: read.pattern, ports: new Set(ports), text: `${read.pattern.text}:${ports.join(',')}` };
}
