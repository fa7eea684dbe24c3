/** The controller's pages as one Hono app: guards first, then the pages of strangers, then those of the operator. processes/controller.ts serves it; tests talk to it without a port. */
import { type Context, Hono } from 'hono';
import { html } from 'hono/html';
import { assetCaching, assets } from '../view/stylesheet.ts';
import { command } from '../view/words.ts';
import { createLastDecided } from './decided.ts';
import { ownRequestsOnly, strictAnswers } from './headers.ts';
import { createHouse } from './house.ts';
import { type Env, membersOnly } from './member.ts';
import { askedRoutes } from './pages/asked.ts';
import { type ExchangeParts, exchangeRoutes } from './pages/exchanges.ts';
import { type KilledParts, killedRoutes } from './pages/killed.ts';
import { type LoginParts, loginRoutes, logoutRoutes } from './pages/login.ts';
import { type OverviewParts, overviewRoutes } from './pages/overview.ts';
import { setupRoutes } from './pages/setup.ts';

type Pages = LoginParts & OverviewParts & KilledParts & ExchangeParts;

export type AppParts = Omit<Pages, 'house' | 'decided'> & {
  /** The machine's name, for the frame. */
  machine: string;
};

export function createApp(given: AppParts): Hono<Env> {
  const house = createHouse(given);
  const parts: Pages = { ...given, house, decided: createLastDecided(given.now) };
  const { origins, sessions, operator } = given;
  const home = html`<a href="${origins.controller}/">${origins.controller}</a>`;
  const app = new Hono<Env>();

  app.onError((error, c) => house.fault(c, error));
  app.notFound((c) => house.told(c, 404, 'There is no such page.', html`See ${home}.`));

  app.use(strictAnswers);
  // Before the guard: they tell nothing, and the page that refuses a wrong address wears them.
  for (const { path, type, body } of assets) {
    app.get(path, (c) => c.body(body, 200, { 'content-type': type, 'cache-control': assetCaching }));
  }
  app.use(
    ownRequestsOnly(origins, (c, { status, text }) =>
      house.told(c, status, text, html`The controller is at ${home}.`),
    ),
  );

  app.route('/', setupRoutes(parts));
  app.route('/', loginRoutes(parts));

  const stranger = (c: Context): Response | Promise<Response> =>
    house.told(
      c,
      401,
      'You are logged out, so nothing was done.',
      html`<a href="/login">Log in</a>. To stop everything without a login: <code>${command('kill')}</code>.`,
    );
  app.use(membersOnly({ sessions, operator, stranger }));
  app.route('/', overviewRoutes(parts));
  app.route('/', askedRoutes(parts));
  app.route('/', exchangeRoutes(parts));
  app.route('/', killedRoutes(parts));
  app.route('/', logoutRoutes(parts));
  return app;
}
