/** How the models stand, as the llm process tells it on its `models` socket: spend, providers, models without a price. The CLI and the controller read it through here. */
import { z } from 'zod';
import { call } from '../socket.ts';

const text = z.string().catch('');
const number = z.number().catch(0);
const limit = z.number().nullable().catch(null);

/** One window of time: what was used of what. Limits are null where there are none. */
const window = z
  .object({ usd: number, tokens: number, limitUsd: limit, limitTokens: limit })
  .catch({ usd: 0, tokens: 0, limitUsd: null, limitTokens: null });

const spend = z.object({
  day: window,
  month: window,
  /** Percent of a limit that were passed. */
  warned: z.array(z.number()).catch([]),
  resets: z.object({ day: text, month: text }).catch({ day: '', month: '' }),
});

const login = z
  .object({
    state: text,
    /** ISO, or nothing where the login does not expire. */
    expiresAt: z.string().nullable().catch(null),
    /** In words, when the owner should do something. */
    warn: z.string().nullable().catch(null),
  })
  .nullable()
  .catch(null);

const provider = z.object({
  name: text,
  kind: text,
  /** null: not known yet. */
  up: z.boolean().nullable().catch(null),
  slots: z.object({ busy: number, of: number, waiting: number }).nullable().catch(null),
  /** Agent -> state of its breaker; only those that are not closed need to be there. */
  breakers: z.record(z.string(), z.string()).catch({}),
  login,
  /** `held`, `missing`, `withheld` or `none`. */
  keyState: text,
});

const unpriced = z.object({
  provider: text,
  model: text,
  agent: text,
  at: text,
  asked: z.string().optional().catch(undefined),
});
const refused = z.object({
  provider: text,
  model: z.string().nullable().catch(null),
  status: number,
  agent: text,
  at: text,
});

/** Lenient: a page must not fail because llm has learned to say more. */
const standing = z.object({
  agents: z.array(z.object({ agent: text, spend })).catch([]),
  providers: z.array(provider).catch([]),
  /** Asked for and refused, because nobody said what they cost. */
  unpriced: z.array(unpriced).catch([]),
  /** A provider said 401 or 403: its key is wrong, or may not use that model. */
  keyRefused: z.array(refused).catch([]),
});

export type ModelsStanding = z.infer<typeof standing>;
export type SpendStanding = z.infer<typeof spend>;
export type ProviderStanding = z.infer<typeof provider>;

export const parseStanding = (given: unknown): ModelsStanding => standing.parse(given);

/** Undefined when llm does not answer: then the page says nothing of models, and the processes table says why. */
export async function readStanding(socketPath: string): Promise<ModelsStanding | undefined> {
  try {
    return parseStanding(await call(socketPath, 'GET /standing', undefined, { timeoutMs: 1000 }));
  } catch {
    return undefined;
  }
}

/** What an owner should hear without asking: a budget that is nearly used up, a login that ends, a model that waits for its price. */
export type Warning =
  | { about: 'budget'; agent: string; percent: number; spend: SpendStanding }
  | { about: 'login'; provider: string; words: string; expiresAt: string | null }
  | { about: 'key'; provider: string; model: string | null; status: number }
  | { about: 'price'; provider: string; model: string; agent: string };

export function warnings(now: ModelsStanding): Warning[] {
  return [
    ...now.agents.flatMap(({ agent, spend: of }): Warning[] => {
      const percent = Math.max(0, used(of.day), used(of.month), ...of.warned);
      return percent >= 50 ? [{ about: 'budget', agent, percent, spend: of }] : [];
    }),
    ...now.providers.flatMap((each): Warning[] =>
      each.login?.warn
        ? [{ about: 'login', provider: each.name, words: each.login.warn, expiresAt: each.login.expiresAt }]
        : [],
    ),
    ...now.keyRefused.map(
      ({ provider: of, model, status }): Warning => ({ about: 'key', provider: of, model, status }),
    ),
    ...now.unpriced.map(
      ({ provider: of, model, agent }): Warning => ({ about: 'price', provider: of, model, agent }),
    ),
  ];
}

/** `breaker open for main, half-open for scout`; empty where all are closed. */
export function breakerWords({ breakers }: ProviderStanding): string {
  const states = Object.entries(breakers).filter(([, state]) => state !== 'closed');
  const words = [...Map.groupBy(states, ([, state]) => state)].map(
    ([state, of]) => `${state} for ${of.map(([agent]) => agent).join(', ')}`,
  );
  return words.length === 0 ? '' : `breaker ${words.join(', ')}`;
}

/** `tone` as view/state.ts draws it. */
export type ProviderState = { tone: 'good' | 'wait' | 'bad' | 'plain'; word: string; why: string };

/** In one word how a provider stands, the worst first; undefined where llm does not know it. */
export function stateOf(now: ModelsStanding | undefined, name: string): ProviderState | undefined {
  const of = now?.providers.find((each) => each.name === name);
  if (!now || !of) return undefined;
  const refused = now.keyRefused.find((each) => each.provider === name);
  const waiting = now.unpriced.filter((each) => each.provider === name).map((each) => each.model);
  const rests = breakerWords(of);
  if (of.up === false) return { tone: 'bad', word: 'down', why: 'it does not answer' };
  if (refused) return { tone: 'bad', word: 'key refused', why: `it answered ${refused.status}` };
  if (['missing', 'withheld'].includes(of.keyState)) {
    const what = of.login ? 'login' : 'key';
    return {
      tone: 'wait',
      word: `no ${what}`,
      why: of.keyState === 'withheld' ? `its ${what} is withheld` : '',
    };
  }
  if (rests !== '') return { tone: 'wait', word: 'rests', why: rests };
  if (waiting.length > 0) {
    const why = `${waiting.join(', ')}: nobody has said what it costs`;
    return { tone: 'wait', word: 'waits for a price', why };
  }
  return { tone: 'good', word: of.up === true ? 'up' : 'configured', why: '' };
}

/** Percent of the nearer limit of a window, rounded down. */
export function used(of: SpendStanding['day']): number {
  const share = (spent: number, most: number | null): number =>
    most === null ? 0 : most === 0 ? 100 : Math.floor((spent / most) * 100);
  return Math.max(share(of.usd, of.limitUsd), share(of.tokens, of.limitTokens));
}
