/** The practice authorization server: device codes and tokens as RFC 8628 and RFC 6749 write them on the wire. A test says yes or no in the person's place. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type AuthServer = {
  url: string;
  deviceUrl: string;
  tokenUrl: string;
  clientId: string;
  /** What was asked, in order, without what is secret: path, grant type, answer. */
  asked: { path: string; grantType: string | undefined; said: string }[];
  /** Access tokens that are good now. */
  good: Set<string>;
  /** The person enters the code and says yes, or no. Throws where there is no such code. */
  decide(userCode: string, yes: boolean): void;
  close(): Promise<void>;
};

type Options = {
  clientId?: string;
  /** RFC 8628 section 3.2: the seconds between two questions. */
  intervalS?: number;
  /** How long an access token is good. */
  expiresInS?: number;
};

type Code = {
  userCode: string;
  state: 'pending' | 'granted' | 'denied' | 'used';
  askedAt: number;
  pauseMs: number;
};

/** RFC 8628 section 6.1: no vowels, so that it spells nothing. */
const letters = 'BCDFGHJKLMNPQRSTVWXZ';
const userCode = (): string => {
  const part = (): string => [...randomBytes(4)].map((byte) => letters[byte % letters.length]).join('');
  return `${part()}-${part()}`;
};
const opaque = (): string => randomBytes(24).toString('base64url');

export async function createAuthServer({
  clientId = 'holdfast-practice',
  intervalS = 1,
  expiresInS = 3600,
}: Options = {}): Promise<AuthServer> {
  const codes = new Map<string, Code>();
  const refreshTokens = new Set<string>();
  const good = new Set<string>();
  const asked: AuthServer['asked'] = [];

  const tokens = (): Record<string, unknown> => {
    const [access, refresh] = [opaque(), opaque()];
    good.add(access);
    refreshTokens.add(refresh);
    return { access_token: access, token_type: 'Bearer', expires_in: expiresInS, refresh_token: refresh };
  };

  /** RFC 8628 section 3.5. A string is an error code of it, or of RFC 6749 section 5.2. */
  function granted(form: URLSearchParams): Record<string, unknown> | string {
    if (form.get('client_id') !== clientId) return 'invalid_client';
    const type = form.get('grant_type');
    if (type === 'refresh_token') {
      // Each is good once: RFC 6749 section 10.4, rotation.
      return refreshTokens.delete(form.get('refresh_token') ?? '') ? tokens() : 'invalid_grant';
    }
    if (type !== 'urn:ietf:params:oauth:grant-type:device_code') return 'unsupported_grant_type';
    const code = codes.get(form.get('device_code') ?? '');
    if (!code || code.state === 'used') return 'invalid_grant';
    if (code.state === 'denied') return 'access_denied';
    const now = performance.now();
    const early = now - code.askedAt < code.pauseMs - 50; // timers may be early by a little
    code.askedAt = now;
    if (early) {
      code.pauseMs += 5000;
      return 'slow_down';
    }
    if (code.state === 'pending') return 'authorization_pending';
    code.state = 'used';
    return tokens();
  }

  function answer(path: string, form: URLSearchParams): Record<string, unknown> | string {
    if (path === '/token') return granted(form);
    if (form.get('client_id') !== clientId) return 'invalid_client';
    const [device, user] = [opaque(), userCode()];
    codes.set(device, {
      userCode: user,
      state: 'pending',
      askedAt: performance.now(),
      pauseMs: intervalS * 1000,
    });
    return {
      device_code: device,
      user_code: user,
      verification_uri: `${url()}/device`,
      verification_uri_complete: `${url()}/device?user_code=${user}`,
      expires_in: 900,
      interval: intervalS,
    };
  }

  async function respond(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
    const path = req.url ?? '';
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const isForm = /^application\/x-www-form-urlencoded(;|$)/.test(req.headers['content-type'] ?? '');
    if (!['/device_authorization', '/token'].includes(path) || req.method !== 'POST' || !isForm) {
      asked.push({ path, grantType: undefined, said: '404' });
      return void res.writeHead(404).end();
    }
    const said = answer(path, form);
    const grantType = form.get('grant_type') ?? undefined;
    asked.push({ path, grantType, said: typeof said === 'string' ? said : 'ok' });
    const status = typeof said !== 'string' ? 200 : said === 'invalid_client' ? 401 : 400;
    // RFC 6749 section 5.1: what holds tokens is not cached.
    res.writeHead(status, { 'content-type': 'application/json;charset=UTF-8', 'cache-control': 'no-store' });
    res.end(JSON.stringify(typeof said === 'string' ? { error: said } : said));
  }

  const server = createServer((req, res) => {
    respond(req, res).catch((error: unknown) => {
      if (!req.destroyed && !res.destroyed) throw error;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url(),
    deviceUrl: `${url()}/device_authorization`,
    tokenUrl: `${url()}/token`,
    clientId,
    asked,
    good,
    decide(entered, yes) {
      const code = [...codes.values()].find((each) => each.userCode === entered);
      if (code?.state !== 'pending') throw new Error(`there is no code ${entered} that waits`);
      code.state = yes ? 'granted' : 'denied';
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
