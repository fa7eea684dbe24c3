/** The host that a world must not reach: services on loopback, on unix sockets of every kind, and a process to aim at. Prints its ports and pid, then a line for whatever reaches it, until it is ended. */
import { createSocket } from 'node:dgram';
import { chmodSync, mkdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { dirname } from 'node:path';

export type Host = { tcp: number; udp: number; pid: number };

const [abstract = '', ...paths] = process.argv.slice(2);

const heard = (what: string): boolean => process.stdout.write(`heard ${what}\n`);

const listen = (what: string, where: object): Promise<AddressInfo | string | null> =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      heard(what);
      socket.on('error', () => {}).end('here is the host\n');
    });
    server.once('error', reject);
    server.listen(where, () => resolve(server.address()));
  });

const tcp = (await listen('tcp', { host: '127.0.0.1', port: 0 })) as AddressInfo;
const udp = createSocket('udp4');
udp.on('message', (bytes, from) => {
  heard('udp');
  udp.send(bytes, from.port, from.address);
});
await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
await listen('abstract', { path: `\0${abstract}` });
for (const path of paths) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  await listen(path, { path });
  chmodSync(path, 0o777);
}
process.stdout.write(
  `${JSON.stringify({ tcp: tcp.port, udp: udp.address().port, pid: process.pid } satisfies Host)}\n`,
);
