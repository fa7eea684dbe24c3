/** What a person says to an agent: a command is answered here, everything else opens a turn with the guest. The chat page and the `turn` socket call it. */

import { command as cli } from '../view/words.ts';
import { help, kill, parseCommand, status } from './commands.ts';
import { askGuest, type ChatMessage } from './guest.ts';
import type { Entry, History } from './history.ts';
import type { Neighbours } from './neighbours.ts';
import { agentOf, approvalsUrl, type GatewayPart, inHome, killedUrl } from './part.ts';
import { plainLine, plaintext } from './plaintext.ts';
import { runSource } from './run.ts';
import type { Source, Turn, Turns } from './turn.ts';

export type Said = { turn: Turn } | { answer: string } | { refused: { reason: string; hint: string } };

export type Say = (agent: string, text: string, by: string) => Promise<Said>;

export type SayParts = {
  part: () => GatewayPart;
  neighbours: Neighbours;
  turns: Turns;
  history: (agent: string) => History;
  guestSocket: (agent: string) => string;
};

export const maxTextChars = 32 * 1024; // some twenty pages; more belongs into a file in the workspace
const maxContextChars = 256 * 1024;

export function createSay(parts: SayParts): Say {
  return async (agent, given, by) => {
    const text = plaintext(given.replace(/\r\n?/g, '\n')).trim();
    const who = plainLine(by, 64);
    const of = agentOf(parts.part(), agent);
    if (!of)
      return refused(
        `there is no agent ${plainLine(agent, 40)}`,
        `Add it with \`${cli('agent add NAME')}\`.`,
      );
    if (text === '') return refused('there was nothing to say', '/help lists the commands.');
    if (text.length > maxTextChars) {
      return refused(
        `that is ${text.length} characters and ${maxTextChars} fit`,
        "Put it into a file in the agent's workspace.",
      );
    }
    const command = parseCommand(text);
    const history = parts.history(agent);
    const answer = (words: string): Said => {
      history.add({ from: 'operator', text });
      history.add({ from: 'holdfast', text: words, end: 'done' });
      return { answer: words };
    };
    if (command?.name === 'help') return answer(help(command.wrong));
    if (command?.name === 'kill') return answer(await kill(parts.neighbours, parts.turns, command.rest, who));
    if (command?.name === 'status') {
      const { neighbours, turns } = parts;
      return answer(
        await status(neighbours, turns, { agent, part: of, approvalsUrl: approvalsUrl(parts.part()) }),
      );
    }
    const source: Source = command
      ? runSource(parts.neighbours, { agent, command: command.rest, by: who })
      : (signal, waiting) => guestWords(parts, agent, history, signal, waiting);
    if (!command || parts.part().pagesOnly) {
      const refusal = await notSealed(parts, agent);
      if (refusal) return refusal;
    }
    if (!command && !of.modelReady) return noModel(parts.part(), agent);
    const shut = await notArmed(parts);
    if (shut) return shut;
    // Asked last, and nothing is awaited from here: two messages at once open one turn.
    if (parts.turns.open(agent)) {
      return refused(
        `${agent} is still answering`,
        'Wait for its end or press Stop. /status and /kill work now.',
      );
    }
    history.add({ from: 'operator', text });
    return { turn: parts.turns.begin({ agent, from: command ? 'holdfast' : 'agent', source, history }) };
  };
}

const refused = (reason: string, hint: string): Said => ({ refused: { reason, hint } });

const noModel = (part: GatewayPart, agent: string): Said => {
  const { model, keyMissing: missing, keyWithheld } = agentOf(part, agent) ?? {};
  const apply = `then run \`${cli('config apply')}\``;
  if (keyWithheld !== undefined) {
    return refused(
      `no model is reachable for ${agent}: ${keyWithheld === 'login' ? 'its login' : `the key ${keyWithheld}`} is not used, because an ordinary user started Holdfast`,
      `Your explicit yes is \`ordinaryUser: { holdKeys: true }\` in holdfast.yaml, ${apply}; or run Holdfast as root.`,
    );
  }
  return refused(
    model ? `no model is reachable for ${agent}` : `no model is configured for ${agent}`,
    missing
      ? `Put the provider's key into ${inHome(part, `secrets/llm/${missing}`)} (mode 0600), ${apply}.`
      : `Set agents.${agent}.model in ${inHome(part, 'holdfast.yaml')}, ${apply}. The chat page shows how. /help, /status, /run and /kill work without one.`,
  );
};

/** Where the world does not stand there is nobody to talk to. A controller that does not answer leaves that to the guest's own door. */
async function notSealed(parts: SayParts, agent: string): Promise<Said | undefined> {
  const worlds = await parts.neighbours.worlds().catch(() => []); // as said above
  const world = worlds.find((each) => each.agent === agent);
  if (world?.state !== 'refused') return undefined;
  const fixes = world.walls.flatMap(({ state, fix }) => (state === 'missing' && fix ? [fix] : []));
  const [fix] = fixes.filter((each) => !each.includes('\n'));
  return refused(
    `${agent} was not started, because its world cannot be sealed${world.why ? `: ${plainLine(world.why)}` : ''}`,
    fix ?? `The chat page and \`${cli('doctor')}\` show what to do.`,
  );
}

async function notArmed(parts: SayParts): Promise<Said | undefined> {
  // A keeper that does not answer is a closed door, like everywhere else.
  const now = await parts.neighbours
    .keeperState()
    .catch(() => ({ state: 'closed' as const, reason: 'the keeper does not answer' }));
  if (now.state === 'armed') return undefined;
  const why = now.reason ? `: ${plainLine(now.reason)}` : '';
  return now.state === 'killed'
    ? refused(`everything is stopped${why}`, `Re-arm at ${killedUrl(parts.part())} when you are ready.`)
    : refused(
        `the doors are closed for the moment${why}`,
        'They open by themselves when the keeper beats again; try again.',
      );
}

async function* guestWords(
  parts: SayParts,
  agent: string,
  history: History,
  signal: AbortSignal,
  waiting: () => boolean,
): AsyncGenerator<{ text: string }> {
  const messages = conversation(history.entries());
  const socketPath = parts.guestSocket(agent);
  for await (const text of askGuest({ socketPath, agent, messages, signal, waiting })) yield { text };
}

/** What the guest gets to remember: the chat itself, without commands, newest first to fit. */
function conversation(entries: readonly Entry[]): ChatMessage[] {
  const messages: ChatMessage[] = [];
  let chars = 0;
  for (const entry of entries.toReversed()) {
    const isTalk = entry.from === 'agent' || (entry.from === 'operator' && !entry.text.startsWith('/'));
    if (!isTalk || entry.text === '') continue;
    chars += entry.text.length;
    if (chars > maxContextChars && messages.length > 0) break;
    const role = entry.from === 'agent' ? 'assistant' : 'user';
    const next = messages[0];
    // Some model templates refuse two messages of one side in a row, which a failed answer leaves behind.
    if (next?.role === role) next.content = `${entry.text}\n\n${next.content}`;
    else messages.unshift({ role, content: entry.text });
  }
  return messages;
}
