/** The device flow: a code that a person enters on another machine, and the asking whether it was (RFC 8628). login.ts runs it. */
import type { Armed } from '../../armed.ts';
import { type Denial, deny, leaseDenial } from '../denial.ts';
import type { LoginSettings } from '../kinds/kind.ts';
import { sleep } from '../route/timer.ts';
import type { Ask, Clock } from './authorizer.ts';
import { type DevicePrompt, type Grant, grantOf, promptOf } from './grant.ts';

export type DeviceParts = { ask: Ask; clock: Clock; armed: Armed };

/** RFC 8628 section 3.2 and 3.5: what is meant when nothing is said, and what slow_down adds. */
const intervalMs = 5_000;
const slowerMs = 5_000;
const longestIntervalMs = 60_000;

const deviceGrant = 'urn:ietf:params:oauth:grant-type:device_code';

export async function askCode(
  name: string,
  settings: LoginSettings,
  { ask, clock, armed }: DeviceParts,
  signal: AbortSignal,
): Promise<DevicePrompt | Denial> {
  const said = await ask(settings.deviceUrl, { client_id: settings.clientId, scope: settings.scope }, signal);
  const prompt = said.kind === 'ok' ? promptOf(name, said.json, clock.now()) : undefined;
  if (prompt) return prompt;
  if (signal.aborted) return stopped(name, armed);
  if (said.kind === 'ok') return notGranted(name, 'its answer is malformed');
  return notGranted(name, said.kind === 'error' ? said.error : said.why);
}

/** Asks until the person has said yes or no, or the code has run out. */
export async function awaitGrant(
  name: string,
  settings: LoginSettings,
  prompt: DevicePrompt,
  { ask, clock, armed }: DeviceParts,
  signal: AbortSignal,
): Promise<Grant | Denial> {
  let pauseMs = Math.min(longestIntervalMs, prompt.intervalMs ?? intervalMs);
  for (;;) {
    await sleep(pauseMs, signal, clock.wait);
    const shut = leaseDenial(armed);
    if (shut || signal.aborted) return shut ?? stopped(name, armed);
    if (clock.now() >= prompt.expiresAt) return notInTime(name);
    const form = {
      grant_type: deviceGrant,
      device_code: prompt.deviceCode.reveal(),
      client_id: settings.clientId,
    };
    const said = await ask(settings.tokenUrl, form, signal);
    if (said.kind === 'ok') {
      return grantOf(name, said.json, clock.now(), undefined) ?? notGranted(name, 'its answer is malformed');
    }
    if (signal.aborted) return stopped(name, armed);
    if (said.kind === 'odd') {
      if (said.why !== 'unreachable') return notGranted(name, said.why);
      // RFC 8628 section 3.5: on a connection timeout, ask less often.
      pauseMs = Math.min(longestIntervalMs, pauseMs * 2);
    } else if (said.error === 'slow_down') pauseMs = Math.min(longestIntervalMs, pauseMs + slowerMs);
    else if (said.error === 'access_denied') return notGranted(name, 'the person said no');
    else if (said.error === 'expired_token') return notInTime(name);
    else if (said.error !== 'authorization_pending') return notGranted(name, said.error);
  }
}

const command = (name: string): string => `The owner logs in: \`holdfast models login ${name}\`.`;

const notGranted = (name: string, why: string): Denial =>
  deny(502, 'login-not-granted', `the login of ${name} was not granted (${why})`, command(name));

const notInTime = (name: string): Denial =>
  deny(408, 'login-not-in-time', `nobody entered the code of ${name} in time`, command(name));

const stopped = (name: string, armed: Armed): Denial =>
  leaseDenial(armed) ?? deny(499, 'login-stopped', `the login of ${name} was stopped`, command(name));
