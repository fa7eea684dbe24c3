/** The state word: the one thing on a page that earns colour. The frame and the pages of both houses show it. */
import { html } from 'hono/html';
import type { Html } from './html.ts';

export type StateWord = 'armed' | 'closed' | 'killed';

/** What the word means, for the title that a pointer or a screen reader finds. */
const meaning = {
  armed: 'The doors are open for what the rules allow.',
  closed: 'All doors are closed for now; they open by themselves when the keeper beats again.',
  killed: 'Everything is stopped until an operator re-arms.',
} satisfies Record<StateWord, string>;

export const stateWord = (state: StateWord): Html =>
  html`<strong class="state" data-state="${state}" title="${meaning[state]}">${state}</strong>`;

/** How good a row is: `good` runs or stands, `wait` comes by itself, `bad` wants somebody. */
export type Tone = 'good' | 'wait' | 'bad' | 'plain';

export const mark = (tone: Tone, word: string): Html =>
  html`<span class="mark" data-tone="${tone}">${word}</span>`;
