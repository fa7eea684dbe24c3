/** decide.sock: the operator's own CLI, by the file mode of the socket. It decides, re-arms, changes agents and applies the configuration; every act is on record first. */
import { z } from 'zod';
import type { Inbox } from '../approvals/inbox.ts';
import { Problem } from '../problem.ts';
import type { Routes } from '../socket.ts';
import type { RecordAct } from './acts.ts';
import { pendingJson } from './ask.ts';
import { parsed } from './boundary.ts';
import type { Configuration } from './configuration.ts';
import type { Keeper } from './keeper.ts';
import type { Launcher } from './launcher.ts';
import type { Operator } from './operator.ts';
import type { SetupCode } from './setupcode.ts';
import { sentence, standing } from './standing.ts';

const decisionSchema = z.strictObject({ decision: z.enum(['yes', 'no']) });
const rearmSchema = z.strictObject({ reason: z.string().trim().min(3).max(500) });
const text = z
  .string()
  .max(1024 * 1024)
  .optional()
  .describe('the configuration file as the CLI read it; left out, the launcher gives it');
const applySchema = z.strictObject({ text }).prefault({});
const addSchema = z.strictObject({ name: z.string().max(64), text });
const rate = z.number().min(0).max(1_000_000);
const priceSchema = z.strictObject({
  provider: z.string().min(1).max(70),
  model: z.string().min(1).max(200),
  price: z.union([
    z.strictObject({ free: z.literal(true) }),
    z.strictObject({
      inputUsdPerMillion: rate,
      outputUsdPerMillion: rate,
      cachedUsdPerMillion: rate.optional(),
    }),
  ]),
  text,
});
const removeSchema = z.strictObject({ text }).prefault({});

export type DecideParts = {
  inbox: Inbox;
  keeper: Keeper;
  launcher: Launcher;
  operator: Operator;
  setupCode: SetupCode;
  configuration: Configuration;
  record: RecordAct;
  now: () => number;
};

const cli = { by: 'operator', from: 'cli' } as const;

export function decideRoutes(parts: DecideParts): Routes {
  const { inbox, keeper, operator, setupCode, configuration, record } = parts;
  return {
    /** The launcher's status where there is one, and beside it what the overview says. */
    'GET /status': async () => {
      const now = await standing(parts, parts.now);
      const { state, reason, sinceMs } = now.arming;
      return {
        ...(now.seen.status ?? { unreachable: now.seen.why }),
        state,
        reason,
        since: sinceMs === null ? null : new Date(sinceMs).toISOString(),
        sentence: sentence(now),
        operator: operator.exists(),
        pending: now.pending.map(pendingJson),
      };
    },
    'GET /approvals': () => inbox.pending().map(pendingJson),
    'POST /approvals/:id': async ({ params, body }) => {
      const { decision } = parsed(decisionSchema, body);
      const id = params.id ?? '';
      const verdict = await (decision === 'yes' ? inbox.approve(id, cli) : inbox.deny(id, cli));
      if (!verdict.allow) throw new Problem('not-decided', 409, verdict.reason, verdict.hint);
      return { id, state: decision === 'yes' ? 'approved' : 'denied' };
    },
    'POST /rearm': async ({ body }) => {
      const { reason } = parsed(rearmSchema, body);
      if ((await keeper.arming()).state !== 'killed') {
        throw new Problem('not-killed', 409, 'nothing is killed', 'There is nothing to re-arm.');
      }
      await record({ act: 'rearm', ...cli, reason });
      return keeper.rearm(reason, 'operator (cli)');
    },
    'POST /config/apply': ({ body }) => configuration.apply(parsed(applySchema, body).text),
    'POST /agents': ({ body }) => {
      const { name, text: given } = parsed(addSchema, body);
      return configuration.addAgent(name, given);
    },
    'DELETE /agents/:name': ({ params, body }) =>
      configuration.removeAgent(params.name ?? '', parsed(removeSchema, body).text),
    'POST /prices': ({ body }) => {
      const { provider, model, price, text: given } = parsed(priceSchema, body);
      return configuration.setPrice(provider, model, price, given);
    },
    'POST /setup-code': async () => {
      if (operator.exists())
        throw new Problem('operator-exists', 409, 'the operator exists already', 'Log in with the password.');
      await record({ act: 'setup-code', ...cli });
      return { setupCode: setupCode.renew() };
    },
  };
}
