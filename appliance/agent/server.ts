/** The guest contract of the built-in agent: `POST /v1/chat/completions`, streaming or not, and `GET /health`. processes/agent.ts listens; the gateway asks through the dialer. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { asErrorObject, Failure } from './failure.ts';
import type { Message } from './model.ts';
import { runTurn, type Settings } from './turn.ts';

const maxBodyBytes = 4 * 1024 * 1024; // a long conversation; the gateway sends less
const beatMs = 10_000; // a comment while a tool waits, so that nobody between takes silence for death

export function createAgent(settings: Settings): Server {
  return createServer((req, res) => {
    const gone = new AbortController();
    res.on('close', () => {
      if (!res.writableFinished) gone.abort();
    });
    answer(settings, req, res, gone.signal).catch((error: unknown) => {
      if (!gone.signal.aborted) fail(res, error);
    });
  });
}

async function answer(
  settings: Settings,
  req: IncomingMessage,
  res: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  if (req.method === 'GET' && req.url === '/health')
    return json(res, 200, { ok: true, agent: settings.agent });
  if (req.method !== 'POST' || req.url !== '/v1/chat/completions') {
    throw new Failure('no-route', 404, 'this agent answers POST /v1/chat/completions and GET /health');
  }
  const asked = parse(await readBody(req));
  const id = `chatcmpl-${crypto.randomUUID()}`;
  const head = { id, created: Math.floor(Date.now() / 1000), model: settings.agent };
  if (!asked.stream) {
    let text = '';
    const finish = await runTurn(settings, {
      messages: asked.messages,
      signal,
      onText: (more) => {
        text += more;
      },
    });
    const message = { role: 'assistant', content: text };
    return json(res, 200, {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: finish }],
    });
  }
  const send = (delta: object, finish: string | null): void => {
    const chunk = {
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason: finish }],
    };
    event(res, JSON.stringify(chunk));
  };
  const beat = setInterval(() => open(res).write(': at work\n\n'), beatMs);
  try {
    const finish = await runTurn(settings, {
      messages: asked.messages,
      signal,
      onText: (text) => send({ content: text }, null),
    });
    send({}, finish);
    event(res, '[DONE]');
    res.end();
  } finally {
    clearInterval(beat);
  }
}

/** The head waits for the first event, so that a failure before it has an HTTP status of its own. */
function open(res: ServerResponse): ServerResponse {
  if (!res.headersSent)
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  return res;
}

const event = (res: ServerResponse, data: string): void => {
  open(res).write(`data: ${data}\n\n`);
};

const json = (res: ServerResponse, status: number, value: unknown): void => {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
};

/** After the head a failure is an event in the stream, and never followed by `[DONE]`: that would be a false end. */
function fail(res: ServerResponse, error: unknown): void {
  if (!(error instanceof Failure)) process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  const object = asErrorObject(error);
  if (res.headersSent) {
    event(res, JSON.stringify(object));
    res.end();
  } else {
    json(res, error instanceof Failure ? error.status : 500, object);
  }
}

async function readBody(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes)
      throw new Failure('too-large', 413, `the request is over ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

// Parsed by hand: the schema library would be a third of an idle agent's memory.
function parse(body: string): { messages: Message[]; stream: boolean } {
  let value: { messages?: unknown; stream?: unknown };
  try {
    value = JSON.parse(body) as typeof value;
  } catch {
    throw new Failure('bad-request', 400, 'the request is not JSON');
  }
  if (!Array.isArray(value?.messages) || value.messages.length === 0) {
    throw new Failure('bad-request', 400, 'messages must be a list that is not empty');
  }
  return { messages: value.messages.map(message), stream: value.stream === true };
}

function message(value: unknown, at: number): Message {
  const { role, content } = (value ?? {}) as { role?: unknown; content?: unknown };
  if (role !== 'system' && role !== 'user' && role !== 'assistant') {
    throw new Failure('bad-request', 400, `messages[${at}].role must be system, user or assistant`);
  }
  return { role, content: textOf(content, at) };
}

function textOf(content: unknown, at: number): string {
  if (typeof content === 'string') return content;
  if (Array.isArray(content)) {
    const texts = content.map((part) => (part as { text?: unknown } | null)?.text);
    if (texts.every((text) => typeof text === 'string')) return texts.join('');
  }
  throw new Failure('bad-request', 400, `messages[${at}].content must be text`);
}
