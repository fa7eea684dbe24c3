/** Which turn of each agent is open, as the gateway says it on the `turns` socket. The llm process serves it and puts the turn on the record; no decision trusts a guest's word for it. */
import { z } from 'zod';
import { Problem } from '../problem.ts';
import type { Routes } from '../socket.ts';

export type OpenTurns = {
  /** The turn that is open now, or null. */
  of(agent: string): string | null;
  routes: Routes;
};

const said = z.strictObject({
  agent: z.string().regex(/^[a-z][a-z0-9-]{0,30}$/),
  turn: z
    .string()
    .regex(/^[A-Za-z0-9-]{1,64}$/)
    .nullable()
    .describe('null when it has closed'),
});

/** `agents` are those of the configuration: others are refused, so the map is bounded. */
export function createOpenTurns(agents: () => readonly string[]): OpenTurns {
  const open = new Map<string, string>();
  return {
    of: (agent) => open.get(agent) ?? null,
    routes: {
      'POST /turn': ({ body }) => {
        const parsed = said.safeParse(body);
        if (!parsed.success)
          throw new Problem('bad-turn', 400, 'a turn is {agent, turn}', z.prettifyError(parsed.error));
        const { agent, turn } = parsed.data;
        if (!agents().includes(agent)) throw new Problem('no-agent', 404, 'there is no such agent', '');
        if (turn === null) open.delete(agent);
        else open.set(agent, turn);
        return { agent, turn };
      },
    },
  };
}
