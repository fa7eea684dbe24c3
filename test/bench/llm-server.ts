/** One llm door as a process, composed as appliance/processes/llm.ts does it, with everything on: a ledger on a disk, budgets, prices, scan, scrub, metrics. The llm bench and the tests of its memory start it. Argument: a ServerJob as JSON; prints its port. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBlobs } from '../../proxies/ledger/blobs.ts';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { deny } from '../../proxies/llm/denial.ts';
import { createDoor } from '../../proxies/llm/door.ts';
import type { Provider } from '../../proxies/llm/kinds/kind.ts';
import { createLanes } from '../../proxies/llm/lane.ts';
import { createMetrics } from '../../proxies/llm/metrics.ts';
import { createNotices } from '../../proxies/llm/notices.ts';
import { createLlm } from '../../proxies/llm/proxy.ts';
import { createNodes } from '../../proxies/llm/route/node.ts';
import { createClock } from '../../proxies/llm/spend/clock.ts';
import { defaultLimits } from '../../proxies/llm/spend/limits.ts';
import { createSpend } from '../../proxies/llm/spend/spend.ts';
import { createSpools } from '../../proxies/llm/spool.ts';
import { Secret } from '../../proxies/secret.ts';

export type ServerJob = { folder: string; providers: Provider[] };

const { folder, providers } = JSON.parse(process.argv[2] ?? '{}') as ServerJob;

mkdirSync(join(folder, 'archive'), { recursive: true });
mkdirSync(join(folder, 'spool'), { recursive: true });
const path = join(folder, 'traffic.jsonl');
writeFileSync(path, '', { flag: 'a' });
const blobs = createBlobs();

// Every limit is kept and counted, but so high that a bench does not meet it. Only repeats are off: a load generator's requests
// differ in a number, and who wants them to be seen as the same would count its own answers.
const limits = {
  ...defaultLimits,
  usdPerDay: 1_000_000,
  usdPerMonth: 10_000_000,
  tokensPerDay: 1e12,
  tokensPerMonth: 1e13,
  requestsPerMinute: 100_000_000,
  tokensPerMinute: 1e12,
  roundsPerTurn: 100_000_000,
  auditMbPerDay: 1_000_000,
  repeats: null,
};
const clock = createClock({ wall: Date.now, monotonicMs: () => performance.now() });
const spend = createSpend({ agent: 'bench', limits, clock, warn: () => {} });
const ledger = await openLedger({
  path,
  archive: join(folder, 'archive'),
  visit: (line, segment) => blobs.seen(segment, line),
  carry: () => spend.carry(),
});

const llm = createLlm({
  agent: 'bench',
  providers,
  aliases: {},
  models: { aliases: {} },
  limits,
  keysHeld: true,
  secret: (name) => new Secret(name, 'bench-key-0123456789abcdef'),
  login: () => Promise.resolve(deny(503, 'no-login', 'no login in a bench', 'Give a key.')),
  armed: { now: () => true, state: () => 'armed', onLost: () => () => {} },
  ledger,
  blobs,
  spools: createSpools(join(folder, 'spool')),
  lanes: createLanes(),
  spend,
  nodes: createNodes(),
  metrics: createMetrics(),
  judgeUrl: (url) => deny(403, 'url-refused', `no to ${url}`, 'None in a bench.'),
  turn: () => 'bench-turn',
  notices: createNotices((text) => process.stderr.write(`${text}\n`)),
  log: { error: (text, fields) => process.stderr.write(`${text} ${JSON.stringify(fields)}\n`) },
  now: () => performance.now(),
});

// An exit and no end by the signal itself, so that --cpu-prof writes what it saw.
process.on('SIGINT', () => process.exit(0));
const door = createDoor(llm);
door.listen(0, '127.0.0.1', () => {
  const address = door.address();
  process.stdout.write(`${JSON.stringify({ port: typeof address === 'object' ? address?.port : 0 })}\n`);
});
