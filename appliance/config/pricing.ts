/** Writes the price of a model into holdfast.yaml without touching another line: `holdfast models price`, by way of the controller. */
import { type Document, isMap, isScalar, LineCounter, type Pair, parseDocument, type YAMLMap } from 'yaml';
import type { OwnPrice } from '../../proxies/llm/kinds/kind.ts';
import { parseConfig } from '../config.ts';
import { diffConfig } from './diff.ts';
import { type Edited, endOf, refuse } from './edit.ts';

export function setPrice(text: string, provider: string, model: string, price: OwnPrice): Edited {
  const before = parseConfig(text, 'holdfast.yaml');
  if (!before.ok)
    return {
      ok: false,
      code: 'config',
      why: 'the configuration has mistakes',
      hint: 'See `holdfast config check`.',
    };
  const known = Object.keys(before.config.providers);
  if (!known.includes(provider)) {
    const hint = known.length > 0 ? `There is: ${known.join(', ')}.` : 'None is configured.';
    return refuse(`there is no provider ${provider}`, hint);
  }
  const next = written(text, provider, model, price);
  const parsed = parseConfig(next, 'holdfast.yaml');
  if (!parsed.ok) {
    const [first] = parsed.mistakes;
    return refuse(`got ${first?.got}, expected ${first?.expected}`, 'Say what it costs in another way.');
  }
  const field = `providers.${provider}.prices`;
  const changed = diffConfig(before.config, parsed.config);
  const asMeant = parsed.config.providers[provider]?.prices?.[model];
  if (
    changed.every((path) => path.startsWith(field)) &&
    asMeant !== undefined &&
    diffConfig(asMeant, price).length === 0
  )
    return { ok: true, text: next, parsed };
  return refuse('the file is written in a way that this edit would change more', 'Edit it by hand.');
}

/** By offsets, because `yaml` moves comments when it prints. */
function written(text: string, provider: string, model: string, price: OwnPrice): string {
  const counter = new LineCounter();
  const document: Document = parseDocument(text, { stringKeys: true, lineCounter: counter });
  const entry = pairIn(document.get('providers'), provider);
  const prices = pairIn(entry?.value, 'prices');
  const line = `${key(model)}: ${flow(price)}`;
  const existing = pairIn(prices?.value, model);
  if (existing) {
    const [from, to] = rangeOf(existing.value);
    return `${text.slice(0, from)}${flow(price)}${text.slice(to)}`;
  }
  if (prices && isMap(prices.value)) return into(text, counter, prices, line);
  // `prices:` with nothing below it.
  if (prices) {
    const end = text.indexOf(':', rangeOf(prices.key)[1]) + 1;
    return `${text.slice(0, end)} { ${line} }${text.slice(end)}`;
  }
  if (entry && isMap(entry.value)) return into(text, counter, entry, `prices: { ${line} }`);
  return text;
}

/** One more line (or, within braces, one more member) at the end of a map that is a pair's value. */
function into(text: string, counter: LineCounter, pair: Pair, line: string): string {
  const map = pair.value as YAMLMap;
  if (map.flow) {
    const closing = rangeOf(map)[1] - 1;
    const inner = text.slice(rangeOf(map)[0] + 1, closing);
    const kept = inner.replace(/[\s,]+$/, '');
    const comma = kept.trim() === '' ? ' ' : ', ';
    return `${text.slice(0, rangeOf(map)[0] + 1)}${kept}${comma}${line} ${text.slice(closing)}`;
  }
  const place = (node: unknown): { line: number; column: number } => {
    const { line: at, col } = counter.linePos(rangeOf(node)[0]);
    return { line: at - 1, column: col - 1 };
  };
  const lines = text.split('\n');
  const start = place(pair.key);
  const indent = ' '.repeat(place(map.items[0]?.key).column);
  const end = endOf(lines, start.line, start.column);
  return lines.toSpliced(end, 0, `${indent}${line}`).join('\n');
}

function pairIn(map: unknown, name: string): Pair | undefined {
  if (!isMap(map)) return undefined;
  return map.items.find((each) => isScalar(each.key) && String(each.key.value) === name);
}

const rangeOf = (node: unknown): [number, number] => {
  const [from = 0, to = from] =
    (node as { range?: [number, number, number] } | null | undefined)?.range ?? [];
  return [from, to];
};

/** JSON's text is YAML's too, and a name may hold what YAML reads otherwise. */
const key = (name: string): string => (/^[a-zA-Z][a-zA-Z0-9._-]*$/.test(name) ? name : JSON.stringify(name));

const flow = (price: OwnPrice): string =>
  `{ ${Object.entries(price)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? JSON.stringify(value) : value}`)
    .join(', ')} }`;
