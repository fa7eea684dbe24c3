/** The doors and a far end in a network namespace that has the world's route, and curl in it without a proxy. names.test.ts runs it under unshare(1) and reads what it prints. */
import { execFile, execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createEgress } from '../../../proxies/egress/egress.ts';
import { createTestLease } from '../llm/rig.ts';

execFileSync('ip', ['link', 'set', 'lo', 'up']);
execFileSync('ip', ['route', 'add', 'local', '198.18.0.0/15', 'dev', 'lo']);

const far = createServer((req, res) => res.end(`${req.headers.host} ${req.url}`)).listen(80, '127.0.0.9');
await once(far, 'listening');

const looked: string[] = [];
const lines: Record<string, unknown>[] = [];
const egress = createEgress({
  agent: 'main',
  rules: [
    { host: '*.example.com', ports: [80] },
    { host: '127.0.0.9', ports: [80] },
  ],
  armed: createTestLease(),
  record: async (line) => void lines.push(line),
  resolve: async (name) => {
    looked.push(name);
    return ['127.0.0.9'];
  },
});
const socket = createSocket('udp4').bind(5300, '127.0.0.53');
egress.names(socket);
await once(socket, 'listening');
// In a world this is 0.0.0.0; here one address per door leaves port 80 to the far end.
const resolver = new dns.Resolver({ timeout: 1000, tries: 1 });
resolver.setServers(['127.0.0.53:5300']);
const [one = ''] = await resolver.resolve4('one.example.com');
const [two = ''] = await resolver.resolve4('two.example.com');
const lookedByNames = looked.length;
const stray = '198.19.0.77';
for (const address of [one, two, stray]) await once(egress.tcp(80).listen(80, address), 'listening');

const curl = (host: string, address: string): Promise<string> =>
  new Promise((resolve) => {
    const args = [
      '-sS',
      '--disable',
      '--max-time',
      '10',
      '--noproxy',
      '*',
      '--resolve',
      `${host}:80:${address}`,
    ];
    execFile('curl', [...args, `http://${host}/hello`], (_error, out) => resolve(out));
  });

const told = {
  addresses: [one, two],
  lookedByNames,
  one: await curl('one.example.com', one),
  // Whatever the client writes as Host, the connection goes to the name that was dialled.
  fronted: await curl('other.example.net', two),
  stray: await curl('one.example.com', stray),
  looked,
};
egress.setRules([]);
const afterwards = await curl('one.example.com', one);
process.stdout.write(JSON.stringify({ ...told, afterwards, lines }), () => process.exit(0));
