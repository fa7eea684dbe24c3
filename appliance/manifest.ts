/** The table of what runs: a pure function of the configuration. The launcher starts from it and the systemd units are rendered from it. */
import { createHash } from 'node:crypto';
import { Problem } from './problem.ts';

/** The configuration as config.ts hands it out: parsed, defaults filled in. Repeated here as a type so that this file needs no package. */
export type Config = {
  controller: { port: number };
  chat: { port: number };
  uids: { base?: number | undefined };
  ordinaryUser: { holdKeys: boolean };
  providers: Record<string, Provider>;
  agents: Record<string, AgentConfig>;
  approvals: { waitSeconds: number };
  tools: { memoryMb: number; pids: number; timeoutSeconds: number; outputKb: number };
};

export type Provider = {
  kind: 'openai' | 'anthropic' | 'ollama';
  baseUrl: string;
  key?: string | undefined;
};

export type AgentConfig = {
  model?: { provider: string; name: string } | undefined;
  instructions?: string | undefined;
  egress: { host: string; ports: number[]; why?: string | undefined }[];
  memoryMb: number;
  pids: number;
};

/** What the table needs to know of the machine and of this run, beside the configuration. */
export type Circumstances = {
  instance: string;
  mode: 'root' | 'user';
  /** Who started it: in user mode everything on disk is theirs, as root each process has its own uid. */
  owner: { uid: number; gid: number };
  /** A number for each agent, given once and never given again: its files outlive it. */
  agentNumbers: Record<string, number>;
  /** Names of the key files present in secrets/llm/. */
  keys: string[];
  /** A killed box starts no worlds and llm gets no keys. */
  killed: boolean;
  docker: { socket: string; gid: number } | null;
  /** Home on the host: the broker names workspaces to Docker, which knows no views. */
  home: string;
};

/** `none` is a network namespace of its own, empty; `world:main` is that agent's. */
export type Network = 'host' | 'none' | `world:${string}`;

/** A listening socket made inside a world's namespace (or on the host) and served from outside it. */
export type Door = {
  name: string;
  in: string;
  /** `127.0.0.1:9090`, `udp:127.0.0.53:53`, or `path`: the unix socket `<run>/<name>/sock`. */
  listen: string;
  servedBy: string;
};

/** A path of the home folder that appears at the same place in the process's view. */
export type Entry = { path: string; kind: 'folder' | 'file'; mode: number };

export type Process = {
  name: string;
  uid: number;
  /** Supplementary groups: one for each control socket that it may connect to, one for reading ledgers. */
  groups: number[];
  /** Program and arguments, relative to the code. */
  runs: string[];
  network: Network;
  doors: string[];
  controls: string[];
  reads: Entry[];
  writes: Entry[];
  /** Files of the machine, read-only in the view, where they exist: resolver configuration, the Docker socket, the cgroup folder. */
  machine: string[];
  env: Record<string, string>;
  /** A folder below secrets/ whose files it is given as credentials; null for none. */
  secrets: string | null;
  part: Record<string, unknown>;
  needs: string[];
  memoryMb: number;
  pids: number;
  restart: 'always' | 'never';
  /** The agent, when this is the untrusted guest: own view, seccomp filter, no control socket. */
  guest: string | null;
};

export type Job = { name: string; runs: string[]; why: string };

export type World = { agent: string; uid: number };

export type Manifest = {
  instance: string;
  version: string;
  worlds: World[];
  doors: Door[];
  processes: Process[];
  jobs: Job[];
};

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
];
const groupsFrom = 40;
const agentsFrom = 100;

/** Below 524288, where systemd's container ranges begin, and above what Debian gives to subuids; two appliances on one machine differ. */
const defaultBase = (instance: string): number => 400_000 + (Number.parseInt(instance, 16) % 100) * 1000;

/** Canonical JSON: keys sorted, so that the same configuration has one digest, which is the policy version. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

export const digestOf = (config: Config): string =>
  createHash('sha256').update(canonical(config)).digest('hex');

/** A row with nothing in it: no door, no file, no network. What a process needs is said beside its name. */
export const processRow = (name: string, rest: Partial<Process> & { uid: number }): Process => ({
  name,
  groups: [],
  runs: [`appliance/processes/${name}.ts`],
  network: 'none',
  doors: [],
  controls: [],
  reads: [],
  writes: [],
  machine: [],
  env: {},
  secrets: null,
  part: {},
  needs: [],
  memoryMb: 256,
  pids: 64,
  restart: 'always',
  guest: null,
  ...rest,
});

export function manifest(config: Config, at: Circumstances): Manifest {
  const base = config.uids.base ?? defaultBase(at.instance);
  guard(Object.keys(config.agents), base);
  const uid = (place: string): number => base + places.indexOf(place);
  const group = (name: string): number => base + groupsFrom + groupPlaces.indexOf(name);
  const agents = Object.keys(config.agents);
  // A killed box has no worlds at all: their doors, dialers and guests are not in the table.
  const worlds = at.killed ? [] : agents;
  const agentUid = (agent: string): number => base + agentsFrom + (at.agentNumbers[agent] ?? 0);
  const ownerOf = (agent: string): { uid: number; gid: number } =>
    at.mode === 'user' ? at.owner : { uid: agentUid(agent), gid: agentUid(agent) };
  const version = digestOf(config);
  const keysHeld = !at.killed && mayHoldKeys(config, at.mode);
  const socket = (name: string, servedBy: string): Door => ({ name, in: 'host', listen: 'path', servedBy });

  const doors: Door[] = [
    ...worlds.flatMap((agent): Door[] => [
      { name: `llm.${agent}`, in: agent, listen: '127.0.0.1:9090', servedBy: 'llm' },
      { name: `egress.${agent}`, in: agent, listen: '127.0.0.1:3128', servedBy: 'egress' },
      { name: `names.${agent}`, in: agent, listen: 'udp:127.0.0.53:53', servedBy: 'egress' },
      { name: `tcp.${agent}.443`, in: agent, listen: '0.0.0.0:443', servedBy: 'egress' },
      { name: `tcp.${agent}.80`, in: agent, listen: '0.0.0.0:80', servedBy: 'egress' },
      { name: `tools.${agent}`, in: agent, listen: '127.0.0.1:9091', servedBy: 'tools' },
      socket(`guest.${agent}`, `dialer@${agent}`),
    ]),
    { name: 'controller', in: 'host', listen: `127.0.0.1:${config.controller.port}`, servedBy: 'controller' },
    { name: 'gateway', in: 'host', listen: `127.0.0.1:${config.chat.port}`, servedBy: 'gateway' },
    socket('lease', 'keeper'),
    socket('trip', 'keeper'),
    socket('rearm', 'keeper'),
    socket('ask', 'controller'),
    socket('decide', 'controller'),
    socket('session', 'controller'),
    socket('run', 'tools'),
    socket('broker', 'broker'),
    socket('turn', 'gateway'),
  ];

  const row = (name: string, rest: Partial<Process>): Process =>
    processRow(name, { uid: uid(name), ...rest });
  const ledger = (file: string): Entry => ({ path: `audit/${file}`, kind: 'file', mode: 0o640 });
  const folder = (path: string, mode = 0o700): Entry => ({ path, kind: 'folder', mode });
  const resolver = [
    '/etc/resolv.conf',
    '/etc/hosts',
    '/etc/nsswitch.conf',
    '/etc/ssl',
    '/etc/ca-certificates',
  ];

  const processes: Process[] = [
    row('keeper', {
      // Root, without any capability: cgroup files are root's, and a press must not wait for anybody else.
      uid: 0,
      controls: ['launch'],
      reads: [folder('audit', 0o711)],
      writes: [
        { path: 'latch', kind: 'file', mode: 0o600 },
        { path: 'audit/keeper.jsonl', kind: 'file', mode: 0o640 },
        folder('keeper'),
      ],
      machine: ['cgroup'],
      part: { agents },
      memoryMb: 128,
    }),
    row('broker', {
      controls: ['lease'],
      reads: [{ path: 'keys', kind: 'folder', mode: 0o755 }],
      writes: [folder('broker')],
      machine: at.docker ? [at.docker.socket] : [],
      groups: at.docker ? [at.docker.gid] : [],
      needs: ['keeper'],
      part: {
        instance: at.instance,
        workspaces: Object.fromEntries(
          agents.map((agent) => [agent, `${at.home}/agents/${agent}/workspace`]),
        ),
        uids: Object.fromEntries(agents.map((agent) => [agent, ownerOf(agent)])),
        memoryMb: config.tools.memoryMb,
        pids: config.tools.pids,
        outputKb: config.tools.outputKb,
        dockerSocket: at.docker?.socket ?? null,
      },
    }),
    row('controller', {
      controls: ['trip', 'rearm', 'launch'],
      reads: [folder('audit', 0o711)],
      writes: [
        folder('controller'),
        folder('secrets/controller'),
        folder('keys', 0o755),
        ledger('acts.jsonl'),
      ],
      part: {
        instance: at.instance,
        mode: at.mode,
        controllerPort: config.controller.port,
        chatPort: config.chat.port,
        agents,
        waitSeconds: config.approvals.waitSeconds,
        providers: Object.entries(config.providers).map(([name, each]) => ({
          name,
          kind: each.kind,
          hasKey: each.key !== undefined && at.keys.includes(each.key),
        })),
      },
      needs: ['keeper'],
      memoryMb: 384,
    }),
    row('llm', {
      network: 'host',
      controls: ['lease'],
      writes: [ledger('traffic.jsonl')],
      machine: resolver,
      secrets: keysHeld ? 'llm' : null,
      part: {
        keysHeld,
        providers: config.providers,
        agents: Object.fromEntries(agents.map((agent) => [agent, { model: config.agents[agent]?.model }])),
      },
      needs: ['keeper'],
      memoryMb: 512,
    }),
    row('egress', {
      network: 'host',
      controls: ['lease'],
      writes: [ledger('egress.jsonl')],
      machine: resolver,
      part: {
        agents: Object.fromEntries(
          agents.map((agent) => [agent, { egress: config.agents[agent]?.egress ?? [] }]),
        ),
        ownPorts: [config.controller.port, config.chat.port],
      },
      needs: ['keeper'],
    }),
    row('tools', {
      controls: ['lease', 'ask', 'broker'],
      writes: [ledger('tools.jsonl')],
      part: {
        agents,
        waitSeconds: config.approvals.waitSeconds,
        timeoutSeconds: config.tools.timeoutSeconds,
        outputKb: config.tools.outputKb,
      },
      needs: ['keeper', 'controller', 'broker'],
      memoryMb: 384,
    }),
    row('gateway', {
      controls: ['trip', 'ask', 'session', 'run', ...agents.map((agent) => `guest.${agent}`)],
      writes: [folder('gateway')],
      part: {
        instance: at.instance,
        home: at.home,
        controllerPort: config.controller.port,
        chatPort: config.chat.port,
        waitSeconds: config.approvals.waitSeconds,
        providers: Object.entries(config.providers).map(([name, each]) => ({
          name,
          kind: each.kind,
          baseUrl: each.baseUrl,
          key: each.key,
        })),
        agents: Object.fromEntries(agents.map((agent) => [agent, gatewayAgent(config, agent, at)])),
      },
      needs: ['keeper', 'controller'],
      memoryMb: 384,
    }),
    ...worlds.flatMap((agent): Process[] => [
      row(`dialer@${agent}`, {
        uid: uid('dialer'),
        runs: ['appliance/processes/dialer.ts', agent],
        network: `world:${agent}`,
        memoryMb: 128,
        pids: 32,
      }),
      row(`agent@${agent}`, {
        uid: agentUid(agent),
        runs: ['appliance/processes/agent.ts'],
        network: `world:${agent}`,
        guest: agent,
        env: guestEnv(agent, config.agents[agent]),
        needs: ['llm', 'egress', 'tools', `dialer@${agent}`],
        memoryMb: config.agents[agent]?.memoryMb ?? 1024,
        pids: config.agents[agent]?.pids ?? 256,
      }),
    ]),
  ];

  for (const each of processes) {
    if (each.guest !== null) continue;
    doors.push(socket(`control.${each.name}`, each.name));
    each.doors = doors.filter((door) => door.servedBy === each.name).map((door) => door.name);
    each.groups = [...each.groups, ...each.controls.map((name) => group(name.split('.')[0] ?? name))];
    if (each.reads.some((entry) => entry.path === 'audit')) each.groups.push(group('audit'));
  }

  return {
    instance: at.instance,
    version,
    worlds: worlds.map((agent) => ({ agent, uid: agentUid(agent) })),
    doors,
    processes,
    jobs: [
      { name: 'config', runs: ['appliance/processes/config.ts'], why: 'reads holdfast.yaml' },
      { name: 'tools', runs: ['provisioning/tools.ts'], why: 'installs Docker and builds the tool image' },
    ],
  };
}

/** Root makes folders by these names and gives files to these numbers: whoever parsed them, they are what they must be. */
function guard(agents: string[], base: number): void {
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
  return at === -1 ? 0 : (config.uids.base ?? defaultBase(instance)) + groupsFrom + at;
}

/** An ordinary user has one uid for everything, so a real key there needs an explicit yes. */
export const mayHoldKeys = (config: Config, mode: Circumstances['mode']): boolean =>
  mode === 'root' || config.ordinaryUser.holdKeys;

/** Of the job that fills the compile cache. Not `nobody`, whom daemons share: what it writes is code for all of ours. */
export const warmUid = (config: Config, instance: string): number =>
  (config.uids.base ?? defaultBase(instance)) + places.indexOf('warm');

export const auditGroup = (config: Config, instance: string): number =>
  socketGroup(config, instance, 'audit');

function gatewayAgent(config: Config, agent: string, at: Circumstances): Record<string, unknown> {
  const model = config.agents[agent]?.model;
  const provider = model ? config.providers[model.provider] : undefined;
  const keyMissing = provider?.key !== undefined && !at.keys.includes(provider.key);
  const keyWithheld = provider?.key !== undefined && !mayHoldKeys(config, at.mode);
  return {
    model,
    modelReady: model !== undefined && provider !== undefined && !keyMissing && !keyWithheld,
    keyMissing: keyMissing ? provider?.key : undefined,
    keyWithheld: keyWithheld ? provider?.key : undefined,
  };
}

/** All that a guest is told. Any program that can be pointed at an OpenAI base URL, an HTTP proxy and an MCP server is a guest. */
function guestEnv(agent: string, config: AgentConfig | undefined): Record<string, string> {
  const proxy = 'http://127.0.0.1:3128';
  const local = '127.0.0.1,localhost';
  return {
    HOLDFAST_AGENT: agent,
    HOLDFAST_MODEL: config?.model?.name ?? '',
    HOLDFAST_INSTRUCTIONS: config?.instructions ?? '',
    HOLDFAST_TOOLS_URL: 'http://127.0.0.1:9091/mcp',
    OPENAI_BASE_URL: 'http://127.0.0.1:9090/v1',
    OPENAI_API_KEY: 'placeholder',
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NO_PROXY: local,
    no_proxy: local,
    PORT: '18789',
    HOME: '/home/agent',
    PATH: '/opt/holdfast/node_modules/.bin:/usr/bin',
    PWD: '/workspace',
    LANG: 'C.UTF-8',
    NODE_COMPILE_CACHE: '/opt/cache',
  };
}
