/** Logins that stand in for keys: a device code that a person enters elsewhere (RFC 8628), then access tokens that are refreshed here and nowhere else (RFC 6749 section 6). Made by the llm process; keyring.ts asks for a token. */
import type { Armed } from '../../armed.ts';
import type { Secret } from '../../secret.ts';
import { type Denial, leaseDenial } from '../denial.ts';
import type { LoginSettings, Provider } from '../kinds/kind.ts';
import { type Clock, createAsk } from './authorizer.ts';
import { askCode, awaitGrant } from './device.ts';
import { type Grant, grantOf, savedOf, textOf } from './grant.ts';
import { type Held, type LoginStanding, loginNeeded, noLogin, notRenewed, standingOf } from './held.ts';

/** What a person must do: open the page and enter the code. */
export type Prompt = {
  verificationUri: string;
  userCode: string;
  expiresAt: Date;
  /** Undefined when the login is held; it never rejects. */
  done: Promise<Denial | undefined>;
};

export type Logins = {
  /** Begins a login; one that was under way for this provider ends. */
  begin(provider: Provider, signal?: AbortSignal): Promise<Prompt | Denial>;
  /** The access token to place. Waits only when none is valid now. */
  token(provider: Provider): Promise<Secret | Denial>;
  standing(): LoginStanding[];
  /** Providers as configured now: a login whose addresses or client changed is not used any more. */
  keep(providers: readonly Provider[]): void;
  close(): void;
};

export type LoginParts = {
  /** By provider name. What is written is secret: a 0600 file that only the llm process reads. */
  store: {
    read(name: string): Promise<string | undefined>;
    write(name: string, text: string): Promise<void>;
  };
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  clock: Clock;
  armed: Armed;
};

/** The answer of one exchange takes up to ten minutes, but it needs its token only when it begins. */
const aheadMs = 300_000;
/** After a refresh that failed on the way, while the old token still holds. */
const againMs = 30_000;

export function createLogins({ store, fetch, clock, armed }: LoginParts): Logins {
  const all = new Map<string, Held>();
  const closing = new AbortController();
  const ask = createAsk(fetch, clock, closing.signal);
  const device = { ask, clock, armed };
  let lost = new AbortController();
  const unsubscribe = armed.onLost(() => {
    lost.abort();
    lost = new AbortController();
    for (const held of all.values()) held.asking?.abort();
  });

  const heldOf = ({ name }: Provider, settings: LoginSettings): Held => {
    const known = all.get(name);
    if (known && sameSettings(known.settings, settings)) return known;
    known?.asking?.abort();
    const fresh: Held = {
      settings,
      grant: undefined,
      loaded: undefined,
      refreshing: undefined,
      notBefore: 0,
      expired: false,
      unsaved: false,
      asking: undefined,
    };
    all.set(name, fresh);
    return fresh;
  };

  const load = (name: string, held: Held): Promise<void> => {
    held.loaded ??= store.read(name).then((text) => {
      held.grant ??= text === undefined ? undefined : savedOf(name, text, held.settings);
    });
    return held.loaded;
  };

  const keepGrant = async (name: string, held: Held, grant: Grant): Promise<void> => {
    held.grant = grant;
    held.expired = false;
    held.notBefore = 0;
    try {
      await store.write(name, textOf(grant, held.settings));
      held.unsaved = false;
    } catch {
      // The token works on; standing() says that a restart would lose it.
      held.unsaved = true;
    }
  };

  async function refresh(name: string, held: Held): Promise<Denial | undefined> {
    const { settings, grant } = held;
    const token = grant?.refresh;
    if (!token) {
      held.expired = true;
      return loginNeeded(name, 'it has expired and cannot renew itself');
    }
    const form = {
      grant_type: 'refresh_token',
      refresh_token: token.reveal(),
      client_id: settings.clientId,
      scope: settings.scope,
    };
    const said = await ask(settings.tokenUrl, form, lost.signal);
    const next = said.kind === 'ok' ? grantOf(name, said.json, clock.now(), grant) : undefined;
    if (next) {
      // Somebody may have logged in anew meanwhile.
      if (held.grant === grant) await keepGrant(name, held, next);
      return undefined;
    }
    if (said.kind === 'error' && said.error === 'invalid_grant') {
      if (held.grant === grant) held.expired = true;
      return loginNeeded(name, 'it was withdrawn or has expired');
    }
    held.notBefore = clock.now() + againMs;
    const why = said.kind === 'ok' ? 'malformed' : said.kind === 'error' ? said.error : said.why;
    return notRenewed(name, why, againMs);
  }

  const refreshOnce = (name: string, held: Held): Promise<Denial | undefined> => {
    held.refreshing ??= refresh(name, held).finally(() => {
      held.refreshing = undefined;
    });
    return held.refreshing;
  };

  return {
    async begin(provider, signal) {
      const { name, login } = provider;
      if (!login) return noLogin(name);
      const shut = leaseDenial(armed);
      if (shut) return shut;
      const held = heldOf(provider, login);
      held.asking?.abort();
      const own = new AbortController();
      held.asking = own;
      const end = (): void => own.abort();
      signal?.addEventListener('abort', end, { once: true });
      closing.signal.addEventListener('abort', end, { once: true });
      if (signal?.aborted || closing.signal.aborted) end();
      const over = (): void => {
        if (held.asking === own) held.asking = undefined;
        signal?.removeEventListener('abort', end);
        closing.signal.removeEventListener('abort', end);
      };
      const prompt = await askCode(name, login, device, own.signal);
      if ('allow' in prompt) {
        over();
        return prompt;
      }
      const done = awaitGrant(name, login, prompt, device, own.signal)
        .then(async (grant) => {
          if ('allow' in grant) return grant;
          await keepGrant(name, held, grant);
          return undefined;
        })
        .finally(over);
      const { verificationUri, userCode } = prompt;
      return { verificationUri, userCode, expiresAt: new Date(prompt.expiresAt), done };
    },

    async token(provider) {
      const { name, login } = provider;
      if (!login) return noLogin(name);
      const held = heldOf(provider, login);
      if (!held.grant) {
        try {
          await load(name, held);
        } catch {
          held.loaded = undefined;
          return loginNeeded(name, 'what was saved of it cannot be read');
        }
      }
      const now = clock.now();
      const { grant } = held;
      if (!grant) return loginNeeded(name, 'nobody has logged in yet');
      const valid = grant.expiresAt > now;
      if (grant.expiresAt - aheadMs > now) return grant.access;
      if (held.expired) return valid ? grant.access : loginNeeded(name, 'it was withdrawn or has expired');
      const shut = leaseDenial(armed);
      if (valid) {
        // Renewed beside this exchange, which the old one still serves.
        if (!shut && grant.refresh && now >= held.notBefore) void refreshOnce(name, held);
        return grant.access;
      }
      if (shut) return shut;
      if (now < held.notBefore && !held.refreshing)
        return notRenewed(name, 'it failed a moment ago', againMs);
      const failed = await refreshOnce(name, held);
      return failed ?? held.grant?.access ?? loginNeeded(name, 'nobody has logged in yet');
    },

    standing: () => [...all].map(([name, held]) => standingOf(name, held, clock.now())),

    keep(providers) {
      const named = new Map(providers.map((each) => [each.name, each]));
      for (const [name, held] of all) {
        const login = named.get(name)?.login;
        if (login && sameSettings(login, held.settings)) continue;
        held.asking?.abort();
        all.delete(name);
      }
      for (const provider of providers) {
        if (!provider.login) continue;
        const held = heldOf(provider, provider.login);
        // For standing(); token() says what is wrong with a file that cannot be read.
        load(provider.name, held).catch(() => {
          held.loaded = undefined;
        });
      }
    },

    close() {
      unsubscribe();
      closing.abort();
      all.clear();
    },
  };
}

const sameSettings = (one: LoginSettings, other: LoginSettings): boolean =>
  one.deviceUrl === other.deviceUrl &&
  one.tokenUrl === other.tokenUrl &&
  one.clientId === other.clientId &&
  one.scope === other.scope;
