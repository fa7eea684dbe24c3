/** The bad days of a provider: which there are, and how a stream is written on each. Asked for by the end of a model's name (`practice-cut`), or for all requests. */
import type { ServerResponse } from 'node:http';
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';

/** The longer name comes before one that it ends in. */
export const misbehaviours = [
  'slow',
  'cut',
  'reset',
  'malformed',
  'error',
  'overloaded',
  'redirect',
  'echo-key',
  'echo-key-base64',
  'echo-key-hex',
  'echo-key-percent',
  'hang',
  'silent',
  'gzip',
  'split',
  'crlf',
  'rate-limited',
  'flaky',
  'unauthorized',
  'no-access',
  'usage-missing',
  'big',
] as const;
export type Misbehaviour = (typeof misbehaviours)[number];

export const slowMs = 50;

/** Cut short after as many frames. */
const cutAfter = 3;

/** 5 MB, in pieces of a kilobyte. */
export const bigText = `${'x'.repeat(999)} `.repeat(5000).trimEnd();

export function echoed(how: Misbehaviour, key: string): string {
  const bytes = Buffer.from(key);
  if (how === 'echo-key-base64') return bytes.toString('base64');
  if (how === 'echo-key-hex') return bytes.toString('hex');
  if (how === 'echo-key-percent') return `%${bytes.toString('hex').match(/../g)?.join('%')}`;
  return key;
}

export type Stream = {
  contentType: string;
  frames: string[];
  errorFrame: string;
  how: Misbehaviour | undefined;
  /** What is sent in two writes, so that a filter by chunk misses it. */
  splitAt: string;
  /** Resolves when a silent provider may go on. */
  told: Promise<void>;
};

export async function writeStream(res: ServerResponse, stream: Stream): Promise<void> {
  const { contentType, how, splitAt, told } = stream;
  const frames = [...stream.frames];
  if (how === 'malformed') frames[1] = (frames[1] ?? '').replace(/\}(?=\r?\n)/, '');
  if (how === 'error') frames.splice(2, frames.length, stream.errorFrame);
  if (how === 'overloaded') frames.splice(0, frames.length, stream.errorFrame.replace(/^,\r\n/, '['));
  if (how === 'crlf')
    for (const [at, frame] of frames.entries()) frames[at] = frame.replace(/\r?\n/g, '\r\n');
  const headers = { 'content-type': contentType, 'cache-control': 'no-cache' };
  if (how === 'gzip') {
    res.writeHead(200, { ...headers, 'content-encoding': 'gzip' });
    return void res.end(gzipSync(frames.join('')));
  }
  res.writeHead(200, headers);
  if (how === 'split') return writeSplit(res, Buffer.from(frames.join('')));
  for (const [at, frame] of frames.entries()) {
    if (res.destroyed) return;
    if (at === cutAfter && how === 'cut') return void res.destroy();
    if (at === cutAfter && how === 'reset') return reset(res);
    if (at === cutAfter && how === 'silent') await told;
    const found = splitAt === '' ? -1 : frame.indexOf(splitAt);
    const middle = found < 0 ? 0 : found + Math.floor(splitAt.length / 2);
    if (middle > 0) res.write(frame.slice(0, middle));
    if (how === 'slow' || how === 'cut' || how === 'reset' || middle > 0) await wait(slowMs);
    if (!res.write(frame.slice(middle))) await room(res);
  }
  res.end();
}

/** Byte by byte at first, so that every boundary of a character and of an event is split; then in pieces of a prime length. */
async function writeSplit(res: ServerResponse, bytes: Buffer): Promise<void> {
  res.socket?.setNoDelay(true);
  for (let at = 0; at < bytes.length; ) {
    if (res.destroyed) return;
    const next = at + (at < 2048 ? 1 : 61);
    if (!res.write(bytes.subarray(at, next))) await room(res);
    await turn();
    at = next;
  }
  res.end();
}

/** A TCP reset: what a crashed host or a firewall sends. */
export function reset(res: ServerResponse): void {
  res.socket?.resetAndDestroy();
}

/** When the client reads on, or has gone. */
function room(res: ServerResponse): Promise<void> {
  return new Promise((done) => {
    const settle = (): void => {
      res.off('drain', settle);
      res.off('close', settle);
      done();
    };
    res.once('drain', settle);
    res.once('close', settle);
  });
}
