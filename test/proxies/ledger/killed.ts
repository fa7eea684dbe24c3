/** Starts a writer, kills it, and says what it had been promised and what of that is lost: for the test of invariant 12 and the drill. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { walkLedger } from '../../../proxies/ledger/chain.ts';

/** seq -> hash, as the writer said it before it was killed. */
export async function killAfter(
  ms: number,
  args: string[],
  program = join(import.meta.dirname, 'writer.ts'),
): Promise<Map<number, string>> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  const ended = once(child, 'close');
  // Counted from its first promise: how long a process takes to start says nothing.
  await Promise.race([once(child.stdout, 'data'), ended]);
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill('SIGKILL');
  await ended;
  if (child.exitCode !== null) throw new Error(`the writer ended by itself with ${child.exitCode}`);
  const promised = new Map<number, string>();
  for (const line of out.split('\n').slice(0, -1)) {
    const [seq, hash] = line.split(' ');
    promised.set(Number(seq), hash ?? '');
  }
  return promised;
}

/** How many promised lines are not where they were promised. Throws where the ledger does not chain. */
export async function lostOf(path: string, promised: ReadonlyMap<number, string>): Promise<number> {
  const open = new Map(promised);
  const seen = await walkLedger(path, ({ seq, hash }) => {
    if (open.get(seq) === hash) open.delete(seq);
  });
  if (!seen.ok) throw new Error(`${seen.file} line ${seen.line}: ${seen.why}`);
  return open.size;
}
