/** Which key may be placed into which request: a key is bound to its provider's exact origin, method and path. Called by proxy.ts right before the record and the dial. */
import type { Secret } from '../../secret.ts';
import { type Denial, deny } from '../denial.ts';
import type { Provider, Route } from '../kinds/kind.ts';
import { kinds, type Target, upstreamPath } from '../kinds/paths.ts';
import type { Certificates } from '../route/upstream.ts';

/**
 * The only request headers that go on. A list of what passes, not of what is stripped: besides every credential
 * (authorization, x-api-key, x-goog-api-key, api-key, cookie, proxy-authorization) this drops the headers by which gateways
 * let a client choose the upstream (`x-portkey-custom-host`, CVE-2025-66405) or the paying organisation.
 */
const passes = new Set([
  'accept',
  'user-agent',
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
  'idempotency-key',
]);

/** SDK names and versions; providers use them for support. */
const passesPrefix = 'x-stainless-';

export type Placed = {
  headers: Record<string, string>;
  secret: Secret | undefined;
  certificates: Certificates;
};

export type Keyring = {
  /**
   * The headers to send, with the key in its place. Client credentials are not in them. `contentType` is what the scan read
   * the body as. Only a login that must be refreshed makes it wait.
   */
  place(
    target: Target,
    client: NodeJS.Dict<string | string[]>,
    contentType: string | null,
  ): Placed | Denial | Promise<Placed | Denial>;
};

export type KeyringParts = {
  providers: readonly Provider[];
  secret: (name: string) => Secret | undefined;
  /** The access token of a provider that holds a login instead of a key. */
  login: (provider: Provider) => Promise<Secret | Denial>;
  /** False after a kill, and in ordinary-user mode without the owner's explicit yes. */
  keysHeld: boolean;
};

export function createKeyring({ providers, secret, login, keysHeld }: KeyringParts): Keyring {
  const bound = new Map(
    providers.map((provider) => [
      provider.name,
      kinds[provider.kind].routes.map((route) => binding(provider, route)),
    ]),
  );

  /** What a provider's TLS needs besides the key. All of it lies in secrets/llm/. */
  const certificatesOf = (provider: Provider): Certificates | Denial => {
    const found: Certificates = {};
    for (const [what, file] of [
      ['ca', provider.caFile],
      ['cert', provider.certFile],
      ['key', provider.keyFile],
    ] as const) {
      if (file === undefined) continue;
      if (!keysHeld) return keysNotHeld(provider);
      const pem = secret(file);
      if (!pem) return certificateMissing(provider, file, what);
      found[what] = pem;
    }
    return found;
  };

  return {
    place(target, client, contentType) {
      const { provider, route } = target;
      const headers: Record<string, string> = { ...route.defaults };
      for (const [name, value] of Object.entries(client)) {
        if (typeof value === 'string' && (passes.has(name) || name.startsWith(passesPrefix)))
          headers[name] = value;
      }
      if (contentType !== null) headers['content-type'] = contentType;
      // Scrubbing reads the bytes, and a compressed error is no use to the record.
      headers['accept-encoding'] = 'identity';
      const certificates = certificatesOf(provider);
      if ('allow' in certificates) return certificates;
      if (provider.key === undefined && provider.login === undefined)
        return { headers, secret: undefined, certificates };
      if (!bound.get(provider.name)?.some((each) => each(target))) return keyNotBound(provider);
      if (!keysHeld) return keysNotHeld(provider);

      const withKey = (key: Secret): Placed | Denial => {
        if (!/^[\x21-\x7e]+$/.test(key.reveal())) return keyMalformed(provider);
        headers[route.keyIn] = route.keyIn === 'authorization' ? `Bearer ${key.reveal()}` : key.reveal();
        return { headers, secret: key, certificates };
      };
      if (provider.login) {
        return login(provider).then((token) => ('allow' in token ? token : withKey(token)));
      }
      const key = secret(provider.key ?? '');
      return key ? withKey(key) : keyMissing(provider, provider.key ?? '');
    },
  };
}

/** Is this target exactly one of the route's: provider, method, origin and path? A model's name is the one part that varies. */
function binding(provider: Provider, route: Route): (target: Target) => boolean {
  const { origin } = new URL(provider.baseUrl);
  const [before = '', after] = upstreamPath(provider, route).split('{model}');
  return (target) => {
    if (target.provider.name !== provider.name || target.origin !== origin) return false;
    if (target.route.method !== route.method) return false;
    if (after === undefined) return target.path === before;
    const model = target.path.slice(before.length, target.path.length - after.length);
    return (
      target.path === before + model + after && /^[\w.:@~%-]{1,300}$/.test(model) && !/^\.+$/.test(model)
    );
  };
}

const keyNotBound = (provider: Provider): Denial =>
  deny(
    500,
    'key-not-bound',
    `the key of ${provider.name} is not bound to this address`,
    'This is a fault of Holdfast.',
  );

const keysNotHeld = (provider: Provider): Denial =>
  deny(
    503,
    'keys-not-held',
    `the key of ${provider.name} is not held now`,
    'Started as an ordinary user, Holdfast takes real keys only with `ordinaryUser: { holdKeys: true }` in holdfast.yaml; a killed box gets its keys back when it is re-armed.',
  );

const keyMissing = (provider: Provider, file: string): Denial =>
  deny(
    503,
    'key-missing',
    `the key file of ${provider.name} is missing or empty`,
    `Put it into secrets/llm/${file} in the home folder (mode 0600), then \`holdfast config apply\`.`,
  );

const certificateWords = {
  ca: 'the certificate of the authority that signed that of',
  cert: 'our certificate for',
  key: 'the key of our certificate for',
};

const certificateMissing = (provider: Provider, file: string, what: keyof typeof certificateWords): Denial =>
  deny(
    503,
    'key-missing',
    `the file with ${certificateWords[what]} ${provider.name} is missing or empty`,
    `Put it as PEM into secrets/llm/${file} in the home folder (mode 0600), then \`holdfast config apply\`.`,
  );

const keyMalformed = (provider: Provider): Denial =>
  deny(
    503,
    'key-malformed',
    `the key file of ${provider.name} holds more than one line or word`,
    `Put the key alone into secrets/llm/${provider.key}, then \`holdfast config apply\`.`,
  );
