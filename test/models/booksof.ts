/** Books in a folder of a test, and a request on record in them: for books.test.ts and spender.ts. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Books, openBooks } from '../../appliance/models/books.ts';
import { defaultLimits, type Limits } from '../../proxies/llm/spend/limits.ts';
import { priceOf } from '../../proxies/llm/spend/price.ts';
import type { Reservation } from '../../proxies/llm/spend/spend.ts';

const provider = {
  name: 'vendor',
  kind: 'openai' as const,
  baseUrl: 'https://api.example.com',
  price: { inputUsdPerMillion: 1, outputUsdPerMillion: 10 },
};

export function booksFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'hf-books-'));
  mkdirSync(join(folder, 'traffic'));
  writeFileSync(join(folder, 'traffic.jsonl'), '');
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

type Options = {
  segmentBytes?: number;
  limits?: Record<string, Partial<Limits>>;
  warn?(agent: string, percent: number): void;
};

const unlimited: Limits = { ...defaultLimits, usdPerDay: null, auditMbPerDay: null };

export const openTestBooks = (
  folder: string,
  { limits = {}, warn = () => {}, ...size }: Options = {},
): Promise<Books> =>
  openBooks({
    path: join(folder, 'traffic.jsonl'),
    archive: join(folder, 'traffic'),
    ...size,
    limits: {
      main: { ...unlimited, ...limits.main },
      scout: { ...unlimited, ...limits.scout },
    },
    warn,
  });

/** Reserved and on record. Throws where a budget says no. */
export async function requested(
  books: Books,
  agent: string,
  words: string,
): Promise<{ id: string; reservation: Reservation }> {
  const spend = books.spend(agent);
  const price = priceOf(provider, 'm');
  if (!price) throw new Error('it has a price');
  const id = randomUUID();
  const reserved = spend.reserve(id, [
    { provider: 'vendor', model: 'm', price, estimate: { in: 1000 + words.length, out: 500 } },
  ]);
  if ('allow' in reserved) throw new Error(reserved.rule);
  const { usdNano, tokens, window } = reserved.reservation;
  await recorded(books, words, {
    kind: 'request',
    id,
    agent,
    provider: 'vendor',
    model: 'm',
    reserved: { usdNano, tokens, ...window },
  });
  return { id, reservation: reserved.reservation };
}

/** The line, its words before it where they do not stand in the segment yet: as the door records an exchange. */
export const recorded = (
  books: Books,
  words: string,
  line: Record<string, unknown> & { agent: string },
  withinMs?: number,
): Promise<unknown> =>
  books.ledger.group((segment) => {
    const { refs, records } = books.blobs.lines(segment, [Buffer.from(JSON.stringify(words))]);
    const stored = 300 + records.reduce((sum, each) => sum + each.length, 0);
    books.spend(line.agent).stored(stored);
    return [...records, { ...line, parts: refs, stored }];
  }, withinMs);
