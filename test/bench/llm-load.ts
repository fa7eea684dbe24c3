/** The near end of the llm bench, a process of its own: a raw HTTP/1.1 client on kept connections, so that it costs little beside what is measured. Argument: a Job as JSON; prints what it saw. */
import { connect, type Socket } from 'node:net';

export type Job = {
  kind: 'whole' | 'paced' | 'flood' | 'abort';
  port: number;
  headers: Record<string, string>;
  model: string;
  connections: number;
  /** In all. Of flood and paced: one on each connection. */
  requests: number;
  /** About; each request has a number of its own in its last message, so that no two are the same. */
  bodyBytes: number;
  /** The first number. */
  from: number;
};

export type Seen = {
  p50Us: number;
  p99Us: number;
  seconds: number;
  bad: number;
  abortedNs?: Record<string, string>;
};

const job = JSON.parse(process.argv[2] ?? '{}') as Job;

/** A conversation as an agent sends it: messages of 4 kB at most, the last with a number. */
function bodyOf(number: number): Buffer {
  const messages: { role: string; content: string }[] = [{ role: 'system', content: 'You are terse.' }];
  const last = { role: 'user', content: `This is request number ${String(number).padStart(9, '0')}.` };
  const shell = JSON.stringify({
    model: job.model,
    messages: [...messages, last],
    stream: true,
    max_tokens: 256,
  });
  for (let left = job.bodyBytes - shell.length; left > 0; left -= 4096) {
    messages.push({
      role: messages.length % 2 === 1 ? 'user' : 'assistant',
      content: `${messages.length} ${'lorem ipsum '.repeat(400)}`.slice(
        0,
        Math.max(1, Math.min(left, 4096) - 40),
      ),
    });
  }
  const stream = job.kind !== 'whole';
  return Buffer.from(
    JSON.stringify({ model: job.model, messages: [...messages, last], stream, max_tokens: 256 }),
  );
}

const head = (length: number): string =>
  [
    'POST /v1/chat/completions HTTP/1.1',
    `host: 127.0.0.1:${job.port}`,
    'content-type: application/json',
    'authorization: Bearer placeholder',
    ...Object.entries(job.headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${length}`,
    '\r\n',
  ].join('\r\n');

// The body is built once; only the digits of its number change.
const template = bodyOf(job.from);
const request = Buffer.concat([Buffer.from(head(template.length)), template]);
const digitsAt = request.lastIndexOf('number ') + 'number '.length;
function numbered(number: number): Buffer {
  const copy = Buffer.from(request);
  copy.write(String(number).padStart(9, '0'), digitsAt, 'latin1');
  return copy;
}

const opened = (): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ port: job.port, host: '127.0.0.1', noDelay: true }, () => resolve(socket));
    socket.once('error', reject);
  });

let bad = 0;

/** One request and its whole answer, by content-length or chunked. */
function ask(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    let had: Buffer = Buffer.alloc(0);
    let need = -1;
    const onData = (chunk: Buffer): void => {
      had = had.length === 0 ? chunk : Buffer.concat([had, chunk]);
      if (need === -1) {
        const end = had.indexOf('\r\n\r\n');
        if (end === -1) return;
        const headers = had.toString('latin1', 0, end).toLowerCase();
        if (!headers.startsWith('http/1.1 200')) bad += 1;
        const length = /content-length: (\d+)/.exec(headers)?.[1];
        need = length === undefined ? 0 : end + 4 + Number(length);
      }
      const done = need > 0 ? had.length >= need : had.subarray(-5).equals(Buffer.from('0\r\n\r\n'));
      if (!done) return;
      socket.off('data', onData);
      socket.off('close', onClose);
      resolve();
    };
    const onClose = (): void => reject(new Error('the connection was closed'));
    socket.on('data', onData);
    socket.once('close', onClose);
    socket.write(bytes);
  });
}

const us = (from: bigint): number => Number(process.hrtime.bigint() - from) / 1000;

async function whole(): Promise<number[]> {
  const times: number[] = [];
  let next = job.from;
  const end = job.from + job.requests;
  const work = async (): Promise<void> => {
    const socket = await opened();
    while (next < end) {
      const bytes = numbered(next++);
      const from = process.hrtime.bigint();
      await ask(socket, bytes);
      times.push(us(from));
    }
    socket.destroy();
  };
  await Promise.all(Array.from({ length: job.connections }, work));
  return times;
}

/** How long each event was under way: its sender wrote the time into it. */
async function paced(): Promise<number[]> {
  const times: number[] = [];
  const one = async (number: number): Promise<void> => {
    const socket = await opened();
    let tail = '';
    await new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        const at = process.hrtime.bigint();
        const text = tail + chunk.toString('latin1');
        let done = 0;
        for (const found of text.matchAll(/@(\d+)@/g)) {
          times.push(Number(at - BigInt(found[1] ?? 0)) / 1000);
          done = found.index + found[0].length;
        }
        tail = text.slice(done).slice(-4096);
        if (text.includes('[DONE]')) resolve();
      });
      socket.once('close', () => resolve());
      socket.write(numbered(number));
    });
    socket.destroy();
  };
  await Promise.all(Array.from({ length: job.connections }, (_, at) => one(job.from + at)));
  if (times.length < job.connections * 100) bad += job.connections * 100 - times.length;
  return times;
}

/** All streams at once, each read in small sips, so that all are in flight together; then to their end. */
async function flood(): Promise<number[]> {
  const sipMs = 25;
  const sipBytes = 64 * 1024;
  const one = async (number: number): Promise<number> => {
    const socket = await opened();
    const from = process.hrtime.bigint();
    let had = 0;
    let tail = '';
    await new Promise<void>((resolve) => {
      let sip = 0;
      socket.on('data', (chunk: Buffer) => {
        had += chunk.length;
        sip += chunk.length;
        tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - 64))).slice(-64);
        if (tail.includes('[DONE]')) return resolve();
        if (sip < sipBytes) return;
        sip = 0;
        socket.pause();
        setTimeout(() => socket.resume(), sipMs);
      });
      socket.once('close', () => resolve());
      socket.write(numbered(number));
    });
    socket.destroy();
    if (had < 5_000_000) bad += 1;
    return us(from);
  };
  return Promise.all(Array.from({ length: job.connections }, (_, at) => one(job.from + at)));
}

/** Leaves each stream after its first event. The sender says when it noticed. */
async function abort(): Promise<Record<string, string>> {
  const aborted: Record<string, string> = {};
  for (let at = 0; at < job.requests; at += 1) {
    const number = job.from + at;
    const socket = await opened();
    socket.write(numbered(number));
    await new Promise<void>((resolve) => {
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (text.includes('first')) resolve();
      });
      socket.once('close', () => resolve());
    });
    aborted[String(number).padStart(9, '0')] = String(process.hrtime.bigint());
    socket.destroy();
  }
  return aborted;
}

const from = process.hrtime.bigint();
const abortedNs = job.kind === 'abort' ? await abort() : undefined;
const times =
  job.kind === 'whole'
    ? await whole()
    : job.kind === 'paced'
      ? await paced()
      : job.kind === 'flood'
        ? await flood()
        : [];
const seconds = us(from) / 1e6;
times.sort((a, b) => a - b);
const at = (share: number): number => times[Math.floor(times.length * share)] ?? 0;
const seen: Seen = { p50Us: at(0.5), p99Us: at(0.99), seconds, bad, ...(abortedNs ? { abortedNs } : {}) };
process.stdout.write(JSON.stringify(seen));
