/** The one-time code that carries a login from the controller to the chat: a minute long, for one state, once. The chat-login page makes it, session-control.ts redeems it. */
import { createHash, randomBytes } from 'node:crypto';

const lifeMs = 60_000;
const maxOpen = 100;

/** What the gateway draws for each login and keeps in a cookie of its own. */
export const chatStatePattern = /^[A-Za-z0-9_-]{16,128}$/;

export type ChatCodes = {
  make(state: string, parent: string): string;
  /** The parent session's key, once. A wrong state burns the code: whoever has it should not. */
  redeem(code: string, state: string): string | undefined;
};

/** In memory: a restart within the minute costs one more click. */
export function createChatCodes(now: () => number): ChatCodes {
  const open = new Map<string, { state: string; parent: string; untilMs: number }>();
  return {
    make(state, parent) {
      for (const [key, each] of open) if (now() >= each.untilMs) open.delete(key);
      const oldest = open.keys().next().value;
      if (open.size >= maxOpen && oldest !== undefined) open.delete(oldest);
      const code = randomBytes(32).toString('base64url');
      open.set(hashOf(code), { state, parent, untilMs: now() + lifeMs });
      return code;
    },
    redeem(code, state) {
      const key = hashOf(code);
      const found = open.get(key);
      open.delete(key);
      if (!found || now() >= found.untilMs || found.state !== state) return undefined;
      return found.parent;
    },
  };
}

/** Looked up by hash: the time of a look-up tells nothing about the code. */
const hashOf = (code: string): string => createHash('sha256').update(code).digest('hex');
