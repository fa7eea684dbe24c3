/** The far end of the llm bench's streams, a process of its own: OpenAI chat streams that are paced, or 5 MB long, or never end, by the model's name; and who went away when. */
import { createServer, type ServerResponse } from 'node:http';

const events = 100;
const gapMs = 20;
const chunkBytes = 1000;
const bigChunks = 5000;

/** hrtime is CLOCK_MONOTONIC, the same in every process of this machine. */
const nowNs = (): string => String(process.hrtime.bigint());

const gone = new Map<string, string>();

const event = (content: string): string =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-bench',
    object: 'chat.completion.chunk',
    created: 1_750_000_000,
    model: 'bench',
    choices: [{ index: 0, delta: { content }, logprobs: null, finish_reason: null }],
  })}\n\n`;

const end = `${event('').replace('"finish_reason":null', '"finish_reason":"stop"')}data: [DONE]\n\n`;

async function paced(res: ServerResponse): Promise<void> {
  for (let sent = 0; sent < events && !res.destroyed; sent += 1) {
    await new Promise((resolve) => setTimeout(resolve, gapMs));
    res.write(event(`@${nowNs()}@`));
  }
  res.end(end);
}

async function big(res: ServerResponse): Promise<void> {
  const chunk = event('x'.repeat(chunkBytes));
  for (let sent = 0; sent < bigChunks && !res.destroyed; sent += 1) {
    if (!res.write(chunk)) {
      await new Promise<void>((resolve) => {
        const go = (): void => {
          res.off('drain', go).off('close', go);
          resolve();
        };
        res.once('drain', go).once('close', go);
      });
    }
  }
  res.end(end);
}

const server = createServer((req, res) => {
  if (req.url === '/gone') return void res.end(JSON.stringify(Object.fromEntries(gone)));
  let body = '';
  req.setEncoding('utf8');
  req.on('data', (text: string) => {
    body += text;
  });
  req.on('end', () => {
    const number = /number (\d+)/.exec(body)?.[1] ?? '';
    res.on('error', () => {});
    res.on('close', () => {
      if (!res.writableFinished) gone.set(number, nowNs());
    });
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.socket?.setNoDelay(true);
    const [how] = /bench-(paced|big|endless)/.exec(body)?.slice(1) ?? [];
    if (how === 'big') void big(res);
    else if (how === 'endless') res.write(event('first'));
    else void paced(res);
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0 })}\n`);
});
