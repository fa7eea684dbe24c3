/** The chat's pages that say one thing: a refusal, a fault, the step after a login. routes.ts and login.ts answer with them. */
import { html } from 'hono/html';
import type { ProblemJson } from '../../problem.ts';
import { frame } from '../../view/frame.ts';
import type { Html } from '../../view/html.ts';
import { notice } from '../../view/notice.ts';
import { visible } from '../../view/visible.ts';
import { linked } from './links.ts';

/** `chat` is its whole address: the page may stand under a wrong one. */
export const problemPage = (problem: ProblemJson, chat: string): Html =>
  frame({
    title: 'Not done',
    machine: 'chat',
    width: 'narrow',
    body: html`<h1>${visible(sentence(problem.title))}</h1>
${problem.hint === '' ? '' : html`<p>${visible(problem.hint)}</p>`}
<p><a href="${chat}">To the chat</a></p>`,
  });

/** The end of a logout: `/` would log in again at once by the controller's session. */
export const loggedOutPage = (controller: string): Html =>
  frame({
    title: 'Logged out',
    machine: 'chat',
    width: 'narrow',
    body: html`<h1>Logged out of the chat</h1>
<p><a href="/">Log in again</a></p>
<p><a href="${controller}/logout">Log out of the controller too</a></p>`,
  });

/** A page and not a redirect: see login.ts. */
export const arrived = (): Html =>
  frame({
    title: 'Logged in',
    machine: 'chat',
    width: 'narrow',
    refresh: { seconds: 0, href: '/' },
    body: html`<h1>Logged in</h1><p><a href="/">To the chat</a></p>`,
  });

export type NotSaid = { agent: string; text: string; reason: string; hint: string; compose: Html };

/** What could not be said comes back into the field: nothing that somebody typed is lost. */
export const notSaidPage = ({ agent, reason, hint, compose }: NotSaid): Html =>
  frame({
    title: 'Not said',
    machine: 'chat',
    width: 'narrow',
    kill: `/a/${agent}/kill`,
    body: html`${notice(`Not said: ${visible(reason)}.`, html`${linked(visible(hint))}`)}
${compose}
<p><a href="/a/${agent}">Back to ${agent}</a></p>`,
  });

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
