/** The operator in front of a browser, as far as HTTP goes: cookies by host (never by port, as browsers do), forms with Origin and Sec-Fetch-Site, redirects followed by hand. */
import { request } from 'node:http';
import type { Appliance } from './appliance.ts';

export type Page = {
  status: number;
  url: string;
  text: string;
  headers: Record<string, string | string[] | undefined>;
};

export type Operator = {
  get(url: string): Promise<Page>;
  /** A form of that site's own page. Redirects are followed. */
  post(url: string, fields?: Record<string, string>): Promise<Page>;
  /** The same without following: a chat page stays open as long as its turn. */
  send(url: string, fields: Record<string, string>): Promise<Page>;
  /** The page while it grows: calls back with all text so far; true ends it. */
  watch(url: string, seen: (text: string) => boolean | Promise<boolean>): Promise<string>;
  cookies(host: string): string;
};

export const password = 'correct horse battery staple';

export function browser(): Operator {
  const jar = new Map<string, Map<string, string>>();
  const cookies = (host: string): string =>
    [...(jar.get(host) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ');
  const keep = (host: string, given: string[] | undefined): void => {
    const of = jar.get(host) ?? new Map<string, string>();
    jar.set(host, of);
    for (const line of given ?? []) {
      const [pair = ''] = line.split(';');
      const [name = '', value = ''] = pair.split('=');
      if (/max-age=0/i.test(line)) of.delete(name);
      else of.set(name, value);
    }
  };

  function send(
    method: string,
    at: string,
    body: string | undefined,
    seen?: (text: string) => boolean | Promise<boolean>,
  ): Promise<Page> {
    const url = new URL(at);
    return new Promise((resolve, reject) => {
      const req = request(
        {
          host: '127.0.0.1', // localhost may mean ::1 first; the chat is on v4
          port: url.port,
          method,
          path: `${url.pathname}${url.search}`,
          agent: false,
          headers: {
            host: url.host,
            cookie: cookies(url.hostname),
            ...(body === undefined
              ? {}
              : {
                  'content-type': 'application/x-www-form-urlencoded',
                  origin: url.origin,
                  'sec-fetch-site': 'same-origin',
                }),
          },
        },
        (res) => {
          keep(url.hostname, res.headers['set-cookie']);
          let text = '';
          const page = (): Page => ({ status: res.statusCode ?? 0, url: at, text, headers: res.headers });
          res.setEncoding('utf8');
          res.on('data', async (part: string) => {
            text += part;
            if (await seen?.(text)) res.destroy();
          });
          res.on('close', () => resolve(page()));
          res.on('error', () => {});
        },
      );
      req.on('error', reject);
      req.end(body);
    });
  }

  async function follow(page: Page, hops = 0): Promise<Page> {
    const to = page.headers.location;
    if (typeof to === 'string' && hops < 10)
      return follow(await send('GET', new URL(to, page.url).href, undefined), hops + 1);
    const refresh = /<meta http-equiv="refresh" content="0; ?url=([^"]+)"/i.exec(page.text)?.[1];
    if (refresh && hops < 10) {
      return follow(
        await send('GET', new URL(refresh.replaceAll('&amp;', '&'), page.url).href, undefined),
        hops + 1,
      );
    }
    return page;
  }

  return {
    get: async (url) => follow(await send('GET', url, undefined)),
    post: async (url, fields = {}) => follow(await send('POST', url, new URLSearchParams(fields).toString())),
    send: (url, fields) => send('POST', url, new URLSearchParams(fields).toString()),
    watch: async (url, seen) => (await send('GET', url, undefined, seen)).text,
    cookies,
  };
}

/** Setup code, password, and into the chat. */
export async function operatorOf(a: Appliance): Promise<Operator> {
  const operator = browser();
  const made = await operator.post(`${a.controllerUrl}/setup`, {
    code: a.setupCode,
    password,
    again: password,
  });
  if (made.status !== 200) throw new Error(`setup answered ${made.status}: ${made.text.slice(0, 600)}`);
  const chat = await operator.get(`${a.chatUrl}/`);
  if (chat.status !== 200 || !chat.url.startsWith(a.chatUrl))
    throw new Error(`chat login ended at ${chat.url}: ${chat.status} ${chat.text.slice(0, 600)}`);
  return operator;
}

/** The forms of what waits for a yes on the overview: id, digest, and the command as it is shown. */
export async function asked(
  a: Appliance,
  operator: Operator,
): Promise<{ id: string; digest: string; command: string }[]> {
  const { text } = await operator.get(`${a.controllerUrl}/`);
  return [
    ...text.matchAll(
      /<pre[^>]*aria-label="The whole command">([\s\S]*?)<\/pre>[\s\S]*?action="\/approvals\/([^"/]+)\/approve"[\s\S]*?name="digest" value="([0-9a-f]{64})"/g,
    ),
  ].map(([, command = '', id = '', digest = '']) => ({ id, digest, command }));
}

export const approve = (
  a: Appliance,
  operator: Operator,
  one: { id: string; digest: string },
): Promise<Page> => operator.post(`${a.controllerUrl}/approvals/${one.id}/approve`, { digest: one.digest });
