/** The near end of the door bench, run in the world or on the host: 2,000 small requests on one connection, then 64 MiB three times. */
import { Agent, get, type IncomingMessage } from 'node:http';

const port = Number(process.argv[2]);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const ask = (path: string): Promise<number> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent }, (res: IncomingMessage) => {
      let bytes = 0;
      res.on('data', (part: Buffer) => {
        bytes += part.length;
      });
      res.on('end', () => resolve(bytes));
    }).on('error', reject);
  });

for (let warm = 0; warm < 300; warm += 1) await ask('/small');
const times: number[] = [];
for (let turn = 0; turn < 2000; turn += 1) {
  const from = process.hrtime.bigint();
  await ask('/small');
  times.push(Number(process.hrtime.bigint() - from) / 1000);
}
times.sort((a, b) => a - b);
const from = process.hrtime.bigint();
let bytes = 0;
for (let turn = 0; turn < 3; turn += 1) bytes += await ask('/large');
const seconds = Number(process.hrtime.bigint() - from) / 1e9;
agent.destroy();
process.stdout.write(JSON.stringify({ p50Us: times[1000], mbPerS: bytes / 1e6 / seconds }));
