/** Bad days of a running house: a full disk under the record, and garbage on every door and socket. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { homePaths } from '../../appliance/paths.ts';
import { createProvider } from '../provider/provider.ts';
import { allRun, appliance, inWorld, statusOf, toolsReady, until } from '../world/appliance.ts';
import { ask, chatAt, farEnd, pids, throughProxy } from '../world/asking.ts';
import { smallAudit } from '../world/smallaudit.ts';

test('with a full disk the doors refuse in words, and with room again they serve', async (t) => {
  const provider = await createProvider();
  t.after(() => provider.close());
  const far = await farEnd(t);
  const disk = smallAudit(t);
  const a = await appliance(t, {
    config: `
providers: { local: { kind: openai, baseUrl: ${provider.url}, price: { free: true } } }
agents:
  main:
    model: { provider: local, name: practice }
    egress: [ { host: 127.0.0.1, ports: [${far.port}] } ]
`,
    prepare: disk.mount,
  });
  await until(async () => (await allRun(a)) && (await toolsReady(a)), 30_000, a.output);
  const before = await pids(a);
  const doors = {
    llm: (): ReturnType<typeof ask> => ask(a, 'main', ...chatAt('hello')),
    egress: (): ReturnType<typeof ask> => ask(a, 'main', ...throughProxy, far.url),
  };
  for (const door of Object.values(doors)) assert.equal((await door()).status, 200, 'control');
  disk.fill();
  for (const [name, door] of Object.entries(doors)) {
    let answer = await door();
    // The last page of a file has room for a few lines more.
    for (let tries = 0; answer.status === 200 && tries < 40; tries += 1) answer = await door();
    assert.equal(answer.status, 503, name);
    assert.match(answer.body, /could not be put on record[\s\S]*Free space/, name);
  }
  const pressed = await a.cli('kill', '--reason', 'a press waits for no disk');
  assert.match(pressed.stdout, /^KILLED/);
  disk.free();
  assert.equal((await a.cli('rearm', '--reason', 'there is room again')).code, 0);
  await until(() => allRun(a), 30_000, a.output);
  for (const door of Object.values(doors)) assert.equal((await door()).status, 200, 'and again');
  const after = await pids(a);
  for (const name of ['keeper', 'controller', 'gateway', 'broker'])
    assert.equal(after[name], before[name], `${name} did not fall`);
});

/** What people and machines send that is no request of ours. */
const garbage: Buffer[] = [
  Buffer.from([0, 1, 2, 3, 255, 254, 253]),
  Buffer.from('GET\r\n\r\n'),
  Buffer.from(`GET /${'a'.repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`),
  Buffer.from(
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzzzz\r\n',
  ),
  Buffer.from(
    'POST /%ff%zz HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n{{{{',
  ),
  Buffer.from(
    'POST /trip HTTP/1.1\r\nHost: socket\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\nnul!',
  ),
  Buffer.from('GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
  Buffer.from('CONNECT a b c HTTP/9.9\r\n\r\n'),
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, ...Array<number>(60).fill(7)]),
  Buffer.alloc(300_000, 0x41),
];

/** The first line of what comes back before it is closed or a second has passed. */
function throwAt(where: { path: string } | { host: string; port: number }, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(where);
    let said = '';
    const end = (): void => {
      socket.destroy();
      resolve(said.split(/\r?\n/)[0] ?? '');
    };
    setTimeout(end, 400); // the lease socket never falls silent
    socket.on('data', (text) => {
      said += text.toString('latin1');
      if (said.includes('\r\n')) end();
    });
    socket.on('error', end).on('close', end);
    socket.write(bytes);
  });
}

test('garbage at every door and on every socket harms nobody', async (t) => {
  const a = await appliance(t);
  await until(() => allRun(a), 30_000, a.output);
  const before = await pids(a);
  const runFolder = homePaths(a.home).run;
  const sockets = readdirSync(runFolder)
    .map((name) => join(runFolder, name, 'sock'))
    .filter((path) => existsSync(path));
  assert.ok(sockets.length >= 15, sockets.join());
  const places = [
    ...sockets.map((path) => ({ path })),
    { host: '127.0.0.1', port: a.controllerPort },
    { host: '127.0.0.1', port: a.chatPort },
  ];
  const strange: string[] = [];
  await Promise.all(
    places.map(async (place) => {
      for (const bytes of garbage) {
        const said = await throwAt(place, bytes);
        // The lease socket speaks lines, not HTTP; a 502 is the dialer's word for a guest that said nothing.
        const fine =
          said === '' || /^HTTP\/1\.[01] (4\d\d|502|503)/.test(said) || /^\{"?|^(armed|closed)/.test(said);
        if (!fine)
          strange.push(
            `${JSON.stringify(place)} ${bytes.subarray(0, 20).toString('latin1')}: ${said.slice(0, 100)}`,
          );
      }
    }),
  );
  assert.deepEqual(strange, []);

  // The same at the doors in the world, datagrams too.
  const throwing = `use Socket; $SIG{PIPE} = "IGNORE"; $| = 1;
    my @all = map { pack("H*", $_) } @ARGV;
    for my $port (9090, 3128, 9091, 443, 80, 18789) { for my $bytes (@all) {
      socket(my $s, PF_INET, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_RCVTIMEO, pack("l!l!", 0, 150000));
      connect($s, pack_sockaddr_in($port, inet_aton("127.0.0.1"))) or next;
      syswrite($s, $bytes); my $said = ""; sysread($s, $said, 64);
      my ($line) = $said =~ /^\\x15\\x03/ ? "alert" : split(/\\r\\n/, $said); print "$port ", ($line // ""), "\\n"; close($s);
    } }
    for my $bytes (@all) { socket(my $u, PF_INET, SOCK_DGRAM, 0); send($u, substr($bytes, 0, 500), 0, pack_sockaddr_in(53, inet_aton("127.0.0.53"))); }`;
  const small = garbage.map((bytes) => bytes.subarray(0, 5000).toString('hex'));
  const thrown = await inWorld(a, 'main', 'perl', ['-e', throwing, ...small]);
  assert.equal(thrown.code, 0, thrown.stderr);
  const answers = thrown.stdout.trimEnd().split('\n');
  assert.ok(answers.length > 5 * garbage.length, 'control: the doors were there');
  // On 443 the refusal is a TLS alert, access_denied (RFC 8446, section 6.2).
  const refusal = /^\d+ (HTTP\/1\.[01] (4\d\d|503).*|alert)?$/;
  assert.deepEqual(
    answers.filter((line) => !refusal.test(line)),
    [],
  );

  assert.deepEqual(await pids(a), before, 'nobody fell');
  assert.equal((await statusOf(a)).state, 'armed', 'and nobody was talked into a press');
  assert.ok((await fetch(`${a.controllerUrl}/setup`)).ok);
});
