/** Everything that the llm process has once and not once for each agent: books, nodes, logins, metrics, notices; and how all of it stands. Composed by processes/llm.ts. */
import { Agent, request } from 'undici';
import type { Armed } from '../../proxies/armed.ts';
import { createLogins, type Logins } from '../../proxies/llm/keys/login.ts';
import type { Provider } from '../../proxies/llm/kinds/kind.ts';
import { createMetrics, type Metrics } from '../../proxies/llm/metrics.ts';
import { createNotices, type Notices } from '../../proxies/llm/notices.ts';
import type { Llm } from '../../proxies/llm/proxy.ts';
import { chained } from '../../proxies/llm/route/chain.ts';
import { createNodes, type Nodes } from '../../proxies/llm/route/node.ts';
import { createProber } from '../../proxies/llm/route/probe.ts';
import { createPulls } from '../../proxies/llm/route/pull.ts';
import { timer } from '../../proxies/llm/route/timer.ts';
import type { Secret } from '../../proxies/secret.ts';
import { Problem } from '../problem.ts';
import type { Books } from './books.ts';
import type { ControlParts, NodeListing } from './control.ts';
import type { Part } from './part.ts';
import { createStore } from './store.ts';

export type ModelsHouse = {
  nodes: Nodes;
  logins: Logins;
  metrics: Metrics;
  notices: Notices;
  /** The doors, once they are made: their breakers are part of how things stand. */
  watch(llms: readonly { agent: string; llm: Llm }[]): void;
  reconfigure(part: Part): void;
  control: ControlParts;
};

type HouseParts = {
  part: Part;
  books: Books;
  armed: Armed;
  secret(name: string): Secret | undefined;
  loginFolder: string;
  say(text: string, where: 'report' | 'error'): void;
};

export function createHouse({
  part: first,
  books,
  armed,
  secret,
  loginFolder,
  say,
}: HouseParts): ModelsHouse {
  let part = first;
  let doors: readonly { agent: string; llm: Llm }[] = [];
  const nodes = createNodes();
  const metrics = createMetrics();
  const notices = createNotices(say);
  const logins = createLogins({
    store: createStore(loginFolder),
    fetch: (url, init) => fetch(url, init),
    // The wall clock: when a grant ends is saved, and read by the next process.
    clock: { now: () => Date.now(), wait: timer },
    armed,
  });
  /** Connections of the house itself, for probes and pulls: none is shared with an agent. */
  const own = new Map<string, Agent>();
  const dispatcher = (provider: Provider): Agent => {
    const known = own.get(provider.name);
    if (known) return known;
    const [ca, cert, key] = [provider.caFile, provider.certFile, provider.keyFile].map((file) =>
      file === undefined ? undefined : secret(file)?.reveal(),
    );
    const made = new Agent({
      connect: { allowH2: false, ...(ca ? { ca } : {}), ...(cert ? { cert } : {}), ...(key ? { key } : {}) },
    });
    own.set(provider.name, made);
    return made;
  };
  // Idle connections end with the lease too.
  armed.onLost(() => {
    for (const each of own.values()) each.destroy().catch(() => {}); // it was closed before
    own.clear();
  });
  const pulls = createPulls({ armed, dispatcher });
  const prober = createProber({
    nodes,
    armed,
    // Without a key: any answer at all says that somebody serves there.
    async ask(provider, signal) {
      const path = provider.kind === 'ollama' ? '/api/version' : '/v1/models';
      const url = new URL(path, provider.baseUrl);
      const answer = await request(url, { dispatcher: dispatcher(provider), signal });
      await answer.body.dump();
      return answer.statusCode < 500;
    },
  });

  const named = (name: string): Provider => {
    const found = part.providers.find((each) => each.name === name);
    if (found) return found;
    const known = part.providers.map((each) => each.name).join(', ') || 'none';
    throw new Problem('no-provider', 404, `there is no provider ${name}`, `Configured: ${known}.`);
  };

  const know = (): void => {
    const agents = Object.values(part.agents);
    const aliases = [part.models, ...agents.map((each) => each.aliases)];
    metrics.know({
      agents: Object.keys(part.agents),
      providers: part.providers,
      aliases,
      models: agents.flatMap(({ model }) => (model ? [model] : [])),
    });
    nodes.reconfigure(part.providers);
    // After a kill no login is held either: what was loaded is let go, and nothing is read.
    logins.keep(part.keysHeld ? part.providers : []);
    prober.watch(chained(aliases, part.providers));
  };
  know();

  const keyState = ({ key, login }: Provider, loggedIn: boolean): string => {
    if (key === undefined && login === undefined) return 'none';
    if (!part.keysHeld) return 'withheld';
    return (login === undefined ? secret(key ?? '') !== undefined : loggedIn) ? 'held' : 'missing';
  };

  const standing = () => {
    const shown = new Map(nodes.list().map((each) => [each.provider, each]));
    const states = doors.map(({ agent, llm }) => ({ agent, states: llm.breakers() }));
    const loggedIn = new Map(logins.standing().map((each) => [each.provider, each]));
    const told = notices.standing();
    return {
      agents: Object.keys(part.agents).map((agent) => ({ agent, spend: books.spend(agent).standing() })),
      providers: part.providers.map((provider) => {
        const { name, kind } = provider;
        const node = shown.get(name);
        const login = loggedIn.get(name);
        return {
          name,
          kind,
          up: node?.up ?? null,
          slots: node ? { busy: node.busy, of: node.slots, waiting: node.waiting } : null,
          breakers: Object.fromEntries(
            states.flatMap(({ agent, states: of }) => {
              const state = of[name];
              return state === undefined || state === 'closed' ? [] : [[agent, state]];
            }),
          ),
          login: provider.login
            ? {
                state: login?.state ?? 'none',
                expiresAt: login?.expiresAt?.toISOString() ?? null,
                warn: login?.warn ?? null,
              }
            : null,
          keyState: keyState(provider, login?.state === 'held'),
        };
      }),
      unpriced: told.filter((each) => each.kind === 'unpriced'),
      keyRefused: told.filter((each) => each.kind === 'key-refused'),
    };
  };

  metrics.watch(() => ({
    breakers: doors.map(({ agent, llm }) => ({ agent, states: llm.breakers() })),
    nodes: nodes.list(),
    budgets: Object.keys(part.agents).map((agent) => ({ agent, ...books.spend(agent).standing() })),
  }));

  return {
    nodes,
    logins,
    metrics,
    notices,
    watch(llms) {
      doors = llms;
    },
    reconfigure(next) {
      part = next;
      for (const each of own.values()) each.close().catch(() => {}); // it was closed before
      own.clear();
      notices.forget();
      know();
    },
    control: {
      standing,
      metrics: async () => ({ type: metrics.type, text: await metrics.text() }),
      async beginLogin(name) {
        const provider = named(name);
        if (provider.login && !part.keysHeld) throw withheld(name);
        const begun = await logins.begin(provider);
        if ('allow' in begun) throw problemOf(begun);
        const { verificationUri, userCode, expiresAt, done } = begun;
        return {
          verificationUri,
          userCode,
          expiresAt: expiresAt.toISOString(),
          done: done.then((denial) => {
            if (denial) throw problemOf(denial);
          }),
        };
      },
      nodes: (signal) =>
        Promise.all(
          part.providers.map(async (provider): Promise<NodeListing> => {
            const { name, kind } = provider;
            const up = nodes.of(provider).up();
            if (kind !== 'ollama') return { provider: name, kind, up, models: [] };
            const listed = await pulls.list(provider, signal);
            return Array.isArray(listed)
              ? { provider: name, kind, up: true, models: listed }
              : { provider: name, kind, up: false, models: [], why: listed.reason };
          }),
        ),
      pull: (name, model, signal) => pulls.pull(named(name), model, signal),
    },
  };
}

/** A login is a key: what may not hold the one may not take the other. */
const withheld = (name: string): Problem =>
  new Problem(
    'keys-not-held',
    503,
    `a login at ${name} is not taken: keys are not held now`,
    'Started as an ordinary user, Holdfast holds keys and logins only with `ordinaryUser: { holdKeys: true }` in holdfast.yaml; a killed box takes them again when it is re-armed.',
  );

const problemOf = ({
  rule,
  status,
  reason,
  hint,
}: {
  rule: string;
  status: number;
  reason: string;
  hint: string;
}) => new Problem(rule, status, reason, hint);
