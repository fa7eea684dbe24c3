/** What an agent asks: read within limits, judged, and made ready to send. Nothing here has an effect. Called by proxy.ts. */
import type { IncomingMessage } from 'node:http';
import type { Secret } from '../../secret.ts';
import { cannotScan, type Denial, tooLarge, tooMuchAtOnce } from '../denial.ts';
import type { Keyring } from '../keys/keyring.ts';
import { kinds, type Target } from '../kinds/paths.ts';
import { readBody } from './body.ts';
import { scan } from './scan.ts';

/** Anthropic's own limit for a request (API overview, "Request size limits"); no conversation is larger. */
const maxBodyBytes = 32 * 1024 * 1024;
/** All bodies that one agent may have in memory here at once: the process serves other agents too. */
const maxHeldBytes = 2 * maxBodyBytes;

export type Asked = {
  target: Target;
  body: Buffer;
  model: string | null;
  headers: Record<string, string>;
  secret: Secret | undefined;
};

/** Bytes of request bodies in memory, counted over all exchanges of one agent. */
export type Held = { bytes: number };

/** Undefined when the agent went away while sending. What is read counts on `held` until `release` is called. */
export async function readBytes(
  req: IncomingMessage,
  held: Held,
): Promise<{ bytes: Buffer | Denial | undefined; release(): void }> {
  let own = 0;
  const release = (): void => {
    held.bytes -= own;
    own = 0;
  };
  if (Number(req.headers['content-length'] ?? 0) > maxBodyBytes) return { bytes: tooLarge, release };
  const chunks: Buffer[] = [];
  try {
    // Not destroyed on return: a refusal of a long body must still reach the agent.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      own += chunk.length;
      held.bytes += chunk.length;
      if (own > maxBodyBytes) return { bytes: tooLarge, release };
      if (held.bytes > maxHeldBytes) return { bytes: tooMuchAtOnce, release };
      chunks.push(chunk);
    }
  } catch {
    return { bytes: undefined, release };
  }
  return { bytes: Buffer.concat(chunks), release };
}

export function judge(target: Target, req: IncomingMessage, body: Buffer, keyring: Keyring): Asked | Denial {
  const { route, provider } = target;
  let model: string | null = null;
  if (route.method === 'GET') {
    if (body.length > 0) return cannotScan('a GET has none');
  } else {
    const encoding = req.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') return cannotScan('it is compressed');
    const read = readBody(body);
    if (!read.ok) return cannotScan(read.why);
    const denial = scan(read.json, kinds[route.speaks].body, kinds[provider.kind]);
    if (denial) return denial;
    model = String(read.json.model).slice(0, 200);
  }
  const placed = keyring.place(route.method, target, req.headers);
  return 'allow' in placed ? placed : { target, body, model, ...placed };
}
