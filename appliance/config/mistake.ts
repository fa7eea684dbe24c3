/** One mistake in holdfast.yaml: where it is, what stands there, what should, and the nearest valid name. A value, not an error: the operator reads it. */
import { visibleLine } from '../view/visible.ts';

export type Mistake = {
  /** `agents.main.egress[0].host`; empty for the file as a whole. */
  path: string;
  /** Both from 1. */
  line: number;
  column: number;
  /** What stands there, in words. Never the text of a field that could hold a secret. */
  got: string;
  expected: string;
  nearest?: string;
};

/** One that no single field shows; its place in the text is not looked up yet. */
export type Crossed = Omit<Mistake, 'path' | 'line' | 'column'> & { path: Path };

export type Path = readonly (string | number)[];

export const pathText = (path: Path): string =>
  path.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('');

/** One line for a terminal, hostile text made visible: `holdfast.yaml:3:5 chat.prot: got …, expected …`. */
export function mistakeLine(file: string, each: Mistake): string {
  const where = `${visibleLine(file)}:${each.line}:${each.column}`;
  const path = each.path === '' ? '' : ` ${visibleLine(each.path)}`;
  const nearest = each.nearest === undefined ? '' : ` Did you mean “${visibleLine(each.nearest)}”?`;
  return `${where}${path}: got ${visibleLine(each.got)}, expected ${visibleLine(each.expected, 400)}.${nearest}`;
}
