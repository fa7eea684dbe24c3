/** A provider's answer on its way to the agent: checked, decoded where needed, scrubbed, read for the record, with backpressure. Called by proxy.ts after the dial. */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { type Denial, deny } from '../denial.ts';
import { createScrub, scrubText } from '../keys/scrub.ts';
import type { FormatName, Provider } from '../kinds/kind.ts';
import type { Answer } from '../route/upstream.ts';
import { cutEvent } from './cut.ts';
import { createUsageFilter } from './usagefilter.ts';

export type Passed = {
  bytesIn: number;
  firstByteMs?: number;
  /** The provider sent the key back, and it was masked. */
  keyEchoed?: true;
  /** Why the answer did not come to its end, on whichever side. */
  cut?: unknown;
};

export type Passing = {
  answer: Answer;
  res: ServerResponse;
  format: FormatName;
  /** What must not reach the agent. */
  secrets: readonly string[];
  /** We asked for usage where the agent had not: take it out again. */
  filterUsage: boolean;
  /** Sees the decoded, scrubbed bytes. */
  read(clean: Buffer): void;
  sinceMs(): number;
  /** Does anybody wait for the slot that this answer keeps? */
  isWanted(): boolean;
  /** For tests. */
  stallMs?: number;
  /** What the agent is told inside a stream that was cut upstream. */
  sayCut(error: unknown): Denial;
};

/** A program that works through what it has read takes seconds; a slot of a shared machine is not held for longer. */
const stallMs = 30_000;
/** For the last words of a stream that was cut. */
const saidMs = 5_000;

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

/** What must not be passed on at all. The caller destroys the answer. */
export function judgeAnswer(
  answer: Pick<Answer, 'status' | 'headers'>,
  provider: Provider,
): Denial | undefined {
  if (answer.status >= 300 && answer.status < 400) {
    return deny(
      502,
      'redirect-refused',
      `the provider ${provider.name} answered with a redirect (${answer.status})`,
      `Only its configured address may be dialled. If it has moved, change its baseUrl (now ${provider.baseUrl}).`,
    );
  }
  const encoding = encodingOf(answer.headers);
  if (encoding !== undefined && !Object.hasOwn(decoders, encoding)) {
    return deny(
      502,
      'encoding-refused',
      `the provider ${provider.name} answered in an encoding that was not asked for and cannot be read`,
      'It must answer without content-encoding.',
    );
  }
  return undefined;
}

export const contentTypeOf = (headers: IncomingHttpHeaders): string => String(headers['content-type'] ?? '');

export const isEncoded = (headers: IncomingHttpHeaders): boolean => encodingOf(headers) !== undefined;

/**
 * Streams the answer. Where either side ends early the agent's side is destroyed: a cut upstream is a cut downstream, never an
 * end that looks like a short answer.
 */
export function passAnswer(passing: Passing): Promise<Passed> {
  const { answer, res, format, secrets, sinceMs } = passing;
  return new Promise((resolve) => {
    const passed: Passed = { bytesIn: 0 };
    const scrub = createScrub(secrets);
    const filter = passing.filterUsage ? createUsageFilter() : undefined;
    const decoder = decoders[encodingOf(answer.headers) ?? '']?.();
    let over = false;
    let stalled: NodeJS.Timeout | undefined;

    const finish = (cut?: unknown): void => {
      if (over) return;
      over = true;
      clearTimeout(stalled);
      res.off('drain', onDrain);
      res.off('close', onClose);
      if (cut !== undefined) {
        passed.cut = cut;
        answer.destroy();
        decoder?.destroy();
      }
      if (scrub.found()) passed.keyEchoed = true;
      resolve(passed);
    };
    const onClose = (): void => {
      if (!res.writableFinished) finish(new Gone());
    };
    /** The agent takes nothing. It may, for as long as nobody else waits for the machine that it keeps. */
    const onFull = (): void => {
      stalled ??= setTimeout(() => {
        stalled = undefined;
        if (!passing.isWanted()) return onFull();
        finish(new Stalled());
        res.destroy();
      }, passing.stallMs ?? stallMs).unref();
    };
    const onDrain = (): void => {
      clearTimeout(stalled);
      stalled = undefined;
      if (decoder) decoder.resume();
      else answer.resume();
    };

    /** Scrubbed; seen for the record; then on to the agent. False when the agent wants no more for now. */
    const deliver = (clean: Buffer): boolean => {
      passing.read(clean);
      const out = filter ? filter.push(clean) : clean;
      if (out.length === 0 || res.write(out)) return true;
      onFull();
      return false;
    };
    const guarded = (chunk: Buffer): boolean => {
      if (over) return true;
      try {
        passed.bytesIn += chunk.length;
        return deliver(scrub.push(chunk));
      } catch (error) {
        cut(error);
        return true;
      }
    };
    const end = (): void => {
      if (over) return;
      try {
        deliver(scrub.end());
        const rest = filter?.end();
        if (rest && rest.length > 0) res.write(rest);
        res.end();
        finish();
      } catch (error) {
        cut(error);
      }
    };
    /** Never an end that looks like one: the error in the stream's own words, then the connection goes. */
    const cut = (error: unknown): void => {
      if (over) return;
      finish(error);
      if (res.destroyed) return;
      const event = isEventful(answer.headers)
        ? cutEvent(format, contentTypeOf(answer.headers), passing.sayCut(error))
        : undefined;
      if (!event) return void res.destroy();
      res.write(event, () => res.destroy());
      setTimeout(() => res.destroy(), saidMs).unref(); // nobody may be there to take it
    };

    res.on('drain', onDrain);
    res.on('close', onClose);
    if (res.destroyed) return finish(new Gone());
    res.writeHead(answer.status, headersOf(answer.headers, passing, decoder !== undefined));
    if (answer.peek().length === 0) res.flushHeaders();
    decoder?.on('data', (chunk: Buffer) => {
      if (!guarded(chunk)) decoder.pause();
    });
    decoder?.on('end', end);
    decoder?.on('error', cut);
    answer.flow({
      data(chunk) {
        passed.firstByteMs ??= sinceMs();
        return decoder ? decoder.write(chunk) : guarded(chunk);
      },
      end: () => (decoder ? decoder.end() : end()),
      error: cut,
    });
    decoder?.on('drain', () => answer.resume());
  });
}

/** The agent read nothing while others waited. */
class Stalled extends Error {
  readonly code = 'agent-stalled';
}

/** The agent went away before the answer's end. */
class Gone extends Error {
  readonly code = 'agent-gone';
}

const isEventful = (headers: IncomingHttpHeaders): boolean => headers['content-length'] === undefined;

function encodingOf(headers: IncomingHttpHeaders): string | undefined {
  const encoding = String(headers['content-encoding'] ?? 'identity').toLowerCase();
  return encoding === 'identity' ? undefined : encoding;
}

function headersOf(
  headers: IncomingHttpHeaders,
  { secrets, filterUsage }: Passing,
  decoded: boolean,
): NodeJS.Dict<string | string[]> {
  const scrubbed = (value: string): string => scrubText(secrets, value);
  const passed: NodeJS.Dict<string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || stays.has(name)) continue;
    if (decoded && name === 'content-encoding') continue;
    if ((decoded || filterUsage) && name === 'content-length') continue;
    passed[name] = Array.isArray(value) ? value.map(scrubbed) : scrubbed(value);
  }
  return passed;
}
