/** The open turn of an agent: one at a time. It collects events from the guest or from a tool run; the chat page and the `turn` socket follow them. say.ts begins it. */
import { randomUUID } from 'node:crypto';
import { Problem } from '../problem.ts';
import { createEvents, type Events, type TurnEvent } from './events.ts';
import type { History } from './history.ts';
import type { Approval } from './neighbours.ts';

/** Where a turn's words come from: it yields until the true end, and throws a Problem where there is none. */
export type Source = (signal: AbortSignal, waiting: () => boolean) => AsyncIterable<Words>;
export type Words = { text: string } | { note: string };

export type Turn = {
  agent: string;
  /** For the record of what is asked of models while it is open. */
  id: string;
  /** Who answers: the guest, or Holdfast itself with a run. */
  from: 'agent' | 'holdfast';
  startedAt: number;
  /** Ends it; what came until then stays. */
  stop(why: string): void;
  /** All events from the first, then as they come; the last is `done` or `failed`. */
  follow(): AsyncGenerator<TurnEvent>;
  /** The event after `seen` of them, or undefined when `ms` passed without one. */
  after(seen: number, ms: number): Promise<TurnEvent | undefined>;
};

export type Turns = {
  open(agent: string): Turn | undefined;
  all(): Turn[];
  begin(given: Beginning): Turn;
};

export type Beginning = {
  agent: string;
  from: 'agent' | 'holdfast';
  source: Source;
  history: History;
};

export type TurnParts = {
  approvals: (agent: string) => Promise<Approval[]>;
  /** Tells whom it concerns which turn of an agent is open; null when it closes. Never rejects. */
  announce: (agent: string, turn: string | null) => Promise<void>;
  /** Why everything stopped, when it is killed: then a cut has a better reason than its own. */
  killed: () => Promise<string | undefined>;
  /** What no Problem stands for: it is a fault of ours. */
  onFault: (error: unknown) => void;
  pollMs?: number;
};

export function createTurns(parts: TurnParts): Turns {
  const turns = new Map<string, Turn>();
  /** In order: the end of one turn must not arrive after the beginning of the next. */
  const lastTold = new Map<string, Promise<void>>();
  const tell = (agent: string, turn: string | null): Promise<void> => {
    const told = (lastTold.get(agent) ?? Promise.resolve()).then(() => parts.announce(agent, turn));
    lastTold.set(agent, told);
    return told;
  };
  return {
    open: (agent) => turns.get(agent),
    all: () => [...turns.values()],
    begin(given) {
      if (turns.has(given.agent)) throw new Error(`agent ${given.agent} has an open turn`);
      const events = createEvents();
      const stopping = new AbortController();
      const turn: Turn = {
        agent: given.agent,
        id: randomUUID(),
        from: given.from,
        startedAt: Date.now(),
        stop: (why) => stopping.abort(new Problem('stopped', 409, why, '')),
        follow: events.follow,
        after: events.after,
      };
      turns.set(given.agent, turn);
      const told = given.from === 'agent' ? tell(given.agent, turn.id) : undefined;
      const closed = (): void => {
        turns.delete(given.agent);
        if (told) void tell(given.agent, null);
      };
      run(given, told, parts, events, stopping.signal, closed).catch(parts.onFault);
      return turn;
    },
  };
}

async function run(
  given: Beginning,
  told: Promise<void> | undefined,
  parts: TurnParts,
  events: Events,
  signal: AbortSignal,
  closed: () => void,
): Promise<void> {
  const ended = new AbortController();
  const waiting = pollApprovals(given.agent, parts, events, ended.signal);
  let text = '';
  const notes: string[] = [];
  /** In one go, so that no page sees the answer both open and kept. */
  const end = (how: 'done' | 'stopped' | 'failed', note: string, last: TurnEvent): void => {
    ended.abort();
    closed();
    given.history.add({ from: given.from, text, end: how, ...(note === '' ? {} : { note }) });
    events.push(last);
  };
  try {
    await told; // before the guest hears of it, so that its first question is known to be of this turn
    signal.throwIfAborted();
    for await (const words of given.source(signal, waiting)) {
      if ('text' in words) {
        text += words.text;
        events.push({ event: 'delta', text: words.text });
      } else {
        notes.push(words.note);
        events.push({ event: 'note', text: words.note });
      }
    }
    signal.throwIfAborted();
  } catch (error) {
    if (!signal.aborted && !(error instanceof Problem)) parts.onFault(error);
    // The keeper only words the end; without it the guest's own fault is told.
    const killed = signal.aborted ? undefined : await parts.killed().catch(() => undefined);
    const why =
      killed === undefined ? reasonOf(signal.aborted ? signal.reason : error) : killedReason(killed);
    end(signal.aborted ? 'stopped' : 'failed', [...notes, failedWords(why)].join(' '), {
      event: 'failed',
      ...why,
    });
    return;
  }
  end('done', notes.join(' '), { event: 'done' });
}

const killedReason = (why: string): { reason: string; hint: string } => ({
  reason: `everything was stopped${why === '' ? '' : `: ${why}`}`,
  hint: 'Re-arm in the controller when you are ready.',
});

function reasonOf(error: unknown): { reason: string; hint: string } {
  if (error instanceof Problem) return { reason: error.message.replace(/\.$/, ''), hint: error.hint };
  return { reason: 'an internal fault', hint: 'Look at shared/logs/errors/ERROR-LOG.md.' };
}

/** Reason and hint as sentences. */
export const failedWords = ({ reason, hint }: { reason: string; hint: string }): string =>
  `${reason.charAt(0).toUpperCase()}${reason.slice(1)}. ${hint}`.trim();

/** Says what waits for the operator while the turn is open. The answer is for showing only: an unreachable controller shows the last one. */
function pollApprovals(agent: string, parts: TurnParts, events: Events, ended: AbortSignal): () => boolean {
  let shown: Approval[] = [];
  let heard = true;
  const poll = async (): Promise<void> => {
    try {
      const now = await parts.approvals(agent);
      if (ended.aborted) return;
      const changed = ids(now) !== ids(shown);
      shown = now;
      heard = true;
      if (changed) events.push({ event: 'waiting', approvals: now });
    } catch {
      heard = false; // then the guest's time runs again: nobody can say that it waits
      // The turn does not hang on it, and `/status` says that the controller does not answer.
    }
  };
  let polling = false;
  const timer = setInterval(() => {
    if (polling) return;
    polling = true;
    poll().finally(() => {
      polling = false;
    });
  }, parts.pollMs ?? 1000);
  ended.addEventListener('abort', () => clearInterval(timer), { once: true });
  return () => heard && shown.some((each) => each.expiresAt > Date.now());
}

const ids = (approvals: Approval[]): string => approvals.map((each) => each.id).join(' ');
