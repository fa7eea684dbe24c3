/** The chat at http://localhost:18789, for people. processes/gateway.ts serves it on the gateway's door. */
import { type Context, Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { asProblemJson, Problem } from '../problem.ts';
import type { StateWord } from '../view/state.ts';
import { assetCaching, assets } from '../view/stylesheet.ts';
import { command } from '../view/words.ts';
import { answerHeaders, guardRequest, type Site } from './headers.ts';
import type { History } from './history.ts';
import { createCheck, loginRoutes, needsSession, type Operator } from './login.ts';
import type { Neighbours } from './neighbours.ts';
import { chatPage, composer } from './pages/chat.ts';
import { notSaidPage, problemPage } from './pages/message.ts';
import { killedNotice, modelSetup, worldNotice } from './pages/setup.ts';
import { chatSheet } from './pages/sheet.ts';
import {
  type AgentPart,
  agentOf,
  approvalsUrl,
  chatUrl,
  controllerUrl,
  type GatewayPart,
  killedUrl,
} from './part.ts';
import type { Say } from './say.ts';
import type { Turns } from './turn.ts';

export type ChatParts = {
  part: () => GatewayPart;
  neighbours: Neighbours;
  turns: Turns;
  say: Say;
  history: (agent: string) => History;
  onFault: (error: unknown) => void;
};

const maxBodyBytes = 256 * 1024; // the longest text, percent-encoded in a script of three bytes a character

export function createChat(parts: ChatParts): Hono<Operator> {
  const controller = (): string => controllerUrl(parts.part());
  const site = (): Site => ({ chatPort: parts.part().chatPort, controller: controller() });
  const login = { neighbours: parts.neighbours, controller };
  const check = createCheck(login);
  const app = new Hono<Operator>();

  app.use(answerHeaders(site));
  // Before the guard: they tell nothing, and the page that refuses a wrong address wears them.
  for (const each of [...assets, chatSheet]) {
    app.get(each.path, (c) =>
      c.body(each.body, 200, { 'content-type': each.type, 'cache-control': assetCaching }),
    );
  }
  app.use(guardRequest(site));
  app.onError((error, c) => {
    if (!(error instanceof Problem)) parts.onFault(error);
    const problem = asProblemJson(error);
    return c.html(problemPage(problem, chatUrl(parts.part())), problem.status as 500);
  });
  app.notFound(() => {
    throw new Problem('no-page', 404, 'there is no such page', '');
  });
  app.use(
    bodyLimit({
      maxSize: maxBodyBytes,
      onError: () => {
        throw new Problem('too-large', 413, `the form is over ${maxBodyBytes} bytes`, 'Say less at once.');
      },
    }),
  );
  app.route('/', loginRoutes(login, check));
  app.use(needsSession(check, controller));

  app.get('/', (c) => {
    const [first] = Object.keys(parts.part().agents);
    if (first === undefined) {
      throw new Problem('no-agent', 404, 'there is no agent', `Add one: ${command('agent add NAME')}`);
    }
    return c.redirect(`/a/${first}`, 302);
  });

  app.get('/a/:agent', async (c) => {
    const { agent, of } = theAgent(c, parts.part());
    const [state, worlds, asked] = await Promise.all([
      parts.neighbours.keeperState().then(
        (now): StateWord => now.state,
        (): StateWord => 'closed',
      ),
      // A page without these is better than none; /status names the reason.
      parts.neighbours.worlds().catch(() => []),
      parts.neighbours.approvals(agent).catch(() => []), // as above
    ]);
    const part = parts.part();
    // Read together, with nothing awaited between: an answer is either open or kept.
    const entries = [...parts.history(agent).entries()];
    const turn = parts.turns.open(agent);
    const folded = entries.length > 0 || turn !== undefined;
    const pieces = chatPage({
      agent,
      machine: part.instance,
      state,
      ways: [
        ...Object.keys(part.agents).map((name) => ({ href: `/a/${name}`, name, current: name === agent })),
        { href: `${controller()}/`, name: 'Controller' },
      ],
      notices: [
        worldNotice(
          worlds.find((world) => world.agent === agent),
          folded,
          part.pagesOnly,
        ),
        part.pagesOnly ? undefined : modelSetup(agent, of, part, folded),
        state === 'killed' ? killedNotice(killedUrl(part)) : undefined,
      ].filter((each) => each !== undefined),
      entries,
      turn,
      asked,
      approvalsUrl: approvalsUrl(part),
      // A controller that does not answer is no session: the page ends, the answer goes on.
      mayGoOn: async () => (await check(c.get('session')).catch(() => undefined)) !== undefined,
    });
    return c.body(asBytes(pieces), 200, { 'content-type': 'text/html; charset=utf-8' });
  });

  app.post('/a/:agent/say', async (c) => {
    const { agent } = theAgent(c, parts.part());
    const { text } = await c.req.parseBody();
    if (typeof text !== 'string') throw new Problem('bad-form', 400, 'the form has no text', '');
    const said = await parts.say(agent, text, c.get('operator'));
    if ('refused' in said) {
      const compose = composer(agent, undefined, text);
      return c.html(notSaidPage({ agent, text, ...said.refused, compose }), 409);
    }
    return c.redirect(`/a/${agent}`, 303);
  });

  app.post('/a/:agent/stop', (c) => {
    const { agent } = theAgent(c, parts.part());
    parts.turns.open(agent)?.stop('stopped by you');
    return c.redirect(`/a/${agent}`, 303);
  });

  // The same as the command, so that the receipt stands in the talk.
  app.post('/a/:agent/kill', async (c) => {
    const { agent } = theAgent(c, parts.part());
    await parts.say(agent, '/kill', c.get('operator'));
    return c.redirect(`/a/${agent}`, 303);
  });

  return app;
}

function theAgent(c: Context, part: GatewayPart): { agent: string; of: AgentPart } {
  const agent = c.req.param('agent') ?? '';
  const of = agentOf(part, agent);
  if (!of) throw new Problem('no-agent', 404, 'there is no agent of this name', '');
  return { agent, of };
}

/** Pulled by the browser: a slow one slows its own page and nothing else. */
function asBytes(pieces: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(stream) {
        const { value, done } = await pieces.next();
        if (done) stream.close();
        else stream.enqueue(encoder.encode(value));
      },
      async cancel() {
        await pieces.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
