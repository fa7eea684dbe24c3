/** The name door of one agent: a resolver that knows only what the policy lists, and asks nobody. Its answers are addresses that tcp.ts turns back into names. */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:dgram';
import { decode, encode, type Packet, type Question } from 'dns-packet';
import type { Armed } from '../armed.ts';
import { canonicalHost, type Host } from '../verdict/host.ts';
import { deny } from './denial.ts';
import type { Policy } from './policy.ts';
import type { Log } from './record.ts';
import type { Refusals } from './refusals.ts';

/** 198.18.0.0/15 (RFC 2544) is nobody's on the internet, and unlike 127/8 no client treats it specially. The world routes it to lo. */
const base = 198 * 2 ** 24 + 18 * 2 ** 16;
/** Without the first and the last of the range. */
const places = 2 ** 17 - 2;
/** A wildcard rule lets a guest ask for names without end: the one asked for longest ago goes. */
const maxNames = 4096;
/** Short, so that a change of rules is seen soon. The address stays the same while the name is in use. */
const ttlS = 60;

/** RFC 1035 section 4.1.1. */
const rcode = { formErr: 1, nxDomain: 3, notImp: 4, refused: 5 } as const;

export type Names = {
  /** The answer to one datagram; undefined when it deserves none. */
  answer(message: Uint8Array): Buffer | undefined;
  /** The name that was given this address. */
  nameAt(address: string): string | undefined;
  /** Answers on a bound socket until it is closed. */
  serve(socket: Socket): void;
};

export type NamesParts = {
  agent: string;
  policy: () => Policy;
  armed: Armed;
  refusals: Refusals;
  clock: () => number;
  log: Log;
};

export function createNames({ agent, policy, armed, refusals, clock, log }: NamesParts): Names {
  const byName = new Map<string, number>();
  const byPlace = new Map<number, string>();
  const denied = new Map<string, number>();

  /** From the name itself, so that a restart gives it again: a client's cached address must not become another name's. */
  const placeOf = (name: string): number => {
    const known = byName.get(name);
    byName.delete(name);
    let place = known ?? createHash('sha256').update(`${agent}\0${name}`).digest().readUInt32BE(0) % places;
    while (known === undefined && byPlace.has(place)) place = (place + 1) % places;
    byName.set(name, place); // now the last to go
    byPlace.set(place, name);
    const [oldest] = byName.size > maxNames ? byName : [];
    if (oldest) {
      byName.delete(oldest[0]);
      byPlace.delete(oldest[1]);
    }
    return place;
  };

  /** Clients ask for A, AAAA and HTTPS of one name at once, and again: one line a minute says it. */
  const note = (host: Host): void => {
    const now = clock();
    if (now - (denied.get(host.text) ?? Number.NEGATIVE_INFINITY) < 60_000) return;
    if (denied.size >= maxNames) denied.clear();
    denied.set(host.text, now);
    const verdict = policy().judge(host, 443);
    if (verdict.allow) return;
    refusals.note({
      door: 'names',
      method: 'DNS',
      host: host.text,
      denial: deny('not-listed', verdict),
    });
  };

  const answer = (message: Uint8Array): Buffer | undefined => {
    // An answer is never answered (RFC 5358: no loops), nor is what has no header.
    if (message.length < 12 || ((message[2] ?? 0) & 0x80) !== 0) return undefined;
    const bytes = Buffer.from(message);
    if (((bytes[2] ?? 0) & 0x78) !== 0) return header(bytes, rcode.notImp); // only QUERY is opcode 0
    let asked: Packet;
    try {
      asked = decode(bytes);
    } catch {
      return header(bytes, rcode.formErr);
    }
    const [question, ...more] = asked.questions ?? [];
    if (!question || more.length > 0) return header(bytes, rcode.formErr);
    const { name, type, class: klass } = question;
    if (!armed.now() || (klass ?? 'IN') !== 'IN') return reply(asked, question, rcode.refused);
    const spelling = canonicalHost(name);
    if (!spelling.ok || spelling.host.kind !== 'name') return reply(asked, question, rcode.nxDomain);
    if (!policy().lists(spelling.host)) {
      note(spelling.host);
      return reply(asked, question, rcode.nxDomain);
    }
    // AAAA, HTTPS, SVCB and the rest: the name is there and has nothing of that kind.
    if (type !== 'A') return reply(asked, question, 0);
    const data = dotted(base + 1 + placeOf(spelling.host.text));
    return reply(asked, question, 0, [{ type: 'A', name, ttl: ttlS, data }]);
  };

  return {
    answer,
    nameAt: (address) => byPlace.get(undotted(address) - base - 1),
    serve(socket) {
      socket.on('message', (message, from) => {
        const bytes = answer(message);
        if (bytes) socket.send(bytes, from.port, from.address, () => {}); // who asked has gone: nobody to tell
      });
      socket.on('error', (error) => log('the name door failed', { agent, error: String(error) }));
    },
  };
}

/** A reply without a question, for what could not be read: the id, QR, the asker's opcode and RD, and the code. */
function header(asked: Buffer, code: number): Buffer {
  const bytes = Buffer.alloc(12);
  asked.copy(bytes, 0, 0, 2);
  bytes[2] = 0x80 | ((asked[2] ?? 0) & 0x79);
  bytes[3] = code;
  return bytes;
}

const authoritativeRecursive = 0x0400 | 0x0080;

function reply(asked: Packet, question: Question, code: number, answers: Packet['answers'] = []): Buffer {
  const flags = authoritativeRecursive | ((asked.flags ?? 0) & 0x0100) | code;
  return encode({ type: 'response', id: asked.id ?? 0, flags, questions: [question], answers });
}

const dotted = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');

const undotted = (address: string): number =>
  address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
