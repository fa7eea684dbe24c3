/** What the ledger does in a second, for the llm bench: 64 writers with durable promises, verification, and the disk's own fdatasync. */
import { closeSync, fdatasyncSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { verifyLedger } from '../../proxies/ledger/chain.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';

export type LedgerFigures = { ledgerPerS: number; verifyPerS: number; fdatasyncP50Ms: number };

const writers = 64;
const runMs = 3000;
const syncs = 300;

/** The folder is on the disk that counts. Lines are like an egress or llm line without its blobs: about 700 bytes. */
export async function measureLedger(folder: string): Promise<LedgerFigures> {
  const path = join(folder, 'bench.jsonl');
  const archive = join(folder, 'bench');
  writeFileSync(path, '');
  mkdirSync(archive, { recursive: true });
  const ledger = await openLedger({ path, archive });
  const headers = { 'user-agent': 'x'.repeat(300), accept: 'application/json' };
  let count = 0;
  const began = performance.now();
  const writer = async (): Promise<void> => {
    while (performance.now() - began < runMs) {
      await ledger.append({
        kind: 'request',
        id: `01920000-0000-7000-8000-${count}`,
        agent: 'main',
        door: 'llm',
        asked: 'gpt-5',
        provider: 'openai',
        model: 'gpt-5',
        method: 'POST',
        path: '/v1/chat/completions',
        bytes: 2048,
        headers,
        reserved: { usdNano: 1_250_000, tokens: 16_384, day: '2026-11-21', month: '2026-11' },
      });
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
  const writtenMs = performance.now() - began;
  await ledger.close();

  const verifyBegan = performance.now();
  const verified = await verifyLedger(path);
  const verifiedMs = performance.now() - verifyBegan;
  if (!verified.ok) throw new Error(`line ${verified.line}: ${verified.why}`);
  return {
    ledgerPerS: Math.round((count / writtenMs) * 1000),
    verifyPerS: Math.round((verified.count / verifiedMs) * 1000),
    fdatasyncP50Ms: fdatasyncP50(join(folder, 'fdatasync')),
  };
}

/** A page appended and synced, as the smallest batch is. */
function fdatasyncP50(path: string): number {
  const fd = openSync(path, 'w');
  const page = Buffer.alloc(4096, 'x');
  const took = Array.from({ length: syncs }, () => {
    const began = performance.now();
    writeSync(fd, page);
    fdatasyncSync(fd);
    return performance.now() - began;
  }).sort((a, b) => a - b);
  closeSync(fd);
  return Math.round((took[syncs / 2] ?? 0) * 1000) / 1000;
}
