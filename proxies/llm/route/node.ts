/** A provider as the machine that all agents share: so many exchanges at once, a fair queue for the rest, and whether it is up. Slots are taken by travel.ts, health is told by probe.ts, closed by the llm process. */
import type { Provider } from '../kinds/kind.ts';
import { type Timer, timer } from './timer.ts';

/** Gives the slot back; more calls do nothing. */
export type Release = () => void;

/** `busy`: the wait was too long, or too many of this agent's wait already. `gone`: its signal aborted. `closed`: the process ends. */
export type Taken = Release | 'busy' | 'gone' | 'closed';

export type NodeStanding = {
  provider: string;
  slots: number;
  busy: number;
  waiting: number;
  up: boolean;
};

export type Node = {
  take(agent: string, signal: AbortSignal, maxWaitMs?: number): Promise<Taken>;
  up(): boolean;
  /** What the prober found. A node of which nothing is known counts as up. */
  tell(up: boolean): void;
  standing(): NodeStanding;
};

export type Nodes = {
  of(provider: Provider): Node;
  list(): NodeStanding[];
  /** A changed concurrency counts from now on; what is gone from the configuration lets its queue go. */
  reconfigure(providers: readonly Provider[]): void;
  close(): void;
};

/** A turn on a Pi takes minutes; the SDKs' own patience is 10 minutes, of which the answer needs most. */
export const maxWaitMs = 60_000;
/** Of one agent at one node. An agent asks a few at a time; more is a loop. */
const maxWaiting = 32;

/** Where the configuration says nothing. Ollama works on one at a time unless told otherwise, and queues the rest itself, unfairly; vendors take many. */
const slotsOf = ({ concurrency, kind }: Provider): number => concurrency ?? (kind === 'ollama' ? 1 : 16);

type Waiter = { grant(): void; refuse(why: 'busy' | 'gone' | 'closed'): void };
type Shared = Node & { resize(slots: number): void; close(): void };

export function createNodes({ wait = timer }: { wait?: Timer } = {}): Nodes {
  const nodes = new Map<string, Shared>();
  let open = true;
  return {
    of(provider) {
      const known = nodes.get(provider.name);
      if (known) return known;
      const made = createNode(provider.name, slotsOf(provider), wait);
      if (open) nodes.set(provider.name, made);
      else made.close();
      return made;
    },
    list: () => [...nodes.values()].map((node) => node.standing()),
    reconfigure(providers) {
      const named = new Map(providers.map((each) => [each.name, each]));
      for (const [name, node] of nodes) {
        const provider = named.get(name);
        if (provider) node.resize(slotsOf(provider));
        else {
          nodes.delete(name);
          node.close();
        }
      }
    },
    close() {
      open = false;
      for (const node of nodes.values()) node.close();
      nodes.clear();
    },
  };
}

function createNode(provider: string, slots: number, wait: Timer): Shared {
  /** By agent, whose turn is next in front. An agent goes to the end with each slot that it gets. */
  const queues = new Map<string, Set<Waiter>>();
  let busy = 0;
  let up = true;
  let open = true;

  const slot = (): Release => {
    busy += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      busy -= 1;
      serve();
    };
  };
  const serve = (): void => {
    while (busy < slots) {
      const [first] = queues;
      const waiter = first?.[1].values().next().value;
      if (!first || !waiter) return;
      const [agent, queue] = first;
      queues.delete(agent);
      queue.delete(waiter);
      if (queue.size > 0) queues.set(agent, queue);
      waiter.grant();
    }
  };

  return {
    take(agent, signal, maxMs = maxWaitMs) {
      return new Promise<Taken>((done) => {
        if (signal.aborted) return done('gone');
        if (!open) return done('closed');
        if (busy < slots) return done(slot());
        const queue = queues.get(agent) ?? new Set<Waiter>();
        if (queue.size >= maxWaiting || maxMs <= 0) return done('busy');
        queues.set(agent, queue);

        const settle = (taken: Taken): void => {
          cancel();
          signal.removeEventListener('abort', gone);
          queue.delete(waiter);
          if (queue.size === 0 && queues.get(agent) === queue) queues.delete(agent);
          done(taken);
        };
        const waiter: Waiter = { grant: () => settle(slot()), refuse: settle };
        const gone = (): void => settle('gone');
        const cancel = wait(maxMs, () => settle('busy'));
        queue.add(waiter);
        signal.addEventListener('abort', gone, { once: true });
      });
    },
    up: () => up,
    tell(now) {
      up = now;
    },
    standing() {
      let waiting = 0;
      for (const queue of queues.values()) waiting += queue.size;
      return { provider, slots, busy, waiting, up };
    },
    resize(next) {
      slots = next;
      serve();
    },
    close() {
      open = false;
      for (const waiter of [...queues.values()].flatMap((queue) => [...queue])) waiter.refuse('closed');
    },
  };
}
