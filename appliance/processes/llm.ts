/** The llm process: one llm door for each agent, one ledger, the keys. Started by the launcher; composition only. */
import { createPolicy, type Policy } from '../../proxies/egress/policy.ts';
import { createDoor } from '../../proxies/llm/door.ts';
import { createLanes } from '../../proxies/llm/lane.ts';
import { createLlm } from '../../proxies/llm/proxy.ts';
import { createSpools } from '../../proxies/llm/spool.ts';
import { createUrlJudge } from '../../proxies/llm/urls.ts';
import type { Secret } from '../../proxies/secret.ts';
import { openBooks } from '../models/books.ts';
import { controlRoutes } from '../models/control.ts';
import { createHouse } from '../models/house.ts';
import { readPart, settingsOf } from '../models/part.ts';
import { createScrape } from '../models/scrape.ts';
import { createOpenTurns } from '../models/turns.ts';
import { attend } from '../process.ts';
import { serve } from '../socket.ts';

const here = attend();
let part = readPart(here.part());
const armed = here.lease();

/** Read once for each configuration: a file is not opened for every request. */
let secrets = new Map<string, Secret | undefined>();
const secret = (name: string): Secret | undefined => {
  if (!secrets.has(name)) secrets.set(name, here.secret(name));
  return secrets.get(name);
};

const books = await openBooks({
  path: here.home('audit/traffic.jsonl'),
  archive: here.home('audit/traffic'),
  limits: Object.fromEntries(Object.entries(part.agents).map(([agent, { limits }]) => [agent, limits])),
  warn: (agent, percent, what) => here.trail('report', `${agent} has used ${percent} % of a limit: ${what}`),
});
const house = createHouse({
  part,
  books,
  armed,
  secret,
  loginFolder: here.home('secrets/llm-logins'),
  say: (text, where) => (where === 'report' ? here.trail('report', text) : here.log.error(text)),
});
const turns = createOpenTurns(() => Object.keys(part.agents));
const policies = new Map<string, Policy>();
const spools = createSpools(here.home('llm'));
const lanes = createLanes();

const llms = here.doors('llm.').map(({ fd, rest: agent }) => {
  policies.set(agent, createPolicy(agent, part.agents[agent]?.egress ?? []));
  const llm = createLlm({
    agent,
    ...settingsOf(part, agent),
    secret,
    login: (provider) => house.logins.token(provider),
    armed,
    ledger: books.ledger,
    blobs: books.blobs,
    spools,
    lanes,
    spend: books.spend(agent),
    nodes: house.nodes,
    metrics: house.metrics,
    notices: house.notices,
    judgeUrl: createUrlJudge(() => policies.get(agent) ?? createPolicy(agent, [])),
    turn: () => turns.of(agent),
    log: here.log,
    now: () => performance.now(),
  });
  createDoor(llm).listen({ fd });
  return { agent, llm };
});
house.watch(llms);

await serve(here.door('turns'), turns.routes);
await serve(here.door('models'), controlRoutes(house.control));
for (const { fd } of here.doors('metrics')) createScrape(house.metrics).listen({ fd });

here.onConfig((given) => {
  const next = readPart(given);
  // Everything that can be refused is read before anything changes.
  const read = llms.map(({ agent, llm }) => ({
    agent,
    llm,
    settings: settingsOf(next, agent),
    policy: createPolicy(agent, next.agents[agent]?.egress ?? []),
  }));
  part = next;
  secrets = new Map();
  house.reconfigure(next);
  for (const { agent, llm, settings, policy } of read) {
    policies.set(agent, policy);
    llm.reconfigure(settings);
  }
});

await here.ready();
