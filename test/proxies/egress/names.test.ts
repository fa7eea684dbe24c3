/** Clients that know no proxy: names that are listed get an address of the benchmark range, and a connection to it goes out by the same rules. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { decode, encode, type Packet, type RecordType } from 'dns-packet';
import { createNames, type Names } from '../../../proxies/egress/names.ts';
import { createPolicy, type Rule } from '../../../proxies/egress/policy.ts';
import type { Refused } from '../../../proxies/egress/refusals.ts';
import { createTestLease } from '../llm/rig.ts';
import { listen, startDoor, talk } from './door.ts';

const loopback = '127.0.0.1';

function makeNames(
  rules: Rule[],
  agent = 'main',
): { names: Names; noted: Refused[]; setRules(rules: Rule[]): void } {
  let policy = createPolicy(agent, rules);
  const noted: Refused[] = [];
  const names = createNames({
    agent,
    policy: () => policy,
    armed: createTestLease(),
    refusals: { note: (refused) => void noted.push(refused) },
    clock: () => 0,
    log: () => {},
  });
  return {
    names,
    noted,
    setRules: (next) => {
      policy = createPolicy(agent, next);
    },
  };
}

type Reply = {
  rcode: number;
  answers: { type: string; name: string; data?: unknown; ttl?: number }[];
  packet: Packet;
};

function ask(names: Names, name: string, type: RecordType = 'A'): Reply {
  const bytes = names.answer(encode({ type: 'query', id: 4711, flags: 0x0100, questions: [{ type, name }] }));
  assert.ok(bytes);
  const packet = decode(bytes);
  assert.equal(packet.id, 4711);
  assert.equal(packet.type, 'response');
  assert.equal(packet.questions?.[0]?.name, name.replace(/\.$/, ''));
  return { rcode: (bytes[3] ?? 0) & 15, answers: (packet.answers ?? []) as Reply['answers'], packet };
}

const addressOf = (names: Names, name: string): string => String(ask(names, name).answers[0]?.data);

test('a listed name gets one address of 198.18.0.0/15, always the same, and any spelling of it too', () => {
  const { names } = makeNames([{ host: 'example.com', ports: [443] }]);
  const { rcode, answers } = ask(names, 'example.com');
  assert.equal(rcode, 0);
  assert.equal(answers.length, 1);
  assert.match(String(answers[0]?.data), /^198\.1[89]\.\d+\.\d+$/);
  assert.equal(answers[0]?.ttl, 60);
  for (const spelled of ['EXAMPLE.com', 'eXaMpLe.CoM', 'example.com.']) {
    assert.equal(addressOf(names, spelled), answers[0]?.data);
  }
  assert.equal(names.nameAt(String(answers[0]?.data)), 'example.com');
  const restarted = makeNames([{ host: 'example.com', ports: [443] }]).names;
  assert.equal(addressOf(restarted, 'example.com'), answers[0]?.data, 'and after a restart');
  assert.notEqual(
    addressOf(makeNames([{ host: 'example.com', ports: [443] }], 'scout').names, 'example.com'),
    answers[0]?.data,
  );
});

test('what is not listed does not exist, and is noted once', () => {
  const { names, noted } = makeNames([{ host: '*.example.com', ports: [443] }]);
  for (const name of [
    'evil.test',
    'example.com',
    'secret.evil.test',
    'localhost',
    '4.3.2.1.in-addr.arpa',
    'evil.test',
  ]) {
    assert.equal(ask(names, name).rcode, 3, name);
    assert.deepEqual(ask(names, name, 'AAAA').answers, []);
  }
  assert.deepEqual(
    noted.map(({ host, door }) => [host, door]),
    ['evil.test', 'example.com', 'secret.evil.test', 'localhost', '4.3.2.1.in-addr.arpa'].map((host) => [
      host,
      'names',
    ]),
  );
  assert.equal(ask(names, 'www.example.com').rcode, 0, 'control');
});

test('other kinds of records are empty, so that no client learns an address or an ECH key elsewhere', () => {
  const { names } = makeNames([{ host: 'example.com', ports: [443] }]);
  for (const type of [
    'AAAA',
    'HTTPS',
    'SVCB',
    'MX',
    'TXT',
    'NS',
    'SOA',
    'CNAME',
    'SRV',
    'ANY',
  ] as RecordType[]) {
    const { rcode, answers } = ask(names, 'example.com', type);
    assert.deepEqual([type, rcode, answers], [type, 0, []]);
  }
});

test('garbage gets FORMERR or silence, never a crash', () => {
  const { names } = makeNames([{ host: 'example.com', ports: [443] }]);
  const good = encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'example.com' }] });
  const code = (bytes: Uint8Array): number | undefined => {
    const reply = names.answer(bytes);
    return reply && (reply[3] ?? 0) & 15;
  };
  const header = (flags: number, questions: number): Buffer =>
    Buffer.from([0, 9, flags, 0, 0, questions, 0, 0, 0, 0, 0, 0]);
  assert.equal(code(good), 0, 'control');
  assert.equal(code(Buffer.alloc(0)), undefined);
  assert.equal(code(good.subarray(0, 11)), undefined);
  assert.equal(code(good.subarray(0, 20)), 1);
  assert.equal(code(header(0x80, 0)), undefined, 'an answer is not answered');
  assert.equal(code(header(0, 0)), 1);
  assert.equal(code(header(0x28, 1)), 4, 'UPDATE');
  assert.equal(
    code(Buffer.concat([header(0, 1), Buffer.from([0xc0, 12, 0, 1, 0, 1])])),
    1,
    'a name that points to itself',
  );
  assert.equal(
    code(Buffer.concat([header(0, 1), Buffer.from([0x40, 1, 0, 0, 1, 0, 1])])),
    1,
    'a label of no kind',
  );
  const two = [{ type: 'A' as const, name: 'example.com' }];
  assert.equal(code(encode({ type: 'query', questions: [...two, ...two] })), 1);
  assert.equal(
    code(encode({ type: 'query', questions: [{ type: 'A', name: 'example.com', class: 'CH' }] })),
    5,
  );
  assert.equal(code(encode({ type: 'query', questions: [{ type: 'A', name: '.' }] })), 3);
  for (let seed = 1; seed < 20_000; seed++) {
    const bytes = Buffer.from(good);
    for (let at = 0; at < 4; at++) bytes[(seed * (at + 7)) % bytes.length] = (seed * 31 + at * 17) & 255;
    names.answer(bytes);
  }
});

test('names without end do not fill the table, and a name in use keeps its address', () => {
  const { names } = makeNames([{ host: '*.example.com', ports: [443] }]);
  const kept = addressOf(names, 'kept.example.com');
  const first = addressOf(names, 'n0.example.com');
  const seen = new Map<string, string>();
  for (let turn = 1; turn < 10_000; turn++) {
    const name = `n${turn}.example.com`;
    const address = addressOf(names, name);
    if (turn % 1000 === 0) assert.equal(addressOf(names, 'kept.example.com'), kept);
    if (turn > 6000) seen.set(address, name);
  }
  assert.equal(seen.size, 3999, 'no two names have one address');
  for (const [address, name] of seen) assert.equal(names.nameAt(address), name);
  assert.equal(names.nameAt(kept), 'kept.example.com');
  assert.notEqual(names.nameAt(first), 'n0.example.com', 'the one asked for longest ago went');
});

test('addresses that were given to nobody have no name', () => {
  const { names } = makeNames([{ host: 'example.com', ports: [443] }]);
  for (const address of ['198.18.0.0', '198.19.255.255', '127.0.0.1', '::1', '', 'x']) {
    assert.equal(names.nameAt(address), undefined);
  }
});

test('a real resolver over UDP gets the same', async (t) => {
  const door = await startDoor(t, { rules: [{ host: 'example.com', ports: [443] }] });
  const socket = createSocket('udp4');
  door.egress.names(socket);
  socket.bind(0, loopback);
  await once(socket, 'listening');
  t.after(() => socket.close());
  const resolver = new dns.Resolver({ timeout: 1000, tries: 1 });
  resolver.setServers([`${loopback}:${socket.address().port}`]);
  const [address] = await resolver.resolve4('example.com');
  assert.match(address ?? '', /^198\.1[89]\./);
  await assert.rejects(resolver.resolve6('example.com'), { code: 'ENODATA' });
  await assert.rejects(resolver.resolve4('evil.test'), { code: 'ENOTFOUND' });
  const many = await Promise.all(Array.from({ length: 200 }, () => resolver.resolve4('example.com')));
  assert.ok(many.every(([each]) => each === address));
  assert.equal((await door.line('refusal')).host, 'evil.test');
});

test('a connection to an address without a name is told no in its own language', async (t) => {
  const door = await startDoor(t, { rules: [{ host: 'example.com', ports: [80, 443] }] });
  const web = await talk(t, await listen(door.egress.tcp(80)), 'GET / HTTP/1.1\r\nHost: example.com\r\n\r\n');
  assert.match(await web.hears('Ask the name server'), /^HTTP\/1\.1 403 .*not-listed/);
  const tls = await talk(t, await listen(door.egress.tcp(443)), '\x16\x03\x01');
  assert.equal(await tls.hears(/./s), '\x15\x03\x03\x00\x02\x02\x31');
});

type Told = {
  addresses: string[];
  lookedByNames: number;
  one: string;
  fronted: string;
  stray: string;
  looked: string[];
  afterwards: string;
  lines: { kind: string; door: string; host: string; method?: string }[];
};

test('curl without a proxy reaches a listed name through the name door and the TCP door', () => {
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const child = join(import.meta.dirname, 'tcpworld.ts');
  const out = execFileSync('unshare', [...asRoot, '--net', process.execPath, child], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  const told = JSON.parse(out) as Told;
  assert.equal(told.lookedByNames, 0, 'a question at the name door costs no lookup');
  assert.notEqual(told.addresses[0], told.addresses[1]);
  assert.equal(told.one, 'one.example.com /hello');
  assert.equal(told.fronted, 'other.example.net /hello', 'bytes pass as they are');
  assert.deepEqual(told.looked, ['one.example.com', 'two.example.com']);
  assert.match(told.stray, /this address was given to no name/);
  assert.match(told.afterwards, /no rule of agent main covers one\.example\.com/);
  const requests = told.lines.filter(({ kind }) => kind === 'request');
  assert.deepEqual(
    requests.map(({ door, method, host }) => [door, method, host]),
    [
      ['tcp', 'TCP', 'one.example.com'],
      ['tcp', 'TCP', 'two.example.com'],
    ],
  );
});
