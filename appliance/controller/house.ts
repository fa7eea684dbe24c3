/** The controller's pages in their frame: for the operator with state, ways and KILL; for a stranger with nothing that tells. Every page asks here for its frame. */
import type { Context } from 'hono';
import type { Inbox } from '../approvals/inbox.ts';
import { asProblemJson, Problem } from '../problem.ts';
import { frame } from '../view/frame.ts';
import type { Html } from '../view/html.ts';
import { notice } from '../view/notice.ts';
import { visibleLine } from '../view/visible.ts';
import type { Origins } from './headers.ts';
import type { Arming, Keeper } from './keeper.ts';

export type Page = {
  title: string;
  body: Html;
  /** The page of `/logout` holds that form itself. */
  current?: '/' | '/exchanges' | '/logout';
  refresh?: { seconds: number; href: string } | undefined;
  width?: 'narrow' | 'wide';
  /** Where the page has asked already. */
  arming?: Arming;
};

export type House = {
  /** For the logged-in operator. */
  page(page: Page): Promise<Html>;
  /** Before the login. */
  stranger(page: Pick<Page, 'title' | 'body'>): Html;
  /** A refusal or fault, in words, with the way on. */
  told(
    c: Context,
    status: 400 | 401 | 403 | 404 | 409 | 413 | 415 | 421 | 429 | 500 | 502 | 503,
    what: string,
    hint: Html | string,
  ): Response | Promise<Response>;
  fault(c: Context, error: unknown): Response | Promise<Response>;
};

export function createHouse(parts: {
  machine: string;
  origins: Origins;
  keeper: Keeper;
  inbox: Inbox;
}): House {
  const { machine, origins, keeper, inbox } = parts;
  const stranger: House['stranger'] = ({ title, body }) =>
    frame({ title, machine: '', width: 'narrow', body });

  const page: House['page'] = async ({ title, body, current, refresh, width, arming }) => {
    const { state } = arming ?? (await keeper.arming());
    return frame({
      title,
      machine,
      state,
      ways: [
        { href: '/', name: 'Overview', current: current === '/', badge: pendingCount(inbox) },
        { href: '/exchanges', name: 'Exchanges', current: current === '/exchanges' },
        { href: `${origins.chat}/`, name: 'Chat' },
      ],
      kill: '/kill',
      logout: current === '/logout' ? undefined : '/logout',
      refresh,
      width: width ?? 'wide',
      body,
    });
  };

  const told: House['told'] = async (c, status, what, hint) => {
    if (wantsJson(c)) return c.json({ type: 'holdfast:refused', status, title: what }, status);
    const body = notice(what, hint);
    const known = c.get('session') !== undefined;
    const shown = known
      ? await page({ title: what, body, width: 'narrow' })
      : await stranger({ title: what, body });
    return c.html(shown, status);
  };

  return {
    stranger,
    told,
    page,
    fault(c, error) {
      const json = asProblemJson(error);
      if (!(error instanceof Problem))
        process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      const status =
        ([400, 401, 403, 404, 409, 413, 415, 429, 502, 503] as const).find((each) => each === json.status) ??
        500;
      if (wantsJson(c)) return c.json(json, status, { 'content-type': 'application/problem+json' });
      return told(c, status, sentenceOf(json.title), visibleLine(json.hint, 500));
    },
  };
}

/** A broken database must not take the KILL button of this page with it. */
function pendingCount(inbox: Inbox): number {
  try {
    return inbox.pending().length;
  } catch {
    return 0;
  }
}

const wantsJson = (c: Context): boolean =>
  /^application\/(problem\+)?json/.test(c.req.header('accept') ?? '');

const sentenceOf = (text: string): string => {
  const line = visibleLine(text, 300);
  return `${line.charAt(0).toUpperCase()}${line.slice(1)}${/[.!?]$/.test(line) ? '' : '.'}`;
};
