/** What a test asks of a running appliance: requests from inside a world, its ledgers, its process ids, and a far end on the host. */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Appliance, inWorld, statusOf } from './appliance.ts';

export type Line = Record<string, unknown>;

export const lines = (a: Appliance, ledger: string): Line[] =>
  readFileSync(join(a.home, 'audit', ledger), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);

export const pids = async (a: Appliance): Promise<Record<string, number>> =>
  Object.fromEntries((await statusOf(a)).processes.map(({ name, pid }) => [name, pid]));

export type Answer = { status: number; body: string; code: number };

/** curl in an agent's world; `code` is curl's own. */
export async function ask(a: Appliance, agent: string, ...args: string[]): Promise<Answer> {
  const { stdout, code } = await inWorld(a, agent, 'curl', [
    '-s',
    '-m',
    '10',
    '-w',
    '\n%{http_code}',
    ...args,
  ]);
  const at = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(at + 1)), body: stdout.slice(0, at), code };
}

/** One chat completion at the llm door. */
export const chatAt = (words: string, model = 'practice', stream = false): string[] => [
  '-H',
  'content-type: application/json',
  '-d',
  JSON.stringify({ model, stream, messages: [{ role: 'user', content: words }] }),
  'http://127.0.0.1:9090/v1/chat/completions',
];

export const throughProxy = ['--proxy', 'http://127.0.0.1:3128'];

/** A far end that answers `reached`. */
export async function farEnd(t: TestContext): Promise<{ url: string; port: number }> {
  const server = createServer((_, res) => res.end('reached'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, port };
}
