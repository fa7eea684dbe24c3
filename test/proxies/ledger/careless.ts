/** Not a ledger: it promises first and writes later, as a buffered stream does. The control of the tests that kill a writer. Argument: the file. */
import { appendFileSync } from 'node:fs';
import { lineBeginning, lineHash, noHead } from '../../../proxies/ledger/line.ts';

let head = noHead;
let lines = '';
setInterval(() => {
  appendFileSync(process.argv[2] ?? '', lines.slice(0, 64 * 1024));
  lines = lines.slice(64 * 1024);
}, 20);
setInterval(() => {
  for (let count = 0; count < 200; count++) {
    const line = `${lineBeginning(head, new Date().toISOString())},"kind":"load","filler":"${'x'.repeat(1000)}"}`;
    head = { seq: head.seq + 1, hash: lineHash(line) };
    lines += `${line}\n`;
    process.stdout.write(`${head.seq} ${head.hash}\n`);
  }
}, 5);
