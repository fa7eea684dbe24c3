/** The chains of an alias: which providers a name leads to, in the owner's order. Read by plan.ts; probe.ts watches what stands in one. */
import type { Provider } from '../kinds/kind.ts';

/** By alias: `provider/model`, the first is asked first. */
export type Aliases = Readonly<Record<string, readonly string[]>>;

export type Link = { provider: string; model: string };

/** More steps than an agent waits for. The rest of a longer chain is never asked. */
const maxLinks = 16;

/** `provider/model`; the model may hold more slashes. Undefined when it is neither. */
export function linkOf(entry: string): Link | undefined {
  const slash = entry.indexOf('/');
  if (slash <= 0 || slash === entry.length - 1) return undefined;
  return { provider: entry.slice(0, slash), model: entry.slice(slash + 1) };
}

/** The agent's own alias, else the one of all; a chain leads to providers only, never to an alias again. */
export function chainOf(name: string, ...tables: readonly Aliases[]): readonly string[] | undefined {
  const table = tables.find((each) => Object.hasOwn(each, name));
  return table?.[name]?.slice(0, maxLinks);
}

/** The providers whose health somebody asks for: those in a chain with somebody to step in. */
export function chained(tables: readonly Aliases[], providers: readonly Provider[]): Provider[] {
  const names = new Set<string>();
  for (const chain of tables.flatMap((table) => Object.values(table))) {
    const found = new Set(chain.slice(0, maxLinks).map((entry) => linkOf(entry)?.provider ?? ''));
    if (found.size > 1) for (const name of found) names.add(name);
  }
  return providers.filter((each) => names.has(each.name));
}
