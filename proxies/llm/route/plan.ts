/** Who may be asked for a model, in which order. A pure function of the request's place, the model's name and the configuration; proxy.ts calls it when the body is scanned. */
import { type Denial, deny, quoted } from '../denial.ts';
import type { Provider } from '../kinds/kind.ts';
import { kinds, ownModelsOf, type Place, type Target, targetOf } from '../kinds/paths.ts';
import { type Aliases, chainOf, linkOf } from './chain.ts';
import { anyGlob, globMatches } from './glob.ts';

/** What one agent's part of the configuration says about models. */
export type AgentModels = {
  /** Its own model; a name without a provider is an alias. */
  model?: { provider?: string | undefined; name: string } | undefined;
  /** Globs over alias names and `provider/model`. Absent: all. */
  allow?: readonly string[] | undefined;
  aliases: Aliases;
};

export type Candidate = {
  provider: Provider;
  model: string | null;
  target: Target;
  /** The longest input that the model takes, where somebody said. */
  contextTokens?: number | undefined;
};

/** A candidate that is not asked; `why` stands among the hops of the record. */
export type Skipped = { provider: string; model: string | null; why: string };

export type Plan = { candidates: Candidate[]; alias: string | null; skipped: Skipped[] };

/** Longer than any name in a vendor's list, shorter than a message. */
const maxNameChars = 200;

type Wish = { provider: Provider | undefined; name: string; model: string | null };

/**
 * `asked` is the model as the request names it, null where a format names none. The order: an alias (the agent's own, then
 * the common one), `provider/model`, the agent's own model, else the first provider whose models these are: as its owner listed
 * them, as its vendor names them, or any. A list is asked of each in turn.
 */
export function plan(
  place: Place,
  asked: string | null,
  agent: AgentModels,
  aliases: Aliases,
  providers: readonly Provider[],
): Plan | Denial {
  if (asked !== null && !isName(asked)) return badName(asked);
  const listing = place.route.format === 'listing';
  if (asked === null && !listing) return noName;
  const chain = asked === null ? undefined : chainOf(asked, agent.aliases, aliases);
  const alias = chain ? asked : null;
  const named = (name: string): Provider | undefined => providers.find((each) => each.name === name);
  const only = place.prefix === null ? undefined : named(place.prefix);

  const wishes: Wish[] = chain
    ? chain.map((entry) => {
        const link = linkOf(entry);
        return {
          provider: named(link?.provider ?? ''),
          name: link?.provider ?? entry,
          model: link?.model ?? null,
        };
      })
    : direct().map(({ provider, model }) => ({ provider, name: provider.name, model }));

  const candidates: Candidate[] = [];
  const skipped: Skipped[] = [];
  const skip = ({ name, model }: Wish, why: string): void =>
    void skipped.push({ provider: name, model, why });
  for (const wish of wishes) {
    const { provider, model } = wish;
    if (!provider) {
      skip(wish, 'not-configured');
      continue;
    }
    if (place.prefix !== null && provider.name !== place.prefix) {
      skip(wish, 'other-provider');
      continue;
    }
    if (!allowed(provider, model)) {
      skip(wish, 'not-allowed');
      continue;
    }
    if (model !== null && kinds[provider.kind].modelReachesOut(model) !== undefined) {
      skip(wish, 'model-reaches-out');
      continue;
    }
    const target = targetOf(place, provider, model);
    // A list in another vendor's words is no stand-in for the first one's.
    const other =
      asked === null && candidates[0] && target?.route.speaks !== candidates[0].target.route.speaks;
    if (target && !other) candidates.push({ provider, model, target });
    else skip(wish, 'not-spoken');
    // Without a chain there is one answerer: another provider's model of the same name is another model. A list may be anybody's.
    if (target && !chain && asked !== null) break;
  }
  if (candidates.length > 0) return { candidates, alias, skipped };
  return nobody(place, asked, wishes, skipped, providers);

  /** Who is meant when the name is no alias. More than one only where the first that speaks the format is looked for. */
  function direct(): { provider: Provider; model: string | null }[] {
    const own = agent.model?.provider === undefined ? undefined : named(agent.model.provider);
    const inOrder = own ? [own, ...providers.filter((each) => each !== own)] : [...providers];
    if (place.prefix !== null) return only ? [{ provider: only, model: asked }] : [];
    if (asked === null) return inOrder.map((provider) => ({ provider, model: null }));
    const link = linkOf(asked);
    const spelled = link && named(link.provider);
    if (link && spelled) return [{ provider: spelled, model: link.model }];
    if (own && asked === agent.model?.name) return [{ provider: own, model: asked }];
    return inOrder
      .map((provider) => ({ provider, model: asked, rank: fit(provider, asked) }))
      .filter(({ rank }) => rank !== undefined)
      .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
  }

  function allowed(provider: Provider, model: string | null): boolean {
    const { allow } = agent;
    if (allow === undefined || model === null) return true;
    return allow.some(
      (glob) =>
        (alias !== null && globMatches(glob, alias)) || globMatches(glob, `${provider.name}/${model}`),
    );
  }
}

/** 0: the name is one of its own; 1: it may have any; 2: it is a vendor with names of another kind, asked when nobody else is there. */
function fit(provider: Provider, asked: string): 0 | 1 | 2 | undefined {
  if (provider.models) return anyGlob(provider.models, asked) ? 0 : undefined;
  const own = ownModelsOf(provider);
  if (!own) return 1;
  return anyGlob(own, asked) ? 0 : 2;
}

/** Printable in any script; nothing that hides, turns or breaks a line where the name is shown. */
const isName = (text: string): boolean =>
  text.length <= maxNameChars &&
  /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(text) &&
  text.trim() === text &&
  !/^\.+$/.test(text);

const badName = (asked: string): Denial =>
  deny(
    400,
    'bad-model-name',
    `${quoted(asked)} is no name of a model`,
    `Send 1 to ${maxNameChars} printable characters, no blank at either end.`,
  );

const noName = deny(
  400,
  'no-model',
  'the request names no model',
  'Send the field `model`: an alias, provider/model, or a model of a configured provider.',
);

/** None is left. The gravest reason is said: what the owner forbade, then what would reach out, then the format. */
function nobody(
  place: Place,
  asked: string | null,
  wishes: readonly Wish[],
  skipped: readonly Skipped[],
  providers: readonly Provider[],
): Denial {
  const what = asked === null ? `${place.route.method} ${place.route.path}` : quoted(asked);
  const way = skipped
    .map(({ provider, model, why }) => `${provider}${model === null ? '' : ` ${quoted(model)}`}: ${why}`)
    .join('; ');
  const because = (why: string): Wish | undefined => wishes[skipped.findIndex((each) => each.why === why)];

  const forbidden = because('not-allowed');
  if (forbidden) {
    return deny(
      403,
      'model-not-allowed',
      `this agent may not use ${what} (${way})`,
      `The owner can add ${quoted(`${forbidden.name}/${forbidden.model}`)} to the agent's allow list in holdfast.yaml.`,
    );
  }
  const far = because('model-reaches-out');
  if (far?.provider && far.model !== null) {
    return deny(
      403,
      'model-reaches-out',
      `${what} is refused: ${kinds[far.provider.kind].modelReachesOut(far.model)}`,
      'Ask for a model that runs where its provider says.',
    );
  }
  if (because('not-spoken')) {
    return deny(
      404,
      'path-not-spoken',
      `no provider that may be asked for ${what} speaks ${place.route.method} ${place.asked} (${way})`,
      `Configured: ${providers.map((each) => `${each.name} (${each.kind})`).join(', ')}. Add one in holdfast.yaml.`,
    );
  }
  return deny(
    404,
    'model-not-found',
    way === '' ? `no configured provider serves ${what}` : `no provider is left for ${what} (${way})`,
    providers.length === 0
      ? 'Add a provider to holdfast.yaml, then run `holdfast config apply`.'
      : `Ask for an alias or provider/model. Providers: ${providers.map((each) => each.name).join(', ')}.`,
  );
}
