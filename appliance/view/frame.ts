/** The frame of every page of both houses: name, state, ways, KILL at its one place. Pages of the controller and of the gateway put their body into it. */
import { html } from 'hono/html';
import type { Html } from './html.ts';
import { type StateWord, stateWord } from './state.ts';
import { icon, stylesheet } from './stylesheet.ts';

export type Way = { href: string; name: string; current?: boolean; badge?: number };

export type Frame = {
  title: string;
  /** The machine's name: whoever runs two must see which one this is. */
  machine: string;
  /** Absent before the login: a stranger is told nothing. */
  state?: StateWord | undefined;
  ways?: Way[];
  /** Where the kill form goes; absent only before the login. */
  kill?: string | undefined;
  /** Where the logout form goes. */
  logout?: string | undefined;
  /** Ask again by itself; only where something is pending. */
  refresh?: { seconds: number; href: string } | undefined;
  /** `narrow` for one form or one message, `wide` for tables. */
  width?: 'narrow' | 'wide';
  body: Html;
};

export function frame(page: Frame): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${page.title} · Holdfast</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
${page.refresh ? html`<meta http-equiv="refresh" content="${page.refresh.seconds};url=${page.refresh.href}">` : ''}
<link rel="stylesheet" href="${stylesheet.href}">
<link rel="icon" type="image/svg+xml" href="${icon.href}">
</head>
<body>
<a class="skip" href="#page">To the page</a>
<header class="top">
  <div class="name"><b>Holdfast</b> <span>${page.machine}</span>${page.state ? stateWord(page.state) : ''}</div>
  ${page.ways?.length ? html`<nav aria-label="Pages"><ul>${page.ways.map(wayItem)}</ul></nav>` : ''}
  ${page.kill ? html`<form class="kill" method="post" action="${page.kill}"><button title="Stops every agent and closes every door, at once">KILL</button></form>` : ''}
</header>
<main id="page" class="${page.width ?? 'wide'}">
${page.body}
</main>
${page.logout ? html`<footer><form method="post" action="${page.logout}"><button class="quiet">Log out</button></form></footer>` : ''}
</body>
</html>`;
}

const wayItem = (way: Way): Html =>
  html`<li><a href="${way.href}"${way.current ? html` aria-current="page"` : ''}>${way.name}${way.badge ? html` <span class="badge">${way.badge}</span>` : ''}</a></li>`;
