/** What happens in a turn, in order: kept from the first to the last and followed by whoever asks. turn.ts fills it. */
import type { Approval } from './neighbours.ts';

export type TurnEvent =
  | { event: 'delta'; text: string }
  | { event: 'waiting'; approvals: Approval[] }
  | { event: 'note'; text: string }
  | { event: 'done' }
  /** `refused`: the turn was never opened; a rule or the state said no. */
  | { event: 'failed'; reason: string; hint: string; refused?: true };

export type Events = {
  push(event: TurnEvent): void;
  follow(): AsyncGenerator<TurnEvent>;
  after(seen: number, ms: number): Promise<TurnEvent | undefined>;
};

export const isLast = (event: TurnEvent): boolean => event.event === 'done' || event.event === 'failed';

/** Kept from the first to the last, so that a page opened late sees all. The guest's limits bound them. */
export function createEvents(): Events {
  const events: TurnEvent[] = [];
  const listeners = new Set<() => void>();
  const after = async (seen: number, ms: number): Promise<TurnEvent | undefined> => {
    if (seen >= events.length) {
      await new Promise<void>((resolve) => {
        const woken = (): void => {
          clearTimeout(timer);
          listeners.delete(woken);
          resolve();
        };
        const timer = setTimeout(woken, ms);
        listeners.add(woken);
      });
    }
    return events[seen];
  };
  return {
    push(event) {
      events.push(event);
      for (const each of [...listeners]) each();
    },
    after,
    async *follow() {
      for (let seen = 0; ; ) {
        const event = await after(seen, 60_000);
        if (event === undefined) continue;
        yield event;
        if (isLast(event)) return;
        seen += 1;
      }
    },
  };
}
