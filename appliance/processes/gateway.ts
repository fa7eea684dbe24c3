/** The gateway: the chat on its host door, and the `turn` socket for the CLI. It reads hostile text, runs nothing and decides nothing. */
import { createServer } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { turnRoutes } from '../gateway/control.ts';
import { type History, openHistory } from '../gateway/history.ts';
import { createNeighbours } from '../gateway/neighbours.ts';
import { gatewayPart } from '../gateway/part.ts';
import { createChat } from '../gateway/routes.ts';
import { createSay } from '../gateway/say.ts';
import { createTurns } from '../gateway/turn.ts';
import { attend } from '../process.ts';
import { serve } from '../socket.ts';

const here = attend();
let current = gatewayPart.parse(here.part());
here.onConfig((next) => {
  current = gatewayPart.parse(next);
});

const neighbours = createNeighbours(here.socket);
const onFault = (error: unknown): void =>
  here.log.error('a fault in the chat', { stack: error instanceof Error ? error.stack : String(error) });

const histories = new Map<string, History>();
const history = (agent: string): History => {
  const known = histories.get(agent) ?? openHistory(here.home(`gateway/history/${agent}.jsonl`), onFault);
  histories.set(agent, known);
  return known;
};

const turns = createTurns({
  approvals: neighbours.approvals,
  // The record then lacks the turn, and nothing is decided by it, so the turn goes on.
  announce: (agent, turn) =>
    neighbours.openTurn(agent, turn).catch((error: unknown) => {
      here.log.info('llm was not told of a turn', { agent, why: String(error) });
    }),
  killed: async () => {
    // A keeper that does not answer closes the doors on its own; whether it killed is then not known.
    const now = await neighbours.keeperState().catch(() => undefined);
    return now?.state === 'killed' ? (now.reason ?? '') : undefined;
  },
  onFault,
});
const part = (): typeof current => current;
const guestSocket = (agent: string): string => here.socket(`guest.${agent}`);
const say = createSay({ part, neighbours, turns, history, guestSocket });
const chat = createChat({ part, neighbours, turns, say, history, onFault });

await serve({ fd: here.door('turn').fd }, turnRoutes(say));
const pages = createServer({ maxHeaderSize: 16 * 1024 }, getRequestListener(chat.fetch));
pages.headersTimeout = 10_000;
pages.requestTimeout = 30_000; // for a form to arrive; an answer may take as long as it takes
await new Promise<void>((resolve, reject) => {
  pages.once('error', reject);
  pages.listen({ fd: here.door('gateway').fd }, resolve);
});
await here.ready();
