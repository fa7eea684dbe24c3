/** ask.sock: tools asks for approvals and waits; tools and gateway may withdraw, deny and look. Nothing here can say yes: that route does not exist. */
import { z } from 'zod';
import { jobSchema } from '../../sandbox/approval.ts';
import type { Approval } from '../approvals/approval.ts';
import type { Answer, Inbox } from '../approvals/inbox.ts';
import { Problem } from '../problem.ts';
import type { Routes } from '../socket.ts';
import { command } from '../view/words.ts';
import { parsed } from './boundary.ts';
import type { Launcher } from './launcher.ts';

const by = z.string().min(1).max(200).describe('who asks or denies, in words; shown, never trusted');

const askSchema = z.strictObject({
  agent: z.string().min(1).max(64).describe('as the door is named'),
  tool: z.string().min(1).max(64),
  job: jobSchema,
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  by,
});
const withdrawSchema = z.strictObject({ why: z.string().min(1).max(500) });
const denySchema = z.strictObject({ by });

/** One long poll; the asker asks again at once. Below the minute at which idle connections are cut here and there. */
const longestPollMs = 55_000;

export function askRoutes(parts: { inbox: Inbox; launcher: Launcher; agents: () => string[] }): Routes {
  const { inbox, launcher, agents } = parts;
  return {
    'POST /approvals': async ({ body }) => {
      const ask = parsed(askSchema, body);
      if (!agents().includes(ask.agent))
        throw new Problem('no-agent', 404, 'there is no such agent', `See \`${command('agent list')}\`.`);
      return answerJson(await inbox.ask(ask));
    },
    'GET /approvals/:id': async ({ params, query, signal }) => {
      const waitMs = Number(query.get('waitMs') ?? 0);
      const bounded = Number.isFinite(waitMs) ? Math.min(Math.max(0, waitMs), longestPollMs) : 0;
      return answerJson(await inbox.wait(params.id ?? '', bounded, signal));
    },
    'DELETE /approvals/:id': ({ params, body }) =>
      answerJson(inbox.withdraw(params.id ?? '', parsed(withdrawSchema, body).why)),
    'POST /approvals/:id/deny': async ({ params, body }) => {
      const decider = { by: parsed(denySchema, body).by, from: 'ask' } as const;
      const verdict = await inbox.deny(params.id ?? '', decider);
      if (!verdict.allow) throw new Problem('not-pending', 409, verdict.reason, verdict.hint);
      return { id: params.id, state: 'denied' };
    },
    'GET /approvals': ({ query }) => inbox.pending(query.get('agent') ?? undefined).map(pendingJson),
    // The gateway may not ask the launcher; the chat says which wall is missing all the same.
    'GET /worlds': async () => (await launcher.status()).status?.worlds ?? [],
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();

const answerJson = ({ expiresAtMs, ...rest }: Answer): unknown => ({ ...rest, expiresAt: iso(expiresAtMs) });

export const pendingJson = ({
  id,
  agent,
  tool,
  script,
  by: asker,
  askedAtMs,
  expiresAtMs,
}: Approval): unknown => ({
  id,
  agent,
  tool,
  script,
  by: asker,
  askedAt: iso(askedAtMs),
  expiresAt: iso(expiresAtMs),
});
