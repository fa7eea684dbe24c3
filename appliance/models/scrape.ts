/** Prometheus text on a loopback port, where the owner configured one. Made by processes/llm.ts; the same text is on the `models` socket. */
import { createServer, type Server } from 'node:http';

type Scraped = { type: string; text(): Promise<string> };

/** Loopback names only: a page of somebody else's that resolves to 127.0.0.1 reads nothing here. */
const isLocal = (host: string | undefined): boolean => /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host ?? '');

export function createScrape(metrics: Scraped): Server {
  const server = createServer((req, res) => {
    const say = (status: number, text: string): void => {
      res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
    };
    if (!isLocal(req.headers.host)) return say(421, 'Ask 127.0.0.1 or localhost.');
    if (req.method !== 'GET' || req.url !== '/metrics') return say(404, 'Only GET /metrics is here.');
    metrics.text().then(
      (text) => res.writeHead(200, { 'content-type': metrics.type }).end(text),
      () => say(500, 'The numbers could not be gathered.'),
    );
  });
  server.requestTimeout = 10_000;
  server.maxConnections = 16;
  return server;
}
