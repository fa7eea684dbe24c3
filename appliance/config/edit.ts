/** Edits of holdfast.yaml that keep every other line as it stands: `holdfast agent add` and `remove`, by way of the controller. */
import { type Document, isMap, LineCounter, parseDocument, type YAMLMap } from 'yaml';
import { type Parsed, parseConfig } from '../config.ts';
import { diffConfig } from './diff.ts';

type Good = Extract<Parsed, { ok: true }>;

export type Edited =
  | { ok: true; text: string; parsed: Good }
  | { ok: false; code: 'not-edited' | 'config'; why: string; hint: string };

export const refuse = (why: string, hint: string): Edited => ({ ok: false, code: 'not-edited', why, hint });

/** The file itself is wrong, edit or not. */
const mistaken = (why: string, hint: string): Edited => ({ ok: false, code: 'config', why, hint });

export function addAgent(text: string, name: string): Edited {
  return edit(text, name, (source, known) => {
    if (known.includes(name)) return refuse(`there is an agent ${name} already`, 'Choose another name.');
    const block = source.block;
    if (block) return source.with(block.entries.at(-1)?.end ?? 0, 0, [`${block.indent}${name}:`]);
    const { document } = source;
    // Where nothing is written the default stands; writing one agent must not take it away.
    if (!isMap(document.get('agents'))) {
      document.set('agents', document.createNode(Object.fromEntries(known.map((each) => [each, null]))));
    }
    document.setIn(['agents', name], null);
    return document.toString(print);
  });
}

/** Takes it out of the configuration only: its folder stays. */
export function removeAgent(text: string, name: string): Edited {
  return edit(text, name, (source, known) => {
    if (!known.includes(name)) return refuse(`there is no agent ${name}`, `There is: ${known.join(', ')}.`);
    if (known.length === 1) return refuse(`${name} is the only agent`, 'Add another one first.');
    const entry = source.block?.entries.find((each) => each.name === name);
    if (entry) return source.with(entry.start, entry.end - entry.start, []);
    source.document.deleteIn(['agents', name]);
    return source.document.toString(print);
  });
}

const print = { lineWidth: 0, nullStr: '' } as const;

/** Line numbers from 0; `end` is the line after the last. */
type Entry = { name: string; start: number; end: number };

type Source = {
  document: Document;
  /** The agents, when they are written one below the other. `yaml` moves comments when it prints, so lines are edited instead. */
  block: { indent: string; entries: Entry[] } | undefined;
  with(from: number, remove: number, add: string[]): string;
};

function edit(
  text: string,
  name: string,
  change: (source: Source, known: string[]) => string | Edited,
): Edited {
  const before = parseConfig(text, 'holdfast.yaml');
  if (!before.ok) return mistaken('the configuration has mistakes', 'See `holdfast config check`.');
  const next = change(read(text), Object.keys(before.config.agents));
  if (typeof next !== 'string') return next;
  const parsed = parseConfig(next, 'holdfast.yaml');
  if (!parsed.ok) {
    const [first] = parsed.mistakes;
    return refuse(`got ${first?.got}, expected ${first?.expected}`, 'Choose another name.');
  }
  const changed = diffConfig(before.config, parsed.config);
  if (changed.length === 1 && changed[0] === `agents.${name}`) return { ok: true, text: next, parsed };
  return refuse(
    `the file is written in a way that this edit would change ${changed.join(', ')}`,
    'Edit it by hand.',
  );
}

function read(text: string): Source {
  const counter = new LineCounter();
  const document = parseDocument(text, { stringKeys: true, lineCounter: counter });
  const agents = document.get('agents');
  const lines = text.split('\n');
  return {
    document,
    block:
      isMap(agents) && !agents.flow && agents.items.length > 0 ? blockOf(agents, lines, counter) : undefined,
    with: (from, remove, add) => lines.toSpliced(from, remove, ...add).join('\n'),
  };
}

function blockOf(agents: YAMLMap, lines: string[], counter: LineCounter): Source['block'] {
  const places = agents.items.map(({ key }) => {
    const node = key as { value: unknown; range?: [number, number, number] };
    const { line, col } = counter.linePos(node.range?.[0] ?? 0);
    return { name: String(node.value), start: line - 1, column: col - 1 };
  });
  const indent = ' '.repeat(places[0]?.column ?? 2);
  return {
    indent,
    entries: places.map(({ name, start }) => ({ name, start, end: endOf(lines, start, indent.length) })),
  };
}

/** An entry ends where something stands at its own indent or further left, a comment included; blank lines before that are not its. */
export function endOf(lines: string[], start: number, indent: number): number {
  let end = start + 1;
  for (let at = start + 1; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    if (line.trim() === '') continue;
    if (line.length - line.trimStart().length <= indent) break;
    end = at + 1;
  }
  return end;
}
