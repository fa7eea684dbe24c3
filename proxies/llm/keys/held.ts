/** A login as this process holds it, and how it stands: shown to the owner, with a warning before a person is needed again. Kept by login.ts. */
import { type Denial, deny } from '../denial.ts';
import type { LoginSettings } from '../kinds/kind.ts';
import type { Grant } from './grant.ts';

export type Held = {
  settings: LoginSettings;
  grant: Grant | undefined;
  loaded: Promise<void> | undefined;
  refreshing: Promise<Denial | undefined> | undefined;
  /** Not before this time again, after a failure on the way. */
  notBefore: number;
  expired: boolean;
  unsaved: boolean;
  asking: AbortController | undefined;
};

export type LoginState = 'none' | 'asking' | 'held' | 'expired';

export type LoginStanding = {
  provider: string;
  state: LoginState;
  /** When a person must log in again; null where nobody said, because it renews itself. */
  expiresAt: Date | null;
  warn: string | null;
};

/** A person reads the page once a day. */
const warnMs = 86_400_000;

export function standingOf(name: string, held: Held, now: number): LoginStanding {
  const { grant } = held;
  const ends = grant ? (grant.refresh ? grant.refreshExpiresAt : grant.expiresAt) : null;
  const expired = grant !== undefined && (held.expired || (ends !== null && ends <= now));
  const state = held.asking ? 'asking' : !grant ? 'none' : expired ? 'expired' : 'held';
  return {
    provider: name,
    state,
    expiresAt: ends === null ? null : new Date(ends),
    warn: warningOf(name, held, expired, ends === null ? Number.POSITIVE_INFINITY : ends - now),
  };
}

function warningOf(name: string, held: Held, expired: boolean, leftMs: number): string | null {
  const run = `Run \`holdfast models login ${name}\`.`;
  if (expired) return `the login has expired. ${run}`;
  if (leftMs < warnMs) return `the login expires within a day. ${run}`;
  return held.unsaved
    ? `the login could not be saved and is lost with a restart. Free space, then: ${run}`
    : null;
}

const command = (name: string): string => `The owner logs in: \`holdfast models login ${name}\`.`;

export const noLogin = (name: string): Denial =>
  deny(
    400,
    'no-login',
    `${name} holds no login`,
    `Add login: { deviceUrl, tokenUrl, clientId } to ${name} in holdfast.yaml.`,
  );

export const loginNeeded = (name: string, why: string): Denial =>
  deny(503, 'login-needed', `the login of ${name} is not held: ${why}`, command(name));

export const notRenewed = (name: string, why: string, againMs: number): Denial =>
  deny(
    503,
    'login-not-renewed',
    `the login of ${name} could not be renewed (${why})`,
    `It is tried again by itself. If that does not help: \`holdfast models login ${name}\`.`,
    againMs / 1000,
  );
