/** Each row of test/verdict/hosts.json: one spelling, and the one host that it is, or the reason why it is none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, isIP } from 'node:net';
import { test } from 'node:test';
import { canonicalHost, hostPort } from '../../../proxies/verdict/host.ts';
import rows from '../../verdict/hosts.json' with { type: 'json' };

type Row = { spelled: string; host?: string; kind?: string; refused?: string };

const shown = (text: string): string => {
  const quoted = JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return quoted.length > 60 ? `${quoted.slice(0, 60)}… (${text.length})` : quoted;
};

for (const { spelled, host, kind, refused } of rows as Row[]) {
  test(`${shown(spelled)} is ${host === undefined ? 'refused' : `the ${kind} ${shown(host)}`}`, () => {
    const seen = canonicalHost(spelled);
    if (host !== undefined) {
      assert.deepEqual(seen, { ok: true, host: { kind, text: host } });
    } else {
      assert.ok(!seen.ok, `taken as ${JSON.stringify(seen)}`);
      assert.ok(seen.why.includes(refused ?? '-'), seen.why);
    }
  });
}

test('canonical is a fixed point: judging a canonical host again changes nothing', () => {
  for (const { spelled } of rows as Row[]) {
    const once = canonicalHost(spelled);
    if (once.ok) assert.deepEqual(canonicalHost(once.host.text), once);
  }
});

test('what Node would dial as a loopback address is either that address here or refused', async (t) => {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const reaches = (host: string): Promise<boolean> =>
    new Promise((resolve) => {
      try {
        const socket = connect({ host, port, autoSelectFamily: false });
        socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
        socket.once('close', () => socket.destroy());
      } catch {
        resolve(false);
      }
    });
  const spellings = [
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '0',
    '\uff11\uff12\uff17.0.0.1',
    '\u2460\u2461\u2466.\u2460',
    '::ffff:127.0.0.1%x.allowed.com',
    '127.0.0.1\0.allowed.com',
  ];
  const reached: string[] = [];
  for (const spelled of spellings) {
    if (await reaches(spelled)) reached.push(spelled);
    assert.equal(canonicalHost(spelled).ok, false, spelled);
  }
  assert.ok(reached.length > 0, 'control: this Node does dial some of these');
  assert.ok(
    reached.some((spelled) => isIP(spelled) === 0),
    'and net.isIP knows nothing of them',
  );
});

test('a host and a port make one text, with brackets where they are due', () => {
  assert.equal(hostPort({ kind: 'name', text: 'example.com' }, 443), 'example.com:443');
  assert.equal(hostPort({ kind: 'v6', text: '::1' }, 80), '[::1]:80');
});
