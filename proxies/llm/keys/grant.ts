/** What an authorization server says, read strictly: a device code, tokens, an error; and the text in which a login is saved. Read by login.ts. */
import { Secret } from '../../secret.ts';
import type { LoginSettings } from '../kinds/kind.ts';

/** Times are milliseconds of the wall clock. */
export type Grant = {
  access: Secret;
  expiresAt: number;
  refresh: Secret | undefined;
  /** Null where the server does not say. */
  refreshExpiresAt: number | null;
};

export type DevicePrompt = {
  deviceCode: Secret;
  userCode: string;
  verificationUri: string;
  expiresAt: number;
  intervalMs: number | undefined;
};

/** Tokens of some servers are JWTs of a few kB. */
const maxTokenChars = 16 * 1024;
/** A real token is random. One of few letters, or that repeats itself, would make the search for its echoes slow. */
const isRandom = (token: string): boolean =>
  token.length < 64 || (new Set(token).size >= 12 && !/(.{1,64})\1{15}/.test(token));
/** RFC 6749 section 5.1: expires_in is only recommended. An hour is what most servers mean. */
const usualMs = 3_600_000;
/** RFC 8628 gives no default for a device code; half an hour is the longest that a person needs. */
const longestCodeMs = 1_800_000;
/** A year: more is a mistake of units. */
const longestMs = 366 * 86_400_000;

/** RFC 8628 section 3.2. Undefined when it is not one. */
export function promptOf(name: string, json: Record<string, unknown>, now: number): DevicePrompt | undefined {
  const { device_code, user_code, verification_uri, interval } = json;
  const lives = seconds(json.expires_in);
  if (!isToken(device_code) || lives === undefined) return undefined;
  // Both are shown to a person: nothing that hides or turns, and no page that is not a web page.
  if (typeof user_code !== 'string' || !/^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/.test(user_code))
    return undefined;
  if (typeof verification_uri !== 'string' || !isPage(verification_uri)) return undefined;
  return {
    deviceCode: new Secret(`${name} device code`, device_code),
    userCode: user_code,
    verificationUri: verification_uri,
    expiresAt: now + Math.min(longestCodeMs, lives),
    intervalMs: seconds(interval),
  };
}

/** RFC 6749 section 5.1. `before` is the grant that was refreshed: its refresh token goes on unless a new one is given. */
export function grantOf(
  name: string,
  json: Record<string, unknown>,
  now: number,
  before: Grant | undefined,
): Grant | undefined {
  const { access_token, token_type, refresh_token } = json;
  if (!isToken(access_token)) return undefined;
  if (typeof token_type !== 'string' || token_type.toLowerCase() !== 'bearer') return undefined;
  if (refresh_token !== undefined && refresh_token !== null && !isToken(refresh_token)) return undefined;
  const refreshLives = seconds(json.refresh_token_expires_in ?? json.refresh_expires_in);
  const renewed = isToken(refresh_token);
  return {
    access: new Secret(`${name} access token`, access_token),
    expiresAt: now + (seconds(json.expires_in) ?? usualMs),
    refresh: renewed ? new Secret(`${name} refresh token`, refresh_token) : before?.refresh,
    refreshExpiresAt:
      refreshLives !== undefined ? now + refreshLives : renewed ? null : (before?.refreshExpiresAt ?? null),
  };
}

// FORMAT of a saved login: one JSON object { version: 1, tokenUrl, clientId, access, expiresAt, refresh?, refreshExpiresAt? },
// times in milliseconds since 1970. tokenUrl and clientId say whose it is: a token is never sent to another server.

export function textOf(
  { access, expiresAt, refresh, refreshExpiresAt }: Grant,
  settings: LoginSettings,
): string {
  const { tokenUrl, clientId } = settings;
  return `${JSON.stringify({
    version: 1,
    tokenUrl,
    clientId,
    access: access.reveal(),
    expiresAt,
    refresh: refresh?.reveal(),
    refreshExpiresAt,
  })}\n`;
}

/** Undefined when it is of another server or client, or unreadable: then a person logs in again. */
export function savedOf(name: string, text: string, settings: LoginSettings): Grant | undefined {
  const json = objectOf(text);
  if (json?.version !== 1 || json.tokenUrl !== settings.tokenUrl || json.clientId !== settings.clientId)
    return undefined;
  const { access, expiresAt, refresh, refreshExpiresAt } = json;
  if (!isToken(access) || typeof expiresAt !== 'number') return undefined;
  return {
    access: new Secret(`${name} access token`, access),
    expiresAt,
    refresh: isToken(refresh) ? new Secret(`${name} refresh token`, refresh) : undefined,
    refreshExpiresAt: typeof refreshExpiresAt === 'number' ? refreshExpiresAt : null,
  };
}

/** RFC 6750 section 2.1 allows fewer characters; these are the ones that may stand in a header. */
const isToken = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= maxTokenChars &&
  /^[\x21-\x7e]+$/.test(value) &&
  isRandom(value);

/** Some servers write numbers as text. */
function seconds(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number) || number <= 0) return undefined;
  return Math.min(longestMs, number * 1000);
}

function isPage(text: string): boolean {
  if (text.length > 2000 || !/^https?:\/\/[\x21-\x7e]+$/.test(text) || !URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  const plain = ['127.0.0.1', '[::1]', 'localhost'].includes(hostname);
  return (protocol === 'https:' || plain) && username === '' && password === '';
}

export function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
