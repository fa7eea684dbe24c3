/** Exchanges as an HTTP Archive (HAR 1.2), for the tools that read one. `holdfast traffic har` writes it. */
import { STATUS_CODES } from 'node:http';
import type { Bodies, Body } from '../../proxies/ledger/body.ts';
import type { Exchange } from '../../proxies/ledger/exchange.ts';
import { facts, streamed, textOf } from './exchange.ts';

// FORMAT: http://www.softwareishard.com/blog/har-12-spec/ . -1 is "not known" there; names with _ are extensions of ours.

/** What stands before the first entry and after the last. */
export const harHead = '{"log":{"version":"1.2","creator":{"name":"Holdfast","version":"0.1.0"},"entries":[';
export const harTail = ']}}\n';

/** As the agent sees its llm door. */
const door = 'http://127.0.0.1:9090';

type NameValue = { name: string; value: string };

export function harEntry(each: Exchange, { asked, answered }: Bodies): Record<string, unknown> {
  const headers = headersOf(each);
  const wait = each.firstByteMs ?? each.ms ?? 0;
  const total = Math.max(wait, each.ms ?? 0);
  const sent = each.lines.request?.bytes;
  return {
    startedDateTime: each.at,
    time: total,
    request: {
      method: each.method === '' ? 'GET' : each.method,
      url: `${door}${each.path.replaceAll('{model}', encodeURIComponent(each.model ?? each.asked ?? 'model'))}`,
      httpVersion: 'HTTP/1.1',
      cookies: [],
      headers,
      queryString: [],
      headersSize: -1,
      bodySize: typeof sent === 'number' ? sent : -1,
      ...(asked && asked.bytes.length > 0
        ? { postData: { mimeType: mimeOf(headers), ...bodyOf(asked) } }
        : {}),
    },
    response: {
      status: each.status ?? 0,
      statusText: STATUS_CODES[each.status ?? 0] ?? '',
      httpVersion: 'HTTP/1.1',
      cookies: [],
      headers: [],
      content: {
        size: answered?.bytes.length ?? 0,
        mimeType: answered ? 'application/json' : 'x-unknown',
        ...(answered ? bodyOf(answered, streamed(each, asked) ? ['put together from a stream'] : []) : {}),
      },
      redirectURL: '',
      headersSize: -1,
      bodySize: each.bytesIn ?? -1,
    },
    cache: {},
    timings: { send: 0, wait, receive: total - wait },
    _holdfast: facts(each),
  };
}

const mimeOf = (headers: NameValue[]): string =>
  headers.find(({ name }) => name.toLowerCase() === 'content-type')?.value ?? 'application/json';

/** Redacted when they were recorded. */
const headersOf = ({ lines }: Exchange): NameValue[] =>
  Object.entries((lines.request?.headers ?? {}) as Record<string, unknown>).map(([name, value]) => ({
    name,
    value: String(value),
  }));

function bodyOf(body: Body, notes: string[] = []): { text: string; comment?: string } {
  const comment = [...notes, ...(body.redacted > 0 ? [`${body.redacted} masked`] : [])].join(', ');
  return { text: textOf(body), ...(comment === '' ? {} : { comment }) };
}
