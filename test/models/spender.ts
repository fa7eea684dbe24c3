/** A process that reserves, records and settles without pause, through real books. books.test.ts kills it. Arguments: the folder, the bytes of a segment, and the agents. */
import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { openTestBooks, recorded, requested } from './booksof.ts';

const [folder = '', segmentBytes, ...agents] = process.argv.slice(2);
const books = await openTestBooks(folder, { segmentBytes: Number(segmentBytes) });

const one = async (agent: string, turn: number): Promise<void> => {
  const spend = books.spend(agent);
  const { id, reservation } = await requested(books, agent, `${agent} asks ${turn % 7}`);
  const kind = turn % 5;
  if (kind === 4) await new Promise((resolve) => setTimeout(resolve, 3));
  const cost = spend.settle(reservation, {
    // One in five was not counted, and one in five never left.
    usdNano: kind === 1 ? null : 1_000_000 + turn,
    tokens: kind === 1 ? null : 10 + turn,
    sent: kind !== 2,
  });
  // Nobody waits for an outcome; the kill comes before some of them.
  const told = recorded(books, `answer ${randomUUID()}`, { kind: 'outcome', id, agent, cost }, 5);
  if (kind === 3) await told;
  process.stdout.write('.');
};

const worker = async (agent: string, nth: number): Promise<never> => {
  for (let turn = nth; ; turn += 1) await one(agent, turn);
};
await Promise.all(agents.flatMap((agent) => [0, 100, 200].map((nth) => worker(agent, nth)))).catch(
  (error: unknown) => {
    appendFileSync(join(folder, 'fault'), String(error));
    throw error;
  },
);
