/** The health of the nodes that have somebody to step in for them: one prober for each, in the whole process. Made by the llm process, which says how a provider is asked; tells node.ts. */
import type { Armed } from '../../armed.ts';
import type { Provider } from '../kinds/kind.ts';
import type { Nodes } from './node.ts';
import { type Timer, timer } from './timer.ts';

/** `doubted` is also where a node begins: it is used, and one more failure is enough. */
export type Health = 'up' | 'doubted' | 'down';

/** One lost answer of a loaded Pi does not send an agent to a vendor that costs money. */
const healthTable = {
  up: { yes: 'up', no: 'doubted' },
  doubted: { yes: 'up', no: 'down' },
  down: { yes: 'up', no: 'down' },
} as const satisfies Record<Health, Record<'yes' | 'no', Health>>;

export type ProbeParts = {
  /** A cheap request, e.g. a list of models: true when it was answered. May reject. */
  ask(provider: Provider, signal: AbortSignal): Promise<boolean>;
  nodes: Nodes;
  armed: Armed;
  wait?: Timer;
};

export type Prober = {
  /** The providers to watch from now on; chain.ts says which. */
  watch(providers: readonly Provider[]): void;
  close(): void;
};

/** When up. Exchanges notice a dead node sooner by themselves. */
const upMs = 30_000;
/** When doubted or just down; doubles to the longest. */
const downMs = 5_000;
const longestMs = 60_000;
/** A list of models takes a sleeping disk a second or two. */
const answerMs = 5_000;
/** Until the lease is there. Nothing leaves before. */
const unarmedMs = 1_000;

export function createProber(parts: ProbeParts): Prober {
  const watches = new Map<string, { provider: Provider; end(): void }>();
  return {
    watch(providers) {
      const wanted = new Map(providers.map((each) => [each.name, each]));
      for (const [name, { provider, end }] of watches) {
        const next = wanted.get(name);
        if (next?.baseUrl === provider.baseUrl && next.kind === provider.kind) wanted.delete(name);
        else {
          watches.delete(name);
          end();
          // Nobody looks any more: the next exchange finds out.
          parts.nodes.of(provider).tell(true);
        }
      }
      for (const [name, provider] of wanted) watches.set(name, { provider, end: probe(provider, parts) });
    },
    close() {
      for (const { end } of watches.values()) end();
      watches.clear();
    },
  };
}

function probe(provider: Provider, { ask, nodes, armed, wait = timer }: ProbeParts): () => void {
  let health: Health = 'doubted';
  let pauseMs = downMs;
  let ended = false;
  let cancel = (): void => {};
  let asking: AbortController | undefined;
  const unsubscribe = armed.onLost(() => asking?.abort());

  const hear = (yes: boolean): number => {
    health = healthTable[health][yes ? 'yes' : 'no'];
    nodes.of(provider).tell(health !== 'down');
    const thisMs = yes ? upMs : pauseMs;
    pauseMs = yes ? downMs : Math.min(longestMs, pauseMs * 2);
    return thisMs;
  };
  const round = async (): Promise<void> => {
    let nextMs = unarmedMs;
    if (armed.now()) {
      const own = new AbortController();
      asking = own;
      let late = false;
      const cancelLate = wait(answerMs, () => {
        late = true;
        own.abort();
      });
      // Raced, because what does not obey its signal must not stop the prober.
      const given = new Promise<false>((no) => own.signal.addEventListener('abort', () => no(false)));
      const yes = await Promise.race([ask(provider, own.signal).catch(() => false), given]);
      cancelLate();
      // Cut by the lost lease or by the end, which says nothing about the node.
      if (!own.signal.aborted || late) nextMs = ended ? 0 : hear(yes);
    }
    if (!ended) cancel = wait(nextMs, () => void round());
  };
  void round();

  return () => {
    ended = true;
    unsubscribe();
    cancel();
    asking?.abort();
  };
}
