/** The gateway's side of the guest contract, through the dialer's socket. The guest is a hostile server: whatever it sends costs us little, and only text comes through. turn.ts calls it. */
import { type IncomingMessage, request } from 'node:http';
import { Problem } from '../problem.ts';
import { broken, mustBeStream, readStream } from './answer.ts';
import { type GuestLimits, guestLimits } from './limits.ts';

export type ChatMessage = { role: 'user' | 'assistant'; content: string };

export type GuestCall = {
  socketPath: string;
  agent: string;
  messages: ChatMessage[];
  signal: AbortSignal;
  /** True while the agent waits for the operator: silence is then expected. */
  waiting: () => boolean;
  limits?: GuestLimits;
};

/**
 * Yields text as it comes. Returns only when the guest said `[DONE]`; a cut, a refusal, a limit and anything malformed
 * throw a Problem. Leaving the loop or aborting the signal ends the connection, which the guest sees.
 */
export async function* askGuest(given: GuestCall): AsyncGenerator<string> {
  const limits = given.limits ?? guestLimits;
  const exchange = start(given, limits);
  try {
    const res = await exchange.response;
    exchange.progressed();
    await mustBeStream(res, limits);
    yield* readStream(res, limits, exchange.progressed);
  } catch (error) {
    given.signal.throwIfAborted();
    throw asProblem(exchange.failure() ?? error);
  } finally {
    exchange.close();
  }
}

type Exchange = {
  response: Promise<IncomingMessage>;
  progressed: () => void;
  /** Why we ended it ourselves, if we did: the stream's own error says only "aborted". */
  failure: () => Problem | undefined;
  close: () => void;
};

const tickMs = 250;

function start(given: GuestCall, limits: GuestLimits): Exchange {
  let idleMs = 0;
  let totalMs = 0;
  let failure: Problem | undefined;
  const body = JSON.stringify({ model: given.agent, stream: true, messages: given.messages });
  const req = request({
    socketPath: given.socketPath,
    method: 'POST',
    path: '/v1/chat/completions',
    agent: false,
    maxHeaderSize: limits.headerBytes,
    signal: given.signal,
    headers: {
      host: 'guest',
      accept: 'text/event-stream',
      'accept-encoding': 'identity',
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    },
  });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    req.once('response', (res) => {
      res.on('error', () => {}); // whoever reads the body sees it too
      resolve(res);
    });
    req.on('error', reject);
    // 101 without a listener would leave the socket to nobody.
    req.once('upgrade', (_, socket) => {
      socket.destroy();
      reject(broken('it wants to speak another protocol'));
    });
  });
  response.catch(() => {}); // awaited by the caller, unless it was aborted before
  const tick = setInterval(() => {
    if (given.waiting()) {
      idleMs = 0;
      return;
    }
    idleMs += tickMs;
    totalMs += tickMs;
    if (idleMs >= limits.idleMs) failure = tooLong(`it said nothing for ${seconds(limits.idleMs)}`);
    else if (totalMs >= limits.totalMs) failure = tooLong(`it did not end within ${seconds(limits.totalMs)}`);
    if (failure) req.destroy(failure);
  }, tickMs);
  req.end(body);
  return {
    response,
    progressed: () => {
      idleMs = 0;
    },
    failure: () => failure,
    close: () => {
      clearInterval(tick);
      req.destroy();
    },
  };
}

const tooLong = (what: string): Problem =>
  new Problem('guest-timeout', 504, `the agent took too long: ${what}`, 'Look at the state with /status.');

const seconds = (ms: number): string => (ms >= 1000 ? `${Math.round(ms / 1000)} s` : `${ms} ms`);

function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const code = String((error as NodeJS.ErrnoException)?.code ?? '');
  if (code === 'HPE_HEADER_OVERFLOW') return broken('its headers are too large');
  if (code.startsWith('HPE_')) return broken(`it does not speak HTTP (${code})`);
  if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'EACCES') {
    return new Problem(
      'no-world',
      503,
      "the agent's world is not open",
      'It may still be starting. Look at the state with /status.',
      error,
    );
  }
  return new Problem(
    'guest-cut',
    502,
    'the agent ended the connection before its answer',
    'It may have crashed, and is then started again by itself. /status says more.',
    error,
  );
}
