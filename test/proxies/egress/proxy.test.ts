/** The egress door by real curl: what is listed passes whole, what is not is refused in words. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { curl, startDoor, startFarEnd, startTcp, talk, until } from './door.ts';

const loopback = '127.0.0.1';

test('curl reaches a listed address by CONNECT and by absolute-form', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [far.port] }] });
  const url = `http://${loopback}:${far.port}/a/b?c=d`;
  const plain = await curl(door.url, url);
  assert.deepEqual([plain.code, plain.out], [0, 'far end 127.0.0.1 /a/b?c=d']);
  const tunnel = await curl(door.url, '--proxytunnel', url);
  assert.deepEqual([tunnel.code, tunnel.out], [0, 'far end 127.0.0.1 /a/b?c=d']);
  assert.deepEqual(far.requests, Array(2).fill(`GET /a/b?c=d ${loopback}:${far.port}`));
});

test('a listed name is looked up once and reached, by both forms', async (t) => {
  const far = await startFarEnd(t);
  const looked: string[] = [];
  const door = await startDoor(t, {
    rules: [
      { host: '*.example.test', ports: [far.port] },
      { host: loopback, ports: [far.port] },
    ],
    resolve: async (name) => {
      looked.push(name);
      return [loopback];
    },
  });
  const url = `http://API.Example.test.:${far.port}/`;
  assert.equal((await curl(door.url, url)).out, 'far end 127.0.0.1 /');
  assert.equal((await curl(door.url, '--proxytunnel', url)).out, 'far end 127.0.0.1 /');
  assert.deepEqual(looked, ['api.example.test', 'api.example.test']);
  assert.equal(far.requests[0], `GET / api.example.test:${far.port}`, 'Host is the judged one');
});

test('every exchange has a line before and a line after, with what was judged and how much went', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [far.port] }] });
  await curl(door.url, `http://${loopback}:${far.port}/secret-path?key=never-on-record`);
  const outcome = await door.line('outcome');
  const request = await door.line('request');
  assert.deepEqual(
    { ...request, id: '' },
    {
      kind: 'request',
      id: '',
      agent: 'main',
      door: 'egress',
      method: 'GET',
      host: loopback,
      port: far.port,
      path: '/secret-path',
      verdict: 'allow',
      rule: `${loopback}:${far.port}`,
      addresses: [loopback],
    },
  );
  assert.equal(outcome.id, request.id);
  assert.equal(outcome.status, 200);
  assert.equal(outcome.address, loopback);
  assert.ok(Number(outcome.bytesOut) > 50 && Number(outcome.bytesIn) > 50 && Number(outcome.ms) > 0);
  assert.equal(outcome.error, undefined);
  assert.ok(!JSON.stringify(door.lines).includes('never-on-record'));
  await curl(door.url, '--proxytunnel', `http://${loopback}:${far.port}/`);
  await until(() => door.lines.length === 4);
  assert.deepEqual(
    door.lines.map(({ kind, method, error }) => [kind, method, error]),
    [
      ['request', 'GET', undefined],
      ['outcome', undefined, undefined],
      ['request', 'CONNECT', undefined],
      ['outcome', undefined, undefined],
    ],
  );
});

test('what is not listed is refused with its name, the rule, and what to write to allow it', async (t) => {
  const door = await startDoor(t, { agent: 'scout', rules: [{ host: 'example.com', ports: [443] }] });
  const plain = await curl(door.url, '--include', 'http://evil.example.net/');
  assert.match(plain.out, /^HTTP\/1\.1 403 Refused by Holdfast: not-listed\r\n/);
  assert.match(plain.out, /\r\nx-holdfast-refusal: not-listed\r\n/);
  assert.match(plain.out, /\r\ncontent-type: text\/plain; charset=utf-8\r\n/);
  assert.match(plain.out, /no rule of agent scout covers evil\.example\.net/);
  assert.match(
    plain.out,
    /Put under `agents: scout: egress:` in holdfast\.yaml: - \{ host: "evil\.example\.net", ports: \[80\] \}/,
  );
  const tunnel = await curl(door.url, '--include', '--proxytunnel', 'http://evil.example.net:8443/');
  assert.equal(tunnel.code, 56);
  assert.match(tunnel.out, /x-holdfast-refusal: not-listed\r\n/);
  assert.match(tunnel.err, /403/);
  const port = await curl(door.url, 'http://example.com:8080/');
  assert.match(port.out, /the rule example\.com:443 does not cover port 8080/);
  assert.match(port.out, /\{ host: "example\.com", ports: \[443, 8080\] \}/);
  const [first] = door.lines;
  assert.deepEqual(
    [first?.kind, first?.verdict, first?.code, first?.host, first?.port, first?.rule],
    ['refusal', 'refuse', 'not-listed', 'evil.example.net', 80, null],
  );
});

const requests: [what: string, request: string, status: number, code: string][] = [
  [
    'a CONNECT without a port',
    'CONNECT example.com HTTP/1.1\r\nHost: example.com\r\n\r\n',
    400,
    'bad-request',
  ],
  ['a CONNECT to port 0', 'CONNECT example.com:0 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-request'],
  ['a CONNECT to port 65536', 'CONNECT example.com:65536 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-request'],
  ['a CONNECT to port 0443', 'CONNECT example.com:0443 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-request'],
  ['a CONNECT to a path', 'CONNECT ../../x:443 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-'],
  ['a CONNECT to a number', 'CONNECT 2130706433:443 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-host'],
  ['a CONNECT to 0x7f.1', 'CONNECT 0x7f.1:443 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-host'],
  ['a CONNECT to a zone id', 'CONNECT [::1%lo]:443 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-'],
  ['a CONNECT to a bracketed name', 'CONNECT [example.com]:443 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-'],
  ['a CONNECT to constructor', 'CONNECT constructor:443 HTTP/1.1\r\nHost: x\r\n\r\n', 403, 'not-listed'],
  ['a CONNECT to __proto__', 'CONNECT __proto__:443 HTTP/1.1\r\nHost: x\r\n\r\n', 403, 'not-listed'],
  [
    'a CONNECT to another port of a listed name',
    'CONNECT example.com:22 HTTP/1.1\r\nHost: x\r\n\r\n',
    403,
    'not-listed',
  ],
  [
    'a CONNECT with a listed Host and another target',
    'CONNECT evil.test:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n',
    403,
    'not-listed',
  ],
  [
    'a GET with a listed Host and another target',
    'GET http://evil.test/ HTTP/1.1\r\nHost: example.com\r\n\r\n',
    403,
    'not-listed',
  ],
  ['a plain path', 'GET /path HTTP/1.1\r\nHost: example.com\r\n\r\n', 400, 'bad-request'],
  ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: example.com\r\n\r\n', 400, 'bad-request'],
  ['an https URL', 'GET https://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n', 400, 'bad-request'],
  ['a URL with credentials', 'GET http://a@example.com/ HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-request'],
  [
    'a URL with a hidden host',
    'GET http://example.com\\@evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n',
    400,
    'bad-',
  ],
  [
    'a URL whose host ends at a question mark',
    'GET http://evil.test?.example.com/ HTTP/1.1\r\nHost: x\r\n\r\n',
    403,
    'not-listed',
  ],
  [
    'a URL with a percent sign in the host',
    'GET http://example%2ecom/ HTTP/1.1\r\nHost: x\r\n\r\n',
    400,
    'bad-',
  ],
  ['a URL with an empty host', 'GET http:///x HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-'],
  [
    'two lengths and chunks',
    'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
    'bad-request',
  ],
  [
    'two different lengths',
    'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
    400,
    'bad-request',
  ],
  [
    'a transfer-encoding of gzip',
    'POST http://example.com/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    400,
    'bad-request',
  ],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n', 400, 'bad-request'],
  [
    'a header without end',
    `GET http://example.com/ HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n`,
    431,
    'header-too-large',
  ],
  ['a NUL in a name', 'CONNECT 127.0.0.1\0.example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'bad-'],
];

for (const [what, request, status, code] of requests) {
  test(`${what} is refused with ${status}, and nothing is looked up`, async (t) => {
    const looked: string[] = [];
    const door = await startDoor(t, {
      rules: [{ host: 'example.com', ports: [80, 443] }],
      resolve: async (name) => {
        looked.push(name);
        return [];
      },
    });
    const client = await talk(t, door.port, request);
    const heard = await client.hears(/\r\n\r\nHoldfast refused this/);
    assert.match(heard, new RegExp(`^HTTP/1\\.1 ${status} `));
    assert.match(heard, new RegExp(`x-holdfast-refusal: ${code}`));
    assert.deepEqual(looked, []);
    assert.deepEqual(door.logged, []);
  });
}

test('control: the same client is served when it asks for what is listed', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, {
    rules: [
      { host: 'example.com', ports: [far.port] },
      { host: loopback, ports: [far.port] },
    ],
    resolve: async () => [loopback],
  });
  const client = await talk(t, door.port, `GET http://example.com:${far.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  assert.match(await client.hears('far end'), /^HTTP\/1\.1 200 OK\r\n/);
});

test('Holdfast’s own ports and the cloud’s metadata stay shut, whatever a rule says', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, {
    ownPorts: [far.port],
    rules: [
      { host: loopback, ports: [far.port] },
      { host: '127.0.0.2', ports: [far.port] },
      { host: '169.254.169.254', ports: [80] },
      { host: '0.0.0.0', ports: [80] },
      { host: 'example.com', ports: [80] },
    ],
    resolve: async () => ['168.63.129.16'],
  });
  for (const host of [`127.0.0.1:${far.port}`, `127.0.0.2:${far.port}`]) {
    assert.match((await curl(door.url, `http://${host}/`)).out, /is Holdfast itself/);
  }
  for (const host of ['169.254.169.254', '0.0.0.0', 'example.com']) {
    const { out } = await curl(door.url, '--include', `http://${host}/latest/meta-data/`);
    assert.match(out, /x-holdfast-refusal: address-refused/);
    assert.match(out, /No rule can allow/);
  }
  assert.equal(far.connections, 0);
});

test('an address of this machine is refused like a private one until it is listed as itself', async (t) => {
  const far = await startFarEnd(t);
  const ownAddress = (address: string): boolean => address === '93.184.216.34';
  const door = await startDoor(t, {
    ownAddress,
    rules: [{ host: 'example.com', ports: [far.port] }],
    resolve: async () => ['93.184.216.34'],
  });
  const { out } = await curl(door.url, `http://example.com:${far.port}/`);
  assert.match(out, /example\.com resolves to 93\.184\.216\.34, which is an address of this machine/);
  assert.match(out, /- \{ host: "93\.184\.216\.34", ports: \[\d+\] \}/);
});

test('one bad answer among good ones refuses the name', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, {
    rules: [
      { host: 'example.com', ports: [far.port] },
      { host: loopback, ports: [far.port] },
    ],
    resolve: async () => [loopback, '10.0.0.1'],
  });
  const { out } = await curl(door.url, '--include', `http://example.com:${far.port}/`);
  assert.match(out, /x-holdfast-refusal: address-refused/);
  assert.match(out, /example\.com resolves to 10\.0\.0\.1, which is a private address/);
  assert.equal(far.connections, 0);
});

test('a name without an address, a dead resolver and a dead far end each say so with 502', async (t) => {
  const far = await startFarEnd(t);
  const rules = [
    { host: '*.example.com', ports: [80, 1] },
    { host: loopback, ports: [1] },
  ];
  const door = await startDoor(t, {
    rules,
    resolve: (name) =>
      name.startsWith('dead')
        ? Promise.reject(Object.assign(new Error('x'), { code: 'ETIMEOUT' }))
        : Promise.resolve(name.startsWith('none') ? [] : [loopback]),
  });
  const status = async (url: string): Promise<string> => (await curl(door.url, '--include', url)).out;
  assert.match(await status('http://none.example.com/'), /^HTTP\/1\.1 502 .*no-address/);
  assert.match(await status('http://dead.example.com/'), /^HTTP\/1\.1 502 .*resolver-failed[\s\S]*ETIMEOUT/);
  assert.match(
    await status('http://refused.example.com:1/'),
    /^HTTP\/1\.1 502 .*unreachable[\s\S]*ECONNREFUSED/,
  );
  assert.equal((await door.line('outcome')).error, 'ECONNREFUSED');
  far.close();
});

test('hop-by-hop headers stay here, and a client cannot unname its framing', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [far.port] }] });
  const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n';
  const client = await talk(
    t,
    door.port,
    [
      `GET http://${loopback}:${far.port}/ HTTP/1.1`,
      'Host: other.example',
      'Connection: keep-alive, content-length, x-mine, host',
      'X-Mine: stays',
      'X-Kept: goes',
      'Proxy-Authorization: Basic c2VjcmV0',
      'Proxy-Connection: keep-alive',
      'TE: trailers',
      'Upgrade: websocket',
      `Content-Length: ${smuggled.length}`,
      '',
      smuggled,
    ].join('\r\n'),
  );
  await client.hears('200 OK');
  await until(() => far.bytes.includes('/smuggled'));
  assert.equal(far.requests.length, 1, 'the body stayed a body');
  assert.equal(far.requests[0], `GET / ${loopback}:${far.port}`);
  assert.match(far.bytes, /x-kept: goes/i);
  for (const gone of [/x-mine/i, /proxy-/i, /\nte:/i, /upgrade/i, /other\.example/, /c2VjcmV0/]) {
    assert.doesNotMatch(far.bytes, gone);
  }
});

test('a megabyte goes up and comes back unharmed, with a length, in chunks and through a tunnel', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [far.port] }] });
  const bytes = randomBytes(1024 * 1024);
  const file = join(tmpdir(), `holdfast-upload-${process.pid}`);
  const back = `${file}-back`;
  writeFileSync(file, bytes);
  t.after(() => {
    rmSync(file, { force: true });
    rmSync(back, { force: true });
  });
  const url = `http://${loopback}:${far.port}/echo`;
  const sha = createHash('sha256').update(bytes).digest('hex');
  for (const args of [
    [],
    ['--header', 'Transfer-Encoding: chunked'],
    ['--proxytunnel'],
    ['--expect100-timeout', '10'],
  ]) {
    const { code } = await curl(door.url, ...args, '--data-binary', `@${file}`, '--output', back, url);
    assert.equal(code, 0);
    assert.equal(createHash('sha256').update(readFileSync(back)).digest('hex'), sha, args.join(' '));
  }
});

test('one client connection serves many requests, to different hosts, each judged for itself', async (t) => {
  const far = await startFarEnd(t);
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [far.port] }] });
  const { out } = await curl(
    door.url,
    '--include',
    `http://${loopback}:${far.port}/1`,
    'http://evil.example/',
    `http://${loopback}:${far.port}/2`,
  );
  assert.match(out, /far end 127\.0\.0\.1 \/1[\s\S]*403 Refused[\s\S]*far end 127\.0\.0\.1 \/2/);
});

test('a far end that breaks off in the middle is seen as broken, not as a short answer', async (t) => {
  const port = await startTcp(t, (socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this');
      setTimeout(() => socket.destroy(), 50);
    });
  });
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }] });
  const { code } = await curl(door.url, `http://${loopback}:${port}/`);
  assert.ok([18, 56].includes(code), `curl says ${code}`);
  assert.equal((await door.line('outcome')).error, 'answer-cut');
});

test('an answer that comes before the upload has ended reaches the client', async (t) => {
  const port = await startTcp(t, (socket) => {
    socket.once('data', () => socket.write('HTTP/1.1 413 Too Large\r\nContent-Length: 6\r\n\r\nenough'));
    socket.once('end', () => socket.end());
  });
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }] });
  const head = `POST http://${loopback}:${port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`;
  const client = await talk(t, door.port, `${head}beginning`);
  assert.match(await client.hears('enough'), /^HTTP\/1\.1 413 Too Large\r\n/);
  assert.equal((await door.line('outcome')).status, 413);
  await client.ends();
});

test('a far end that speaks no HTTP is a 502, and the door lives on', async (t) => {
  const port = await startTcp(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }] });
  const { out } = await curl(door.url, '--include', `http://${loopback}:${port}/`);
  assert.match(out, /^HTTP\/1\.1 502 .*answer-broken/);
  const again = await curl(door.url, '--include', `http://${loopback}:${port}/`);
  assert.match(again.out, /^HTTP\/1\.1 502 /);
  assert.deepEqual(door.logged, []);
});

test('a client that goes away ends the exchange at the far end', async (t) => {
  let closed = false;
  const port = await startTcp(t, (socket) => {
    socket.resume();
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst'));
    socket.once('close', () => {
      closed = true;
    });
    socket.once('end', () => socket.end());
  });
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }] });
  const client = await talk(t, door.port, `GET http://${loopback}:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`);
  await client.hears('first');
  client.socket.destroy();
  await until(() => closed);
  assert.equal((await door.line('outcome')).error, 'agent-gone');
});

test('a half-closed tunnel still carries the answer', async (t) => {
  const port = await startTcp(t, (socket) => {
    let heard = '';
    socket.on('data', (bytes: Buffer) => {
      heard += bytes.toString();
    });
    socket.on('end', () => socket.end(`you said ${heard}`));
  });
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }] });
  const client = await talk(
    t,
    door.port,
    `CONNECT ${loopback}:${port} HTTP/1.1\r\nHost: x\r\n\r\nsent along, `,
  );
  await client.hears('200 Connection established');
  client.socket.end('and more');
  assert.match(await client.ends(), /you said sent along, and more$/);
  assert.equal((await door.line('outcome')).error, undefined);
});

test('a reader that stalls does not make the door hold what it does not read', async (t) => {
  let sent = 0;
  const chunk = Buffer.alloc(64 * 1024);
  const port = await startTcp(t, (socket) => {
    const more = (): void => {
      while (sent < 400 * 1024 * 1024) {
        sent += chunk.length;
        if (!socket.write(chunk)) return void socket.once('drain', more);
      }
    };
    more();
  });
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }] });
  const client = await talk(t, door.port);
  client.socket.pause();
  client.socket.write(`CONNECT ${loopback}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until(() => sent > 1024 * 1024);
  let before = -1;
  await until(() => {
    const still = sent === before;
    before = sent;
    return still;
  });
  assert.ok(sent < 40 * 1024 * 1024, `${sent} bytes were taken from the far end`);
});

test('silence ends a tunnel, and says so on record', async (t) => {
  const port = await startTcp(t, () => {});
  const door = await startDoor(t, { rules: [{ host: loopback, ports: [port] }], limits: { idleMs: 200 } });
  const client = await talk(t, door.port, `CONNECT ${loopback}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await client.hears('200');
  await client.ends();
  assert.equal((await door.line('outcome')).error, 'idle');
});

test('a header that does not come in time is refused', async (t) => {
  const door = await startDoor(t, { limits: { headersMs: 300 } });
  const client = await talk(t, door.port, 'GET http://example.com/ HTTP/1.1\r\nHost: x\r\n');
  assert.match(await client.hears('header-too-slow'), /^HTTP\/1\.1 408 /);
});

test('one exchange more than the limit is refused, and a freed place is used again', async (t) => {
  const port = await startTcp(t, (socket) => socket.resume().once('end', () => socket.end()));
  const door = await startDoor(t, {
    rules: [{ host: loopback, ports: [port] }],
    limits: { maxExchanges: 2 },
  });
  const connectText = `CONNECT ${loopback}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const first = await talk(t, door.port, connectText);
  await first.hears('200');
  const second = await talk(t, door.port, connectText);
  await second.hears('200');
  const third = await talk(t, door.port, connectText);
  assert.match(await third.hears('too-many'), /^HTTP\/1\.1 503 /);
  first.socket.end();
  await door.line('outcome');
  const fourth = await talk(t, door.port, connectText);
  assert.match(await fourth.hears('HTTP/1.1'), /^HTTP\/1\.1 200 /);
});

test('new rules hold at once: for the next request and for the tunnels that are open', async (t) => {
  const far = await startFarEnd(t);
  const port = await startTcp(t, () => {});
  const rules = [{ host: loopback, ports: [port, far.port] }];
  const door = await startDoor(t, { rules });
  const client = await talk(t, door.port, `CONNECT ${loopback}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await client.hears('200');
  assert.throws(() => door.egress.setRules([{ host: '*', ports: [443] }]), RangeError);
  assert.equal(
    (await curl(door.url, `http://${loopback}:${far.port}/`)).code,
    0,
    'the last good rules stand',
  );
  assert.equal(client.ended(), false);
  door.egress.setRules([{ host: loopback, ports: [far.port] }]);
  await client.ends();
  assert.equal(
    (await until(() => door.lines.find(({ error }) => error !== undefined)))?.error,
    'rules-changed',
  );
  assert.equal((await curl(door.url, `http://${loopback}:${far.port}/`)).code, 0);
  door.egress.setRules([]);
  assert.match((await curl(door.url, `http://${loopback}:${far.port}/`)).out, /not-listed/);
});

test('a thousand refusals leave six hundred lines and a count, not a full disk', async (t) => {
  let now = 0;
  const door = await startDoor(t, { clock: () => now });
  const client = await talk(t, door.port);
  for (let turn = 0; turn < 10; turn++) {
    client.socket.write('GET http://evil.test/ HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(100));
  }
  await until(() => client.heard().split('Holdfast refused this').length > 1000);
  assert.equal(door.lines.length, 600);
  now += 60_000;
  await curl(door.url, 'http://evil.test/');
  assert.equal(door.lines.at(-1)?.unlisted, 400);
});
