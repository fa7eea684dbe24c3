/** An empty ledger file in a folder of its own, as the installer leaves it: for the tests beside this file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export function ledgerFile(t: TestContext, text: string | Uint8Array = ''): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ledger-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'ledger.jsonl');
  writeFileSync(path, text, { mode: 0o640 });
  return path;
}
