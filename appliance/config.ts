/** Reads holdfast.yaml: text in, the configuration with its digest out, or every mistake with its place. The one-shot job processes/config.ts and the CLI call it. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
} from 'yaml';
import type { z } from 'zod';
import { crossChecks } from './config/crosscheck.ts';
import { expected, got, wanted } from './config/expected.ts';
import { type Mistake, type Path, pathText } from './config/mistake.ts';
import { nearest } from './config/nearest.ts';
import { kindsMeant } from './config/provider.ts';
import { reservedNames, schema } from './config/schema.ts';
import { mayStandEmpty, type Shape, shape, shapeAt } from './config/shape.ts';
import { type Config, digestOf } from './settings.ts';

export type Parsed =
  /** `digest` is the sha256 of the canonical JSON, defaults included: the policy version. */
  | { ok: true; file: string; config: Config; digest: string }
  | { ok: false; file: string; mistakes: Mistake[] };

const maxBytes = 256 * 1024; // a person's file; the limit keeps a wrong path (a disk image) from being read as YAML

type Place = { line: number; column: number };

export function parseConfig(text: string, file: string): Parsed {
  const wrong = (mistakes: Mistake[]): Parsed => ({
    ok: false,
    file,
    mistakes: mistakes.toSorted((a, b) => a.line - b.line || a.column - b.column),
  });
  if (Buffer.byteLength(text) > maxBytes) {
    return wrong([
      { path: '', line: 1, column: 1, got: 'a larger file', expected: `at most ${maxBytes} bytes` },
    ]);
  }
  const lines = new LineCounter();
  // YAML 1.2 core: no merge keys, no dates; a key must be text and stand once.
  const doc = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const faults = [...doc.errors, ...doc.warnings];
  if (faults.length > 0) {
    return wrong(
      faults.map((each) => ({ ...fromFault(each, doc.contents), ...at(each.pos[0]), expected: 'YAML 1.2' })),
    );
  }
  const root = doc.contents as Node | null;
  const odd = firstOdd(root, []);
  if (odd) return wrong([{ ...odd.mistake, ...at(odd.offset) }]);

  const value: unknown = withoutEmptySections(doc.toJS() ?? {}, shape);
  const place = (path: Path, onKey: boolean): Place => at(offsetOf(root, path, onKey));
  const parsed = schema.safeParse(value);
  if (!parsed.success) return wrong(parsed.error.issues.flatMap((issue) => fromIssue(issue, value, place)));
  const config: Config = parsed.data;
  const crossed = crossChecks(config).map(({ path, ...rest }) => ({
    path: pathText(path),
    ...place(path, false),
    ...rest,
  }));
  return crossed.length > 0 ? wrong(crossed) : { ok: true, file, config, digest: digestOf(config) };
}

/** A key that stands twice is named; everything else that is no YAML is told by the parser. */
function fromFault({ code, message, pos }: YAMLError, root: unknown): { path: string; got: string } {
  const path = code === 'DUPLICATE_KEY' ? pathOfKey(root, pos[0], []) : undefined;
  if (path === undefined) return { path: '', got: message };
  return { path: pathText(path), got: `“${path.at(-1)}” a second time (names must be unique)` };
}

function pathOfKey(node: unknown, offset: number, path: Path): Path | undefined {
  if (isSeq(node)) return first(node.items, (item, at) => pathOfKey(item, offset, [...path, at]));
  if (!isMap(node)) return undefined;
  return first(node.items, (pair: Pair) => {
    const here = [...path, keyOf(pair)];
    return startOf(pair.key) === offset ? here : pathOfKey(pair.value, offset, here);
  });
}

type Locate = (path: Path, onKey: boolean) => Place;

function fromIssue(issue: z.core.$ZodIssue, value: unknown, place: Locate): Mistake[] {
  const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  if (issue.code === 'unrecognized_keys') {
    const valid = Object.keys(shapeAt(path)?.properties ?? {});
    return issue.keys.map((key) => unknownName([...path, key], key, valid, place));
  }
  const here = valueAt(value, path);
  const mistake: Mistake = {
    path: pathText(path),
    ...place(path, issue.code === 'invalid_key'),
    got: issue.code === 'invalid_key' ? badName(String(path.at(-1))) : got(here, path),
    expected: expected(issue, path),
  };
  const near = typeof here === 'string' ? meant(here, path) : undefined;
  return [near === undefined ? mistake : { ...mistake, nearest: near }];
}

/** Of the few words that may stand there. */
function meant(word: string, path: Path): string | undefined {
  const words = shapeAt(path)?.enum ?? [];
  const other = kindsMeant[word.toLowerCase()];
  return path.at(-1) === 'kind' && other !== undefined ? other : nearest(word, words);
}

const badName = (key: string): string =>
  reservedNames.includes(key) ? `“${key}”, which is reserved` : `“${key}”`;

function unknownName(path: Path, key: string, valid: string[], place: Locate): Mistake {
  const near = nearest(key, valid);
  return {
    path: pathText(path),
    ...place(path, true),
    got: `the unknown name “${key}”`,
    expected: valid.length > 0 ? `one of ${valid.join(', ')}` : 'nothing there',
    ...(near === undefined ? {} : { nearest: near }),
  };
}

/** Aliases and `__proto__` have no use in this file and are how such files surprise their reader. */
function firstOdd(
  node: unknown,
  path: Path,
): { mistake: Omit<Mistake, 'line' | 'column'>; offset: number } | undefined {
  if (isAlias(node)) return odd(node, path, 'an alias', 'the value itself');
  if (isSeq(node)) return first(node.items, (item, at) => firstOdd(item, [...path, at]));
  if (!isMap(node)) return undefined;
  return first(node.items, (pair: Pair) => {
    const key = keyOf(pair);
    if (key === '__proto__') return odd(pair.key, path, `the name “${key}”`, wanted(shapeAt(path) ?? {}));
    return firstOdd(pair.value, [...path, key]);
  });
}

const odd = (node: unknown, path: Path, seen: string, want: string): ReturnType<typeof firstOdd> => ({
  mistake: { path: pathText(path), got: seen, expected: want },
  offset: startOf(node),
});

function first<T, R>(items: readonly T[], look: (item: T, at: number) => R | undefined): R | undefined {
  for (const [at, item] of items.entries()) {
    const found = look(item, at);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** `providers:` with all its lines commented out is a section with nothing in it, not a mistake. */
function withoutEmptySections(value: unknown, at: Shape | undefined): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutEmptySections(item, at?.items));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]): [string, unknown][] => {
      const named = at?.properties && Object.hasOwn(at.properties, key) ? at.properties[key] : undefined;
      if (inner === null && named) return mayStandEmpty(named) ? [] : [[key, inner]];
      const entry =
        named ?? (typeof at?.additionalProperties === 'object' ? at.additionalProperties : undefined);
      return [[key, inner === null && entry ? {} : withoutEmptySections(inner, entry)]];
    }),
  );
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const part of path) at = (at as Record<string | number, unknown> | null | undefined)?.[part];
  return at;
}

const keyOf = (pair: Pair): string => String(isScalar(pair.key) ? pair.key.value : pair.key);

const startOf = (node: unknown): number =>
  (node as { range?: [number, number, number] } | null)?.range?.[0] ?? 0;

/** Where the path stands, or the nearest parent that is written. */
function offsetOf(root: unknown, path: Path, onKey: boolean): number {
  let node = root;
  let offset = 0;
  for (const [depth, part] of path.entries()) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find((each) => keyOf(each) === part);
      if (!pair) return offset;
      const key = startOf(pair.key);
      const empty = isScalar(pair.value) && pair.value.value === null;
      offset = (onKey && depth === path.length - 1) || empty || isMap(pair.value) ? key : startOf(pair.value);
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number' && node.items[part]) {
      node = node.items[part];
      offset = startOf(node);
    } else return offset;
  }
  return offset;
}
