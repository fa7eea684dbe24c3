/** A table that is a table: a caption, headings with scope, and at narrow widths a list of labelled rows. Every page that lists something draws it here. */
import { html } from 'hono/html';
import type { Html } from './html.ts';

export type Cell = Html | string | number;

/** `optional`: not drawn when no row has anything in it. */
export type Column = { name: string; numeric?: boolean; optional?: boolean };

/** The first cell names its row. Text cells are escaped by the template; put text of others through `visible` first. */
export function table(caption: Html | string, columns: Column[], rows: Cell[][]): Html {
  const drawn = columns
    .map((column, at) => ({ ...column, at }))
    .filter(({ optional, at }) => !optional || rows.some((row) => row[at] !== undefined && row[at] !== ''));
  return html`<table>
  <caption>${caption}</caption>
  <thead><tr>${drawn.map((column) => html`<th scope="col"${numeric(column)}>${column.name}</th>`)}</tr></thead>
  <tbody>${rows.map(
    (row) =>
      html`<tr>${drawn.map((column) => html`<td data-label="${column.name}"${numeric(column)}>${row[column.at] ?? ''}</td>`)}</tr>`,
  )}</tbody>
</table>`;
}

const numeric = (column: Column): Html | '' => (column.numeric ? html` class="number"` : '');
