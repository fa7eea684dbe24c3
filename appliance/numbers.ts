/** The uids and gids of an appliance: numbers from one configured range, no accounts. The manifest, the launcher and the units ask. */
import { Problem } from './problem.ts';
import type { Config } from './settings.ts';

/** Each process has the same place in the range for ever: files on disk are owned by it. */
const places = [
  'keeper',
  'broker',
  'controller',
  'gateway',
  'llm',
  'egress',
  'tools',
  'mitm',
  'gate',
  'dialer',
  'warm',
];
const groupPlaces = [
  'audit',
  'lease',
  'trip',
  'rearm',
  'launch',
  'ask',
  'session',
  'run',
  'broker',
  'turn',
  'guest',
  'control',
  'turns',
  'models',
];
const groupsFrom = 40;
const agentsFrom = 100;

/** Below 524288, where systemd's container ranges begin, and above what Debian gives to subuids; two appliances on one machine differ. */
const defaultBase = (instance: string): number => 400_000 + (Number.parseInt(instance, 16) % 100) * 1000;

const baseOf = (config: Config, instance: string): number => config.uids.base ?? defaultBase(instance);

/** Of a kind of process; 0 for what is not in the range. */
export const placeUid = (config: Config, instance: string, place: string): number =>
  baseOf(config, instance) + places.indexOf(place);

/** Of an agent, by the number that its home keeps for it. */
export const agentUid = (config: Config, instance: string, number: number): number =>
  baseOf(config, instance) + agentsFrom + number;

/** Root makes folders by these names and gives files to these numbers: whoever parsed them, they are what they must be. */
export function guard(config: Config, instance: string): void {
  const agents = Object.keys(config.agents);
  const base = baseOf(config, instance);
  const odd = agents.find((agent) => !/^[a-z][a-z0-9-]{0,30}$/.test(agent));
  if (odd !== undefined)
    throw new Problem('bad-agent', 422, 'an agent has an impossible name', 'Use a-z, 0-9 and -.');
  if (!Number.isSafeInteger(base) || base < 100_000) {
    throw new Problem(
      'bad-uids',
      422,
      'uids.base is not a number from 100000 up',
      'Correct it in holdfast.yaml.',
    );
  }
}

/** The group of a control socket: who may connect to it is in that group, by number. */
export function socketGroup(config: Config, instance: string, door: string): number {
  const at = groupPlaces.indexOf(door.split('.')[0] ?? door);
  // `decide` is the operator's alone: it stays with root's own group.
  return at === -1 ? 0 : baseOf(config, instance) + groupsFrom + at;
}

/** Of the job that fills the compile cache. Not `nobody`, whom daemons share: what it writes is code for all of ours. */
export const warmUid = (config: Config, instance: string): number => placeUid(config, instance, 'warm');

export const auditGroup = (config: Config, instance: string): number =>
  socketGroup(config, instance, 'audit');
