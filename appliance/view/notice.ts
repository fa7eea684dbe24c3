/** What a page says when there is nothing to show, and when something went wrong. Both say what to do next. */
import { html } from 'hono/html';
import type { Html } from './html.ts';

/** An empty state teaches: what would be here, and how it comes to be. */
export const empty = (what: string, how: Html | string): Html =>
  html`<div class="empty"><p><b>${what}</b></p><p>${how}</p></div>`;

/** A refusal or a fault, in words, with the way on. Read out at once by a screen reader. */
export const notice = (what: string, hint: Html | string = ''): Html =>
  html`<div class="notice" role="alert"><p><b>${what}</b></p>${hint === '' ? '' : html`<p>${hint}</p>`}</div>`;
