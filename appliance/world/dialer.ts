/** The way in: joins the guest's loopback port to a unix socket outside, byte for byte. processes/dialer.ts runs it in the world's network namespace and outside its others; the gateway connects. */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';

/** Where a guest answers in its world (design section 1). */
const guestPort = 18789;

export type Dialer = {
  listen: { fd: number } | { path: string };
  port?: number;
  /** One turn at a time, and some room for health checks and an ended one that lingers. */
  maxConnections?: number;
  /** A guest that starts does not listen yet: the first words to it wait this long. */
  startMs?: number;
};

const dialMs = 5_000; // loopback: longer means that the guest's accept queue is full
const againMs = 100;

export function serveDialer({
  listen,
  port = guestPort,
  maxConnections = 16,
  startMs = 5_000,
}: Dialer): Promise<Server> {
  let open = 0;
  const server = createServer((near) => {
    if (open >= maxConnections) {
      refuse(near, 503, 'guest-busy', `${maxConnections} connections to the guest are open already`);
      return;
    }
    open += 1;
    near.once('close', () => {
      open -= 1;
    });
    join(near, port, Date.now() + startMs);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen, () => resolve(server));
  });
}

function join(near: Socket, port: number, until: number): void {
  near.pause(); // nothing is read from the caller before there is somebody to give it to
  const far = dial({ host: '127.0.0.1', port });
  let joined = false;
  far.setTimeout(dialMs, () => far.destroy(new Error(`no answer within ${dialMs} ms`)));
  far.once('connect', () => {
    joined = true;
    far.setTimeout(0);
    near.pipe(far);
    far.pipe(near);
  });
  const ended = (): void => void far.destroy();
  near.on('error', ended);
  near.once('close', ended);
  far.once('error', (error) => {
    if (joined) return void near.destroy();
    near.off('error', ended).off('close', ended);
    if (reason(error) === 'ECONNREFUSED' && Date.now() < until && !near.destroyed) {
      near.once('error', ended); // nobody listens to it in between
      setTimeout(() => {
        near.off('error', ended);
        join(near, port, until);
      }, againMs);
    } else refuse(near, 502, 'no-guest', `the guest does not answer on 127.0.0.1:${port} (${reason(error)})`);
  });
  // A guest that ended leaves its last bytes in the pipe: `end` sends them on. A caller that went away wants nothing more.
  far.once('close', () => {
    if (joined) near.end();
  });
}

const reason = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.message;

/** The caller speaks HTTP, so the refusal does too: never a silent close. */
function refuse(near: Socket, status: 502 | 503, code: string, message: string): void {
  const body = JSON.stringify({ error: { message, type: 'holdfast_dialer', code, param: null } });
  near.on('error', () => {}); // a caller that left before its refusal wants none
  near.resume(); // unread bytes would turn the close into a reset and lose the answer
  near.end(
    `HTTP/1.1 ${status} ${status === 502 ? 'Bad Gateway' : 'Service Unavailable'}\r\n` +
      'content-type: application/json\r\nconnection: close\r\n' +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
