/** Which key may be placed into which request: a key is bound to its provider's exact origin, method and path. Called by proxy.ts right before the record and the dial. */
import type { Secret } from '../../secret.ts';
import { type Denial, deny } from '../denial.ts';
import type { Provider } from '../kinds/kind.ts';
import { kinds, type Target, upstreamPath } from '../kinds/paths.ts';

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

type Placed = { headers: Record<string, string>; secret: Secret | undefined };

export type Keyring = {
  /** The headers to send, with the key in its place. Client credentials are not in them. */
  place(method: string, target: Target, client: NodeJS.Dict<string | string[]>): Placed | Denial;
};

type KeyringParts = {
  providers: readonly Provider[];
  secret: (name: string) => Secret | undefined;
  /** False after a kill, and in ordinary-user mode without the owner's explicit yes. */
  keysHeld: boolean;
};

export function createKeyring({ providers, secret, keysHeld }: KeyringParts): Keyring {
  const bound = new Set(
    providers.flatMap((provider) =>
      kinds[provider.kind].routes.map((route) =>
        binding(provider, route.method, new URL(provider.baseUrl).origin, upstreamPath(provider, route)),
      ),
    ),
  );
  return {
    place(method, target, client) {
      const { provider, route } = target;
      const headers: Record<string, string> = { ...route.defaults };
      for (const [name, value] of Object.entries(client)) {
        if (typeof value === 'string' && (passes.has(name) || name.startsWith(passesPrefix)))
          headers[name] = value;
      }
      // Whatever the client called it, what was scanned is JSON in UTF-8: another charset would be another text.
      if (method === 'POST') headers['content-type'] = 'application/json';
      // Scrubbing reads the bytes, and a compressed error is no use to the record.
      headers['accept-encoding'] = 'identity';
      if (provider.key === undefined) return { headers, secret: undefined };
      if (!bound.has(binding(provider, method, target.origin, target.path))) {
        return deny(
          500,
          'key-not-bound',
          `the key of ${provider.name} is not bound to this address`,
          'This is a fault of Holdfast.',
        );
      }
      if (!keysHeld) return keysNotHeld(provider);
      const key = secret(provider.key);
      if (!key) return keyMissing(provider);
      if (!/^[\x21-\x7e]+$/.test(key.reveal())) return keyMalformed(provider);
      headers[route.keyIn] = route.keyIn === 'authorization' ? `Bearer ${key.reveal()}` : key.reveal();
      return { headers, secret: key };
    },
  };
}

const binding = (provider: Provider, method: string, origin: string, path: string): string =>
  [provider.name, method, origin, path].join(' ');

const keysNotHeld = (provider: Provider): Denial =>
  deny(
    503,
    'keys-not-held',
    `the key of ${provider.name} is not held now`,
    'Started as an ordinary user, Holdfast takes real keys only with `ordinaryUser: { holdKeys: true }` in holdfast.yaml; a killed box gets its keys back when it is re-armed.',
  );

const keyMissing = (provider: Provider): Denial =>
  deny(
    503,
    'key-missing',
    `the key file of ${provider.name} is missing or empty`,
    `Put the key into secrets/llm/${provider.key} in the home folder (mode 0600) and start again.`,
  );

const keyMalformed = (provider: Provider): Denial =>
  deny(
    503,
    'key-malformed',
    `the key file of ${provider.name} holds more than one line or word`,
    `Put the key alone into secrets/llm/${provider.key}.`,
  );
