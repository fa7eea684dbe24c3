/** session.sock: the gateway redeems the one-time code of a login, checks a session and ends it. It stores none, and what it holds opens nothing at the controller. */
import { z } from 'zod';
import { Problem } from '../problem.ts';
import type { Routes } from '../socket.ts';
import type { RecordAct } from './acts.ts';
import { parsed } from './boundary.ts';
import { type ChatCodes, chatStatePattern } from './chatcode.ts';
import type { Sessions } from './session.ts';

const redeemSchema = z.strictObject({
  code: z.string().max(256),
  state: z.string().regex(chatStatePattern).describe('as it came back beside the code'),
});
const sessionSchema = z.strictObject({ session: z.string().max(512) });

/** There is one operator. */
const operator = 'operator';

export function sessionRoutes(parts: {
  sessions: Sessions;
  chatCodes: ChatCodes;
  record: RecordAct;
}): Routes {
  const { sessions, chatCodes, record } = parts;
  return {
    'POST /redeem': async ({ body }) => {
      const { code, state } = parsed(redeemSchema, body);
      const parent = chatCodes.redeem(code, state);
      const session = parent === undefined ? undefined : sessions.startChat(parent);
      if (session === undefined) {
        await record({ act: 'chat-login-refused', by: 'unknown', from: 'session' });
        throw new Problem(
          'bad-code',
          403,
          'this login code is used, too old, or for another login',
          'Open the chat anew.',
        );
      }
      return { session, operator };
    },
    'POST /check': ({ body }) =>
      sessions.find(parsed(sessionSchema, body).session, 'chat') ? { ok: true, operator } : { ok: false },
    'POST /end': async ({ body }) => {
      const found = sessions.find(parsed(sessionSchema, body).session, 'chat');
      if (!found) return { ended: false };
      sessions.end(found.key);
      await record({ act: 'chat-logout', by: operator, from: 'session', session: found.key.slice(0, 12) });
      return { ended: true };
    },
  };
}
