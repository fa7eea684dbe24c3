/** Serves doors that it inherited, as a proxy of the house would: HTTP on streams, an echo on datagrams. Prints one line per request, before it answers. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:http';

const firstFd = 3; // sd_listen_fds(3)
const doors = (process.env.LISTEN_FDNAMES ?? '').split('+').filter((name) => name !== '');
const [tag = 'server'] = process.argv.slice(2);

const served = (what: string): void => {
  process.stdout.write(`${tag} served ${what}\n`);
};

await Promise.all(
  doors.map((name, at) => {
    const fd = firstFd + at;
    if (/^(udp:|names\.)/.test(name)) {
      const socket = createSocket('udp4');
      socket.on('message', (bytes, from) => {
        served(bytes.toString());
        socket.send(bytes, from.port, from.address);
      });
      return new Promise<void>((resolve) => socket.bind({ fd, exclusive: true }, resolve));
    }
    const server = createServer((request, response) => {
      served(request.url ?? '');
      response.end(`${tag} ${request.url}`);
    });
    return new Promise<void>((resolve) => server.listen({ fd }, () => resolve()));
  }),
);
process.stdout.write(`${tag} ready\n`);
