/** The controller: the operator's pages on its one TCP door, and the sockets on which others ask, the CLI decides and the gateway checks sessions. Composition only. */
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { z } from 'zod';
import { openLedger } from '../../proxies/ledger/ledger.ts';
import { tailLedger } from '../../proxies/ledger/tail.ts';
import { signApproval } from '../../sandbox/approval.ts';
import { createInbox } from '../approvals/inbox.ts';
import { approvalTable } from '../approvals/rows.ts';
import { createActs, type RecordAct, told } from '../controller/acts.ts';
import { createApp } from '../controller/app.ts';
import { askRoutes } from '../controller/ask.ts';
import { backoffTable, createBackoff } from '../controller/backoff.ts';
import { createChatCodes } from '../controller/chatcode.ts';
import { createConfiguration } from '../controller/configuration.ts';
import { decideRoutes } from '../controller/decide.ts';
import { originsOf } from '../controller/headers.ts';
import { createKeeper } from '../controller/keeper.ts';
import { approvalKeys } from '../controller/keys.ts';
import { createLauncher } from '../controller/launcher.ts';
import { createOperator, operatorTable } from '../controller/operator.ts';
import { ledgerFiles, tailOptions } from '../controller/pages/exchanges.ts';
import { createSessions, sessionTable } from '../controller/session.ts';
import { sessionRoutes } from '../controller/session-control.ts';
import { createSetupCode, setupCodeTable } from '../controller/setupcode.ts';
import { openDatabase } from '../database.ts';
import { readStanding } from '../models/standing.ts';
import { Problem } from '../problem.ts';
import { attend } from '../process.ts';
import { serve } from '../socket.ts';

const partSchema = z.strictObject({
  instance: z.string().describe('8 hex of the home, as on every cgroup and container'),
  mode: z.enum(['root', 'user']),
  controllerPort: z.int().describe('of 127.0.0.1, where these pages are'),
  chatPort: z.int().describe('of localhost, where the chat is'),
  agents: z.array(z.string()),
  waitSeconds: z.int().min(1).describe('how long a question waits for a yes'),
  providers: z.array(
    z.strictObject({ name: z.string(), kind: z.string(), hasKey: z.boolean(), login: z.boolean() }),
  ),
  version: z.string().optional().describe('digest of the whole configuration'),
});

function parsePart(part: unknown): z.infer<typeof partSchema> {
  const parsed = partSchema.safeParse(part);
  if (parsed.success) return parsed.data;
  throw new Problem(
    'bad-part',
    422,
    'controller does not understand its part',
    z.prettifyError(parsed.error),
  );
}

const here = attend();
let part = parsePart(here.part());
here.onConfig((next) => {
  part = parsePart(next);
});

const now = Date.now;
// In this order for ever: openDatabase counts them.
const db = openDatabase(here.home('controller/controller.sqlite'), [
  operatorTable,
  setupCodeTable,
  backoffTable,
  sessionTable,
  approvalTable,
]);
const keys = approvalKeys(here.home('secrets/controller/approvals.pem'), here.home('keys/approvals.pub.pem'));
const ledger = createActs(
  await openLedger({ path: here.home('audit/acts.jsonl'), archive: here.home('audit/acts') }),
);
/** On record first; then what changed something is said to the operator in words as well. */
const record: RecordAct = async (act) => {
  await ledger(act);
  const sentence = told(act);
  if (sentence !== undefined) here.trail('changelog', sentence);
};
const keeper = createKeeper({ trip: here.socket('trip'), rearm: here.socket('rearm') });
const launcher = createLauncher(here.socket('launch'));
const sessions = createSessions(db, now);
const chatCodes = createChatCodes(now);
// The launcher knows this line, shows the code on the terminal and keeps it in no file.
const setupCode = createSetupCode(db, (code) => here.log.info('setup code', { setupCode: code }));
const operator = createOperator(db, setupCode, createBackoff(db, now), now);
const inbox = createInbox({
  db,
  now,
  waitMs: () => part.waitSeconds * 1000,
  arming: keeper.arming,
  sign: (fields) => signApproval(keys.privateKey, fields),
  record,
});
const app = createApp({
  machine: part.instance, // in a view the machine has no name of its own
  origins: originsOf({ controller: part.controllerPort, chat: part.chatPort }),
  operator,
  sessions,
  chatCodes,
  inbox,
  keeper,
  launcher,
  record,
  providers: () => part.providers,
  models: () => readStanding(here.socket('models')),
  tail: (door, count) => tailLedger(here.home(`audit/${ledgerFiles[door]}`), count, tailOptions[door]),
  now,
});

await serve(here.door('ask'), askRoutes({ inbox, launcher, agents: () => part.agents }));
await serve(here.door('session'), sessionRoutes({ sessions, chatCodes, record }));
const configuration = createConfiguration({ launcher, record });
await serve(
  here.door('decide'),
  decideRoutes({ inbox, keeper, launcher, operator, setupCode, configuration, record, now }),
);

const listener = getRequestListener(app.fetch, {
  overrideGlobalObjects: false,
  // What is no request at all (a broken Host, a broken path) never reaches the app, and is still answered in words.
  errorHandler: () =>
    new Response('This is not a request that the controller understands.\n', { status: 400 }),
});
const server = createServer((req, res) => void listener(req, res));
server.headersTimeout = 5_000;
server.requestTimeout = 15_000; // the largest body is a form
server.keepAliveTimeout = 5_000;
server.maxConnections = 256;
await new Promise<void>((resolve) => server.listen({ fd: here.door('controller').fd }, resolve));

// A code that only a former run has shown helps nobody, so each run without an operator shows its own.
if (!operator.exists()) setupCode.renew();
setInterval(inbox.sweep, 1_000);
await here.ready();
