/** A writer under load is killed at a random moment, again and again: no line that it was promised is lost. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Head, walk } from '../../../proxies/ledger/chain.ts';
import { ledgerFile } from './file.ts';

test('no acknowledged line is lost by SIGKILL, however often', async (t) => {
  const path = ledgerFile(t);
  const promised = new Map<number, string>();
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'writer.ts'), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    while (out.length < 20_000 + round * 13_337) await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    for (const line of out.split('\n').slice(0, -1)) {
      const [seq, hash] = line.split(' ');
      promised.set(Number(seq), hash ?? '');
    }
  }
  assert.ok(promised.size > 1000, 'control: the writer was under load');

  const heads: Head[] = [];
  const file = await open(path);
  const seen = await walk(file, (head) => heads.push(head));
  await file.close();
  assert.ok(seen.ok, JSON.stringify(seen));
  const found = new Map(heads.map(({ seq, hash }) => [seq, hash]));
  const lost = [...promised].filter(([seq, hash]) => found.get(seq) !== hash);
  assert.deepEqual(lost, []);
});
