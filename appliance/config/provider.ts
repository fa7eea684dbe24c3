/** The schema of one model provider in holdfast.yaml: where it is, how it is paid, what it may be asked. schema.ts puts it into the whole. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { addressClass } from '../../proxies/verdict/address.ts';

export const whole = (least: number, most: number): z.ZodNumber => z.number().int().min(least).max(most);

/** `*` stands for any run of characters; nothing else is special. */
export const glob = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[\x21-\x7e]+$/, 'a model name without spaces, in which * stands for anything');

// A key pasted here by mistake is long or begins like one; names of files do neither.
const fileName = /^(?!sk-|AIza|gsk_|xai-)[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/;
const keyName = z.string().regex(fileName, 'the name of a file in secrets/llm/, not the key itself');
const pemName = z.string().regex(fileName, 'the name of a file in secrets/llm/');

const rate = z.number().min(0).max(1_000_000);

const price = z
  .strictObject({
    free: z
      .literal(true)
      .optional()
      .meta({ example: true })
      .describe('It costs nothing: a model on a machine of your own. Budgets in USD do not stop it.'),
    costHeader: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,63}$/, 'the name of a header in small letters')
      .optional()
      .meta({ example: 'x-litellm-response-cost' })
      .describe('The response header in which the upstream says what the call cost, in USD.'),
    inputUsdPerMillion: rate
      .optional()
      .meta({ example: 0.5 })
      .describe('USD per million input tokens. With `outputUsdPerMillion`, instead of the other two.'),
    cachedUsdPerMillion: rate
      .optional()
      .meta({ example: 0.05 })
      .describe('USD per million input tokens read from its cache. Left out: as input.'),
    cacheWriteUsdPerMillion: rate
      .optional()
      .meta({ example: 0.6 })
      .describe('USD per million input tokens written to its cache. Left out: as input.'),
    outputUsdPerMillion: rate
      .optional()
      .meta({ example: 2 })
      .describe('USD per million output tokens, reasoning included.'),
  })
  .superRefine((given, context) => {
    const meanings = [
      given.free === true,
      given.costHeader !== undefined,
      given.inputUsdPerMillion !== undefined || given.outputUsdPerMillion !== undefined,
    ].filter(Boolean).length;
    const message =
      'exactly one of free, costHeader, or inputUsdPerMillion with outputUsdPerMillion (and what a cache costs)';
    const half = (given.inputUsdPerMillion === undefined) !== (given.outputUsdPerMillion === undefined);
    const cacheAlone =
      given.inputUsdPerMillion === undefined &&
      (given.cachedUsdPerMillion !== undefined || given.cacheWriteUsdPerMillion !== undefined);
    if (meanings !== 1 || half || cacheAlone) context.addIssue({ code: 'custom', message });
  });

const loginUrl = z
  .string()
  .max(2048)
  .refine(isLoginUrl, 'an https address without credentials (http on loopback only)');

const login = z
  .strictObject({
    deviceUrl: loginUrl.describe('Where a device code is asked for (RFC 8628).'),
    tokenUrl: loginUrl.describe('Where tokens are had and refreshed (RFC 6749).'),
    clientId: z.string().min(1).max(200).describe('The public name of this client there.'),
    scope: z.string().max(500).optional().describe('What is asked for, as that server spells it.'),
  })
  .meta({
    example: {
      deviceUrl: 'https://auth.example.com/device',
      tokenUrl: 'https://auth.example.com/token',
      clientId: 'holdfast',
      scope: 'models',
    },
  });

const baseUrlWords = 'an http or https address such as https://api.example.com/v1, without credentials';

/** What people write for a kind, and which one it is. */
export const kindsMeant: Readonly<Record<string, string>> = {
  google: 'gemini',
  vertex: 'gemini',
  claude: 'anthropic',
  chatgpt: 'openai',
  gpt: 'openai',
  azure: 'openai',
  litellm: 'openai',
  'llama.cpp': 'openai',
  llamacpp: 'openai',
  lmstudio: 'openai',
  openrouter: 'openai',
  vllm: 'openai',
};

const fields = z.strictObject({
  kind: z
    .enum(['openai', 'anthropic', 'gemini', 'ollama'])
    .describe('The wire format that the provider speaks; `openai` is also every server compatible with it.'),
  baseUrl: z
    .string()
    .max(2048)
    .refine(isBaseUrl, baseUrlWords)
    .meta({ wants: baseUrlWords })
    .describe(
      'Where it is: scheme, host, port and path prefix, such as http://127.0.0.1:11434 for an Ollama on this machine. Writing it here permits exactly that host and port.',
    ),
  key: keyName
    .optional()
    .describe('Name of the file in secrets/llm/ (mode 0600) that holds its API key. Leave it out for none.'),
  login: login
    .optional()
    .describe('A login instead of a key: `holdfast models login` says a code that you enter in a browser.'),
  caFile: pemName
    .optional()
    .describe('Name of a PEM file in secrets/llm/: the authority that signed its certificate.'),
  certFile: pemName
    .optional()
    .describe('Name of a PEM file in secrets/llm/: our own certificate, shown to it.'),
  keyFile: pemName.optional().describe('Name of a PEM file in secrets/llm/: the key of `certFile`.'),
  models: z
    .array(glob)
    .min(1)
    .max(200)
    .optional()
    .describe('The models it is asked for when a request names no provider. Left out: any.'),
  concurrency: whole(1, 1024)
    .optional()
    .describe(
      'Exchanges at once, over all agents; more wait in a fair queue. Left out: 1 for ollama, else 16.',
    ),
  price: price
    .optional()
    .describe(
      'What its models cost, where that is not in the table that comes with Holdfast. Exactly one meaning.',
    ),
  prices: z
    .record(glob, price)
    .optional()
    .describe('The same for single models, by name or pattern; it goes before `price`.'),
  contextTokens: whole(1, 100_000_000)
    .optional()
    .describe('The longest input that its models take, in tokens; longer ones go to the next in a chain.'),
  modelContextTokens: z
    .record(glob, whole(1, 100_000_000))
    .optional()
    .describe('The same for single models, by name or pattern; it goes before `contextTokens`.'),
  urls: z
    .boolean()
    .default(false)
    .describe(
      "May requests hold URLs that the provider fetches? Each host is then judged by the agent's `egress`.",
    ),
});

export const provider = fields
  .superRefine((given, context) => {
    const refuse = (field: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [field], message });
    if (given.key !== undefined && given.login !== undefined)
      refuse('login', 'either key or login, not both');
    if (given.certFile !== undefined && given.keyFile === undefined)
      refuse('certFile', 'keyFile beside it: the key of that certificate');
    if (given.keyFile !== undefined && given.certFile === undefined)
      refuse('keyFile', 'certFile beside it: the certificate of that key');
    if (!isBaseUrl(given.baseUrl) || !given.baseUrl.startsWith('http:')) return;
    if ((given.key !== undefined || given.login !== undefined) && !isNear(new URL(given.baseUrl).hostname))
      refuse('baseUrl', 'https, so that the key does not go out in clear text');
    for (const file of ['caFile', 'certFile'] as const)
      if (given[file] !== undefined) refuse(file, 'https in baseUrl: http shows and checks no certificate');
  })
  .meta({
    example: {
      kind: 'ollama',
      baseUrl: 'https://ollama.example.com',
      key: 'name-of-the-key-file',
      caFile: 'authority.pem',
      certFile: 'own.pem',
      keyFile: 'own-key.pem',
      models: ['llama3.2*', 'qwen3:*'],
      concurrency: 1,
      price: { free: true },
      prices: {
        'gpt-*': {
          inputUsdPerMillion: 0.5,
          cachedUsdPerMillion: 0.05,
          cacheWriteUsdPerMillion: 0.6,
          outputUsdPerMillion: 2,
        },
      },
      contextTokens: 131_072,
      modelContextTokens: { 'llama3.2*': 8192 },
      urls: false,
    },
  });

/** RFC 3986 with only what a base needs: a query or fragment would be glued to paths, credentials would be on show. */
function isBaseUrl(given: string): boolean {
  if (!/^https?:\/\/[^\s\\]+$/.test(given) || !URL.canParse(given)) return false;
  const url = new URL(given);
  const bare = url.username === '' && url.password === '' && !given.includes('@');
  return bare && !/[?#]/.test(given) && url.hostname !== '';
}

const nearAddresses: readonly string[] = ['loopback', 'private', 'ula', 'link-local', 'cgnat'];

/** On this machine, or in a network that is somebody's own: addresses (RFC 1918, 4193, 6598), names without a dot, and the domains that are never public (RFC 6761, 6762, 8375; `internal` by ICANN). */
function isNear(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  if (isIP(host) !== 0) return nearAddresses.includes(addressClass(host));
  return !host.includes('.') || /\.(?:localhost|local|lan|home\.arpa|internal)$/.test(host);
}

/** RFC 8628 section 3.1 wants TLS; on loopback there is nobody in between. */
function isLoginUrl(given: string): boolean {
  if (!isBaseUrl(given)) return false;
  const { protocol, hostname } = new URL(given);
  return protocol === 'https:' || ['127.0.0.1', '[::1]', 'localhost'].includes(hostname);
}
