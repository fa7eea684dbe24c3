/** Facts on a terminal: tables, lines and JSON. All text goes through `visible`, because names, reasons and commands can be an agent's. */
import { defaultHome } from '../paths.ts';
import { visible, visibleLine } from '../view/visible.ts';

export const say = (line: string): void => void process.stdout.write(`${visible(line)}\n`);

/** Beside the facts: for a person, never for a pipe. */
export const note = (line: string): void => void process.stderr.write(`${visible(line)}\n`);

export const json = (facts: unknown): void =>
  void process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);

/** Columns as wide as their widest cell; the last one is not cut. */
export function table(titles: string[], rows: unknown[][]): string {
  const cells = [titles, ...rows].map((row) => row.map((cell) => visibleLine(cell, 400)));
  const widths = titles.map((_, at) => Math.max(...cells.map((row) => (row[at] ?? '').length)));
  return cells
    .map((row) =>
      row
        .map((cell, at) => (at === titles.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** What to type for a yes, also where the home is not the usual one. */
export const approveLine = (home: string, id: string): string =>
  `holdfast approvals approve ${id}${home === defaultHome() ? '' : ` --home ${home}`}`;

export function ago(sinceMs: number, nowMs: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((nowMs - sinceMs) / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
