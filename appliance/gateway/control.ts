/** The `turn` socket: one turn for the operator's CLI, as NDJSON. processes/gateway.ts serves it. */
import { z } from 'zod';
import { Problem } from '../problem.ts';
import type { Routes } from '../socket.ts';
import type { TurnEvent } from './events.ts';
import type { Say } from './say.ts';
import type { Turn } from './turn.ts';

const asked = z.strictObject({
  agent: z.string().max(64).describe('Whom.'),
  text: z
    .string()
    .max(64 * 1024)
    .describe('What, or a slash command.'),
  by: z.string().max(64).describe('Who says it, for the record.'),
});

export const turnRoutes = (say: Say): Routes => ({
  'POST /turn': async ({ body, signal }) => {
    const parsed = asked.safeParse(body);
    if (!parsed.success) {
      throw new Problem('bad-turn', 400, 'a turn is {agent, text, by}', z.prettifyError(parsed.error));
    }
    const said = await say(parsed.data.agent, parsed.data.text, parsed.data.by);
    if ('refused' in said) return one({ event: 'failed', ...said.refused, refused: true });
    if ('answer' in said) return one({ event: 'note', text: said.answer }, { event: 'done' });
    return whileHeard(said.turn, signal);
  },
});

async function* one(...events: TurnEvent[]): AsyncGenerator<TurnEvent> {
  yield* events;
}

/** Who asked over the socket owns the turn: a caller that goes away (Ctrl-C) ends it. */
async function* whileHeard(turn: Turn, gone: AbortSignal): AsyncGenerator<TurnEvent> {
  const stop = (): void => turn.stop('the caller went away');
  gone.addEventListener('abort', stop, { once: true });
  if (gone.aborted) stop();
  yield* turn.follow();
  gone.removeEventListener('abort', stop);
}
