/** Knocks at doors from inside a world. `count N` sends N requests and N datagrams and says how many were answered; `queue` leaves one of each with a server that does not answer, says how that ended, and knocks again. */
import { createSocket } from 'node:dgram';
import { request } from 'node:http';
import { connect } from 'node:net';

const stream = { host: '127.0.0.1', port: 9090 }; // the llm door
const datagram = { address: '127.0.0.53', port: 53 }; // the names door
const say = (what: string): boolean => process.stdout.write(`${what}\n`);

const ask = (path: string, sent: () => void = () => {}): Promise<string> =>
  new Promise((resolve, reject) => {
    const call = request({ ...stream, path, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    });
    call.on('error', reject);
    call.on('socket', (socket) => socket.once('connect', () => call.end(sent)));
  });

async function count(many: number): Promise<void> {
  const asked = await Promise.allSettled(Array.from({ length: many }, (_, at) => ask(`/request-${at}`)));
  const right = asked.filter(
    (each, at) => each.status === 'fulfilled' && each.value.endsWith(`/request-${at}`),
  );
  say(`requests ${right.length}`);
  const socket = createSocket('udp4');
  const heard = new Set<string>();
  await new Promise<void>((resolve) => {
    const over = setTimeout(resolve, 5000);
    socket.on('message', (bytes) => {
      heard.add(bytes.toString());
      if (heard.size < many) return;
      clearTimeout(over);
      resolve();
    });
    for (let at = 0; at < many; at += 1) socket.send(`datagram-${at}`, datagram.port, datagram.address);
  });
  socket.close();
  say(`datagrams ${heard.size}`);
}

async function queue(): Promise<void> {
  const { promise: sent, resolve: isSent } = Promise.withResolvers<void>();
  const lost = ask('/queued', isSent).then(
    (text) => `answered ${text}`,
    (error: NodeJS.ErrnoException) => error.code ?? error.message,
  );
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => {
    socket.connect(datagram.port, datagram.address, () => socket.send('queued', () => resolve()));
  });
  await sent;
  say('queued');
  say(`request ${await lost}`);
  const began = performance.now();
  const again = await new Promise<string>((resolve) => {
    const knock = connect(stream, () => resolve('connected'));
    knock.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  say(`knock ${again} ${performance.now() - began < 500 ? 'at once' : 'late'}`);
  const refusal = await new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    socket.send('anybody');
    setTimeout(() => resolve('silence'), 1000).unref();
  });
  say(`datagram ${refusal}`);
  process.exit(0);
}

const [what, many = '0'] = process.argv.slice(2);
await (what === 'queue' ? queue() : count(Number(many)));
