/** The far end of the door bench: answers /small with 100 bytes and /large with 64 MiB, on the descriptor it was given. */
import { createServer } from 'node:http';

const small = Buffer.alloc(100, 'a');
const chunk = Buffer.alloc(1024 * 1024, 'b');

createServer(async (req, res) => {
  if (req.url === '/small') {
    res.writeHead(200, { 'content-length': small.length }).end(small);
    return;
  }
  res.writeHead(200, { 'content-length': 64 * chunk.length });
  for (let sent = 0; sent < 64; sent += 1) {
    if (!res.write(chunk)) await new Promise((resolve) => res.once('drain', resolve));
  }
  res.end();
}).listen({ fd: 3 }, () => process.stdout.write('ready\n'));
