/** A provider's answer on its way to the agent: checked, decoded where needed, scrubbed, with backpressure. Called by proxy.ts after the dial. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { pipeline, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { Secret } from '../../secret.ts';
import { type Denial, deny } from '../denial.ts';
import { createScrub } from '../keys/scrub.ts';
import type { Provider } from '../kinds/kind.ts';
import { createUsage, type Tokens } from './usage.ts';

export type Passed = {
  bytesIn: number;
  firstByteMs?: number;
  tokens?: Tokens;
  /** The provider sent the key back, and it was masked. */
  keyEchoed?: true;
  /** Why the answer did not come to its end, on whichever side. */
  cut?: unknown;
};

type Answer = Pick<Dispatcher.ResponseData, 'statusCode' | 'headers' | 'body'>;

/** Of this connection, not of the answer (RFC 9110, section 7.6.1); a cookie would be state between agent and provider. */
const stays = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'set-cookie',
]);

const decoders: Record<string, () => Transform> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** What must not be passed on at all. The caller destroys the body. */
export function judgeAnswer(answer: Answer, provider: Provider): Denial | undefined {
  if (answer.statusCode >= 300 && answer.statusCode < 400) {
    return deny(
      502,
      'redirect-refused',
      `the provider ${provider.name} answered with a redirect (${answer.statusCode})`,
      `Only its configured address may be dialled. If it has moved, change its baseUrl (now ${provider.baseUrl}).`,
    );
  }
  const encoding = encodingOf(answer);
  if (encoding !== undefined && !decoders[encoding]) {
    return deny(
      502,
      'encoding-refused',
      `the provider ${provider.name} answered in an encoding that was not asked for and cannot be read`,
      'It must answer without content-encoding.',
    );
  }
  return undefined;
}

/**
 * Streams the answer. Where either side ends early the agent's side is destroyed: a cut upstream is a cut downstream, never an
 * end that looks like a short answer.
 */
export async function passAnswer(
  answer: Answer,
  res: ServerResponse,
  secret: Secret | undefined,
  sinceMs: () => number,
): Promise<Passed> {
  const passed: Passed = { bytesIn: 0 };
  const scrub = createScrub(secret?.reveal());
  const usage = createUsage();
  try {
    const decoder = decoders[encodingOf(answer) ?? '']?.();
    res.writeHead(answer.statusCode, headersOf(answer, secret, decoder !== undefined));
    res.flushHeaders();
    // The loop sees what fails; the callback keeps it from being an unhandled fault besides.
    const source = decoder ? pipeline(answer.body, decoder, () => {}) : answer.body;
    for await (const chunk of source as AsyncIterable<Buffer>) {
      passed.firstByteMs ??= sinceMs();
      passed.bytesIn += chunk.length;
      usage.see(chunk);
      await write(res, scrub.push(chunk));
    }
    await write(res, scrub.end());
    res.end();
  } catch (error) {
    passed.cut = error;
    res.destroy();
  }
  const tokens = usage.tokens();
  if (tokens) passed.tokens = tokens;
  if (scrub.found()) passed.keyEchoed = true;
  return passed;
}

/** Resolves when more may be written; rejects when the agent is gone. */
async function write(res: ServerResponse, bytes: Buffer): Promise<void> {
  if (bytes.length === 0) return;
  if (res.destroyed) throw new Error('the agent is gone');
  if (res.write(bytes)) return;
  const closed = new AbortController();
  const onClose = (): void => closed.abort();
  res.once('close', onClose);
  try {
    await once(res, 'drain', { signal: closed.signal });
  } finally {
    res.off('close', onClose);
  }
}

function encodingOf(answer: Answer): string | undefined {
  const encoding = String(answer.headers['content-encoding'] ?? 'identity').toLowerCase();
  return encoding === 'identity' ? undefined : encoding;
}

function headersOf(
  answer: Answer,
  secret: Secret | undefined,
  decoded: boolean,
): NodeJS.Dict<string | string[]> {
  const key = secret?.reveal();
  const scrubbed = (value: string): string => (key ? value.replaceAll(key, '*'.repeat(key.length)) : value);
  return Object.fromEntries(
    Object.entries(answer.headers).flatMap(([name, value]) => {
      if (value === undefined || stays.has(name)) return [];
      if (decoded && (name === 'content-encoding' || name === 'content-length')) return [];
      return [[name, Array.isArray(value) ? value.map(scrubbed) : scrubbed(value)]];
    }),
  );
}
